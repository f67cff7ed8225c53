import {
  count,
  days,
  event,
  featureView,
  hashedLogistic,
  hours,
  max,
  mean,
  min,
  minutes,
  model,
  sum,
  topology,
} from '../../topology/index.ts'

/*
 * Job P3: one online prediction from 20 windowed features of two entities,
 * by a logistic model.
 */

const fields = {
  paymentId: 'string',
  customer: 'int',
  terminal: 'int',
  amount: 'double',
  at: 'timestamp',
} as const

/** What was paid: the history. */
const settled = event(
  'settled',
  { customer: 'int', terminal: 'int', amount: 'double', at: 'timestamp' },
  { key: 'customer', time: 'at' },
)
/** Asks for the prediction. */
export const payment = event('payment', fields, { key: 'customer', time: 'at' })
/** What became of it: the label. */
export const verdict = event(
  'verdict',
  { paymentId: 'string', customer: 'int', isFraud: 'boolean', at: 'timestamp' },
  { key: 'customer', time: 'at' },
)

const aggregates = (prefix: string) =>
  Object.fromEntries(
    Object.entries({ h1: hours(1), d1: days(1) }).flatMap(([name, over]) => {
      const window = { over, hop: minutes(5) }
      return [
        [`${prefix}Count${name}`, count(settled, window)],
        [`${prefix}Sum${name}`, sum(settled, 'amount', window)],
        [`${prefix}Mean${name}`, mean(settled, 'amount', window)],
        [`${prefix}Min${name}`, min(settled, 'amount', window)],
        [`${prefix}Max${name}`, max(settled, 'amount', window)],
      ]
    }),
  )

const customer = featureView('customer', {
  entity: 'customer',
  owner: 'bench',
  description: 'What a customer spent',
  features: aggregates('customer'),
})
const terminal = featureView('terminal', {
  entity: 'terminal',
  owner: 'bench',
  description: 'What a terminal took',
  features: aggregates('terminal'),
})

export const fraud = model('fraud', {
  on: payment,
  owner: 'bench',
  description: 'Whether a payment is fraud',
  features: [customer, terminal],
  label: { from: verdict, join: 'paymentId', value: ({ isFraud }) => isFraud, within: days(1) },
  learner: hashedLogistic(),
})

export default topology('payments', {
  events: [settled, payment, verdict],
  features: [customer, terminal],
  models: [fraud],
})
