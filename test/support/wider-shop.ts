import { count, days, featureView, max, topology } from '../../topology/index.ts'
import { buys, outcome, shop, visit } from './shop-topology.ts'

const habits = featureView('habits', {
  entity: 'visitor',
  owner: 'shop',
  description: 'A view that the shop did not have when its log was written',
  features: {
    visits7d: count(visit, { over: days(7) }),
    most: max(outcome, 'spent', { over: days(30) }),
  },
})

/** The shop with one view more. */
export const widerShop = topology('shop', {
  events: shop.events,
  features: [habits],
  models: [buys],
  streams: shop.streams,
  partitions: shop.partitions,
})
