import {
  count,
  Engine,
  event,
  featureView,
  forever,
  hashedLogistic,
  hours,
  latest,
  minutes,
  model,
  request,
  sum,
  topology,
} from '../../topology/index.ts'

/** A shop with orders that may be paid late; small enough to know what every row must hold. */

export const order = event(
  'order',
  { orderId: 'string', buyer: 'string', amount: 'double', at: 'timestamp' },
  { key: 'buyer', time: 'at' },
)
export const paid = event(
  'paid',
  { orderId: 'string', buyer: 'string', late: 'boolean', at: 'timestamp' },
  { key: 'buyer', time: 'at' },
)
/** Nothing in the shop reads these: they are on the log for whoever comes later. */
export const visit = event('visit', { buyer: 'string', at: 'timestamp' }, { key: 'buyer', time: 'at' })

export const buyer = featureView('buyer', {
  entity: 'buyer',
  owner: 'tests',
  description: 'orders of a buyer',
  disorder: minutes(10),
  features: {
    orders10m: count(order, { over: minutes(10), hop: minutes(1) }),
    amount1h: sum(order, 'amount', { over: hours(1), hop: 0 }),
    lastAmount: latest(order, 'amount', { ttl: minutes(30) }),
    latePaid: count(paid, { over: forever, where: ({ late }) => late }),
  },
})

export const trainingShop = topology('training-shop', {
  events: [order, paid, visit],
  features: [buyer],
  models: [
    model('late', {
      on: order,
      features: [buyer, request(order, { amountNow: ({ amount }) => amount })],
      label: { from: paid, join: 'orderId', value: ({ late }) => late, within: hours(2) },
      learner: hashedLogistic({ bits: 8 }),
    }),
  ],
  partitions: 2,
})

export const startMs = 1_700_000_040_000
const minuteMs = 60_000
export const orderCount = 120

export interface Order {
  readonly orderId: string
  readonly buyer: string
  readonly amount: number
  readonly at: number
}

/** Every seventh order comes five minutes late. */
export const orders: readonly Order[] = Array.from({ length: orderCount }, (_, index) => ({
  orderId: `o${index}`,
  buyer: `b${index % 5}`,
  amount: (index * 37) % 100,
  at: startMs + index * minuteMs - (index % 7 === 6 ? 5 * minuteMs : 0),
}))

export interface Paid {
  readonly orderId: string
  readonly buyer: string
  readonly late: boolean
  readonly at: number
}

/** The last ten orders are not paid. */
const payments: readonly Paid[] = orders
  .slice(0, orderCount - 10)
  .map(({ orderId, buyer, at }, index) => ({ orderId, buyer, late: index % 3 === 0, at: at + 3 * minuteMs }))

/** The first order was paid in time after all; the second one's correction is too late to count. */
const corrections: readonly Paid[] = [
  { orderId: 'o0', buyer: 'b0', late: false, at: startMs + 100 * minuteMs },
  { orderId: 'o1', buyer: 'b1', late: true, at: startMs + 500 * minuteMs },
]

export const allPaid: readonly Paid[] = [...payments, ...corrections]

/**
 * Fills a folder as a run would: in small steps, so that there are many
 * commits, with orders out of their order, and one label that is corrected.
 */
export async function fillTrainingShop(data: string): Promise<void> {
  const engine = await Engine.open({ topology: trainingShop, data, now: () => startMs + 86_400_000 })
  engine.run()
  for (let from = 0; from < orderCount; from += 5) {
    const some = orders.slice(from, from + 5)
    await engine.append(
      'visit',
      some.map(({ buyer, at }) => ({ buyer, at: at - 1 })),
    )
    await engine.append('order', some)
    await engine.append('paid', payments.slice(from, from + 5))
    await engine.caughtUp()
  }
  await engine.append('paid', corrections)
  await engine.caughtUp()
  await engine.close()
}
