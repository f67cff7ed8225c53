import { count, enrich, event, featureView, forever, minutes, sum, topology } from '../../topology/index.ts'

/*
 * An application whose answers a test can work out with a list: each deposit
 * goes out again with what its account held before it.
 */

export const deposit = event(
  'deposit',
  { depositId: 'string', account: 'string', amount: 'long', at: 'timestamp' },
  { key: 'account', time: 'at' },
)

export const balance = event(
  'balance',
  { depositId: 'string', account: 'string', deposits: 'double', before: 'double', at: 'timestamp' },
  { key: 'account', time: 'at' },
)

export const account = featureView('account', {
  entity: 'account',
  owner: 'ledger',
  description: 'What an account holds',
  disorder: minutes(10),
  features: {
    deposits: count(deposit, { over: forever, default: 0 }),
    held: sum(deposit, 'amount', { over: forever, default: 0 }),
  },
})

const balances = enrich(deposit, [account]).to(
  balance,
  ({ value: { event: made, features }, timestampMs }) => ({
    depositId: made.depositId,
    account: made.account,
    deposits: features[0]!,
    before: features[1]!,
    at: timestampMs,
  }),
)

export const ledger = topology('ledger', {
  events: [deposit, balance],
  features: [account],
  streams: [balances],
  partitions: 3,
  // One takes over as a whole from another here; those of several tasks are split-topology's.
  tasks: 'one',
})
