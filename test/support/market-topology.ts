import {
  count,
  enrich,
  event,
  expect,
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
import { seeded } from './shop-topology.ts'

/*
 * An application of three stages: payments by customer, split by partition;
 * sales by shop with a model that learns from their refunds, which is one
 * task; and visits, split again. What the model sees a list can work out.
 */

export const payment = event(
  'payment',
  { paymentId: 'string', customer: 'int', shop: 'int', amount: 'double', at: 'timestamp' },
  { key: 'customer', time: 'at' },
)
/** The internal topic between the first two stages. */
export const sale = event(
  'sale',
  {
    paymentId: 'string',
    customer: 'int',
    shop: 'int',
    amount: 'double',
    paidBefore: 'double',
    at: 'timestamp',
  },
  { key: 'shop', time: 'at' },
)
export const refund = event(
  'refund',
  { paymentId: 'string', shop: 'int', isFraud: 'boolean', at: 'timestamp' },
  { key: 'shop', time: 'at' },
)
export const visit = event('visit', { visitor: 'int', at: 'timestamp' }, { key: 'visitor', time: 'at' })

export const customer = featureView('customer', {
  entity: 'customer',
  owner: 'test',
  description: 'What a customer paid',
  features: {
    paid: sum(payment, 'amount', { over: forever, default: 0 }),
    payments1h: count(payment, { over: hours(1), hop: 0 }),
  },
})
export const shop = featureView('shop', {
  entity: 'shop',
  owner: 'test',
  description: 'What a shop took',
  features: {
    sales: count(sale, { over: forever, default: 0 }),
    taken: sum(sale, 'amount', { over: forever, default: 0 }),
    refunds: count(refund, { over: forever, default: 0 }),
    lastAmount: latest(sale, 'amount', { ttl: hours(5) }),
  },
})
export const visitor = featureView('visitor', {
  entity: 'visitor',
  owner: 'test',
  description: 'How often somebody came',
  features: { visits: count(visit, { over: forever, default: 0 }) },
})

const parts = {
  events: [payment, sale, refund, visit],
  streams: [
    enrich(payment, [customer]).to(sale, ({ value: { event: made, features } }) => ({
      ...made,
      paidBefore: features[0]!,
    })),
  ],
  partitions: 4,
}
const fraud = {
  on: sale,
  label: {
    from: refund,
    join: 'paymentId',
    value: ({ isFraud }: { readonly isFraud: boolean }) => isFraud,
    within: hours(12),
  },
} as const
const amounts = request(sale, {
  amountNow: ({ amount }) => amount,
  paidBefore: ({ paidBefore }) => paidBefore,
})

export const market = topology('market', {
  ...parts,
  features: [customer, shop, visitor],
  models: [model('fraud', { ...fraud, features: [shop, amounts], learner: hashedLogistic({ bits: 8 }) })],
  expectations: [expect(sale, [{ field: 'amount', range: { min: 3 } }])],
})

/** Another model of the same stages. */
export const candidateMarket = topology('market', {
  ...parts,
  features: [customer, shop, visitor],
  models: [
    model('quick', {
      ...fraud,
      features: [shop, amounts],
      learner: hashedLogistic({ bits: 7 }),
    }),
  ],
})

/** Expects something of what the tasks of three stages read: it would run as other tasks. */
export const strictMarket = topology('market', {
  ...parts,
  features: [customer, shop, visitor],
  models: market.models,
  expectations: [
    ...market.expectations,
    expect(payment, [{ field: 'amount', range: { max: 90 } }]),
    expect(visit, [{ field: 'visitor', range: { min: 1 } }]),
  ],
})

export interface MarketEvents {
  readonly payment: readonly {
    readonly paymentId: string
    readonly customer: number
    readonly shop: number
    readonly amount: number
    readonly at: number
  }[]
  readonly refund: readonly {
    readonly paymentId: string
    readonly shop: number
    readonly isFraud: boolean
    readonly at: number
  }[]
  readonly visit: readonly { readonly visitor: number; readonly at: number }[]
}

export const firstAt = 1_700_000_000_000

/** Events in the order of their times; no two are of one time. */
export function marketEvents(seed: number, length: number): MarketEvents {
  const random = seeded(seed)
  const payments: MarketEvents['payment'][number][] = []
  const refunds: MarketEvents['refund'][number][] = []
  const visits: MarketEvents['visit'][number][] = []
  for (let index = 0; index < length; index++) {
    const at = firstAt + index * minutes(7) + 10 * Math.floor(random() * 30_000)
    const made = {
      paymentId: `p${index}`,
      customer: Math.floor(random() * 12),
      shop: Math.floor(random() * 5),
      amount: 1 + Math.floor(random() * 100),
      at,
    }
    payments.push(made)
    if (random() < 0.8) {
      const { paymentId, shop: to, amount } = made
      refunds.push({
        paymentId,
        shop: to,
        isFraud: amount > 60,
        at: at + 1 + hours(1) + 10 * Math.floor(random() * hours(1)),
      })
    }
    visits.push({ visitor: Math.floor(random() * 9), at: at + 2 })
  }
  refunds.sort((left, right) => left.at - right.at)
  return { payment: payments, refund: refunds, visit: visits }
}

/** What the model sees of each payment, from the list of all events. */
export function seenOf({ payment: payments, refund: refunds }: MarketEvents) {
  return payments.map(({ paymentId, customer: by, shop: to, amount, at }) => {
    const before = payments.filter((each) => each.at < at)
    const sales = before.filter((each) => each.shop === to)
    const [last] = sales.slice(-1)
    const paid = before.filter((each) => each.customer === by)
    const sumOf = (rows: readonly { readonly amount: number }[]) =>
      rows.reduce((total, row) => total + row.amount, 0)
    return {
      paymentId,
      shop: to,
      at,
      sales: sales.length,
      taken: sumOf(sales),
      refunds: refunds.filter((each) => each.shop === to && each.at < at).length,
      lastAmount: last !== undefined && last.at >= at - hours(5) ? last.amount : null,
      amountNow: amount,
      paidBefore: sumOf(paid),
    }
  })
}
