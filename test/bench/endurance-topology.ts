import {
  count,
  days,
  event,
  featureView,
  globalMean,
  hashedLogistic,
  hours,
  latest,
  mean,
  minutes,
  model,
  type SourceRow,
  sum,
  topology,
} from '../../topology/index.ts'
import { seeded } from '../support/shop-topology.ts'

/*
 * Payments of a population that does not grow, each with a prediction before
 * it is folded and its label an hour later: whatever memory the length of the
 * log costs, shows.
 */

const payment = event(
  'payment',
  { paymentId: 'string', card: 'int', shop: 'int', amount: 'double', at: 'timestamp' },
  { key: 'card', time: 'at' },
)
const verdict = event(
  'verdict',
  { paymentId: 'string', card: 'int', shop: 'int', fraud: 'boolean', at: 'timestamp' },
  { key: 'card', time: 'at' },
)

const cards = 2_000
const shops = 500
/** 200,000 payments in 30 days, so that the longest window is full after a tenth of the long log. */
const gapMs = days(30) / 200_000

const card = featureView('card', {
  entity: 'card',
  owner: 'bench',
  description: 'What a card paid',
  features: {
    payments1h: count(payment, { over: hours(1) }),
    paid1d: sum(payment, 'amount', { over: days(1) }),
    mean30d: mean(payment, 'amount', { over: days(30) }),
    lastAmount: latest(payment, 'amount', { ttl: days(7) }),
  },
})
const shop = featureView('shop', {
  entity: 'shop',
  owner: 'bench',
  description: 'What a shop took',
  features: {
    shopPayments1d: count(payment, { over: days(1) }),
    shopFrauds30d: sum(verdict, ({ fraud }) => (fraud ? 1 : 0), { over: days(30), default: 0 }),
  },
})

export const endurance = (payments: number) =>
  topology('endurance', {
    events: [payment, verdict],
    models: [
      model('fraud', {
        on: payment,
        features: [card, shop],
        label: { from: verdict, join: 'paymentId', value: ({ fraud }) => fraud, within: hours(2) },
        learner: hashedLogistic({ bits: 12 }),
        baselines: [globalMean()],
      }),
    ],
    sources: [{ name: 'payments', rowCount: payments, rows: () => rows(payments) }],
  })

function* rows(payments: number): Generator<SourceRow> {
  const random = seeded(7)
  const waiting: (readonly [event: string, value: object])[] = []
  let next = 0
  for (let number = 0; number < payments; number++) {
    const at = 1_700_000_000_000 + Math.round(number * gapMs)
    const amount = Math.round(random() * 10_000) / 100
    const about = {
      paymentId: `p${number}`,
      card: Math.floor(random() * cards),
      shop: Math.floor(random() * shops),
    }
    const row: (readonly [event: string, value: object])[] = [['payment', { ...about, amount, at }]]
    waiting.push(['verdict', { ...about, fraud: amount > 95 || random() < 0.01, at: at + minutes(60) }])
    // The labels that have become known meanwhile.
    while (next < waiting.length && (waiting[next]![1] as { readonly at: number }).at <= at) {
      row.push(waiting[next++]!)
    }
    if (next > 10_000) {
      waiting.splice(0, next)
      next = 0
    }
    yield row
  }
}
