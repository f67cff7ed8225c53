import {
  count,
  days,
  event,
  featureView,
  filter,
  max,
  stream,
  throttle,
  topology,
} from '../../topology/index.ts'
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

/** Events that the shop did not have either, made of those that it had. */
export const bigSpending = event(
  'big-spending',
  { visitor: 'string', spent: 'double', at: 'timestamp' },
  { key: 'visitor', time: 'at' },
)

const big = featureView('big', {
  entity: 'visitor',
  owner: 'shop',
  description: 'Made of events that the stream below makes',
  features: { bigSpendings: count(bigSpending, { over: days(7) }) },
})

const bigSpendings = stream(outcome)
  .pipe(filter('big', ({ value }) => value.spent > 50))
  .pipe(throttle({ name: 'big-spendings', everyMs: days(1), graceMs: 0 }))
  .to(bigSpending, ({ value: { visitor, spent, at } }) => ({ visitor, spent, at }))

/** The shop with one view more, and nothing else. */
export const shopWithHabits = topology('shop', {
  events: shop.events,
  features: [habits],
  models: [buys],
  streams: shop.streams,
  partitions: shop.partitions,
})

/** The shop with two views, an event and a stream more. */
export const widerShop = topology('shop', {
  events: [...shop.events, bigSpending],
  features: [habits, big],
  models: [buys],
  streams: [...shop.streams, bigSpendings],
  partitions: shop.partitions,
})
