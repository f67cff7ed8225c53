import {
  count,
  enrich,
  event,
  featureView,
  forever,
  hours,
  stream,
  sum,
  topology,
  tumbling,
  windowAggregate,
  windowFolds,
} from '../../topology/index.ts'

/*
 * Two stages that each have a task for every partition: payments by customer,
 * and the same by shop with what the customer had paid before. What a test
 * expects of it a list can work out.
 */

export const payment = event(
  'payment',
  { paymentId: 'string', customer: 'int', shop: 'int', amount: 'long', at: 'timestamp' },
  { key: 'customer', time: 'at' },
)
/** The internal topic between the stages. */
export const sale = event(
  'sale',
  {
    paymentId: 'string',
    customer: 'int',
    shop: 'int',
    amount: 'long',
    paidBefore: 'double',
    at: 'timestamp',
  },
  { key: 'shop', time: 'at' },
)
export const judged = event(
  'judged',
  {
    paymentId: 'string',
    shop: 'int',
    paidBefore: 'double',
    salesBefore: 'double',
    takenBefore: 'double',
    at: 'timestamp',
  },
  { key: 'shop', time: 'at' },
)
export const shopHour = event(
  'shop-hour',
  { shop: 'int', start: 'timestamp', sales: 'double', at: 'timestamp' },
  { key: 'shop', time: 'at' },
)

export const customer = featureView('customer', {
  entity: 'customer',
  owner: 'test',
  description: 'What a customer paid',
  features: { paid: sum(payment, 'amount', { over: forever, default: 0 }) },
})
export const shop = featureView('shop', {
  entity: 'shop',
  owner: 'test',
  description: 'What a shop took',
  features: {
    sales: count(sale, { over: forever, default: 0 }),
    taken: sum(sale, 'amount', { over: forever, default: 0 }),
  },
})

export const split = topology('split', {
  events: [payment, sale, judged, shopHour],
  features: [customer, shop],
  streams: [
    enrich(payment, [customer]).to(sale, ({ value: { event: made, features } }) => ({
      ...made,
      paidBefore: features[0]!,
    })),
    enrich(sale, [shop]).to(judged, ({ value: { event: made, features } }) => ({
      paymentId: made.paymentId,
      shop: made.shop,
      paidBefore: made.paidBefore,
      salesBefore: features[0]!,
      takenBefore: features[1]!,
      at: made.at,
    })),
    stream(sale)
      .pipe(
        windowAggregate({
          name: 'shop-hours',
          windows: tumbling({ sizeMs: hours(1), graceMs: 0 }),
          aggregate: windowFolds({ sales: count() }),
          input: () => 1,
          emit: 'close',
        }),
      )
      .to(shopHour, ({ key, value, timestampMs }) => ({
        shop: key.key as number,
        start: key.startMs,
        sales: (value as { readonly sales: number }).sales,
        at: timestampMs,
      })),
  ],
  partitions: 4,
})

export interface Payment {
  readonly paymentId: string
  readonly customer: number
  readonly shop: number
  readonly amount: number
  readonly at: number
}

/** What each payment finds, from the list of those before it; no two are of one time. */
export function judgementsOf(payments: readonly Payment[]) {
  const paid = new Map<number, number>()
  const sales = new Map<number, { count: number; taken: number }>()
  return [...payments]
    .sort((left, right) => left.at - right.at)
    .map(({ paymentId, customer: by, shop: to, amount, at }) => {
      const paidBefore = paid.get(by) ?? 0
      const { count: salesBefore, taken: takenBefore } = sales.get(to) ?? { count: 0, taken: 0 }
      paid.set(by, paidBefore + amount)
      sales.set(to, { count: salesBefore + 1, taken: takenBefore + amount })
      return { paymentId, shop: to, paidBefore, salesBefore, takenBefore, at }
    })
}
