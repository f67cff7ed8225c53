import {
  count,
  days,
  event,
  featureView,
  hours,
  max,
  mean,
  type SourceRow,
  sum,
  topology,
} from '../../topology/index.ts'

/** Keys that memory holds of the view. */
export const cachedKeys = 1_000_000
/** Of all events, which are spread over so many days. */
export const firstMs = 1_700_000_000_000
export const lastMs = firstMs + days(30)

const payment = event(
  'payment',
  { card: 'int', amount: 'double', at: 'timestamp' },
  { key: 'card', time: 'at' },
)
const window = (length: number) => ({ over: days(length), hop: hours(1) })

/** Eight features of hourly tiles. */
export const card = featureView('card', {
  entity: 'card',
  owner: 'bench',
  description: 'What a card paid',
  maxKeys: cachedKeys,
  features: Object.fromEntries(
    [1, 30].flatMap((length) => [
      [`count${length}d`, count(payment, window(length))],
      [`sum${length}d`, sum(payment, 'amount', window(length))],
      [`mean${length}d`, mean(payment, 'amount', window(length))],
      [`max${length}d`, max(payment, 'amount', window(length))],
    ]),
  ),
})

/** Payments of so many cards: each card `perCard` times, in an order that has nothing of the keys'. */
export const manyKeys = (cards: number, perCard: number) =>
  topology('many-keys', {
    events: [payment],
    features: [card],
    sources: [{ name: 'payments', rowCount: cards * perCard, rows: () => payments(cards, perCard) }],
  })

/** The card of a payment: a fixed order of all of them, over and over. */
const cardOf = (payment: number, cards: number): number => (payment * 7_368_787) % cards

export const amountOf = (card: number, round: number): number => ((card + 13 * round) % 10_000) / 100

function* payments(cards: number, perCard: number): Generator<SourceRow> {
  const total = cards * perCard
  for (let number = 0; number < total; number++) {
    const of = cardOf(number % cards, cards)
    const at = firstMs + Math.floor(((lastMs - firstMs) * number) / total)
    yield [['payment', { card: of, amount: amountOf(of, Math.floor(number / cards)), at }]]
  }
}
