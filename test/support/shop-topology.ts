import {
  byKey,
  computed,
  count,
  days,
  event,
  featureView,
  filter,
  forever,
  globalMean,
  hashedLogistic,
  hours,
  latest,
  mean,
  minutes,
  model,
  nullable,
  request,
  stream,
  streamTableJoin,
  sum,
  topology,
  tumbling,
  windowAggregate,
  windowFold,
} from '../../topology/index.ts'

/** A small application that has one of everything: two features views, a model, streams, late labels. */

export const visit = event(
  'visit',
  { visitId: 'string', visitor: 'string', page: nullable('string'), at: 'timestamp' },
  { key: 'visitor', time: 'at' },
)

export const outcome = event(
  'outcome',
  { visitId: 'string', visitor: 'string', page: nullable('string'), spent: 'double', at: 'timestamp' },
  { key: 'visitor', time: 'at' },
)

export const price = event(
  'price',
  { page: 'string', amount: 'double', at: 'timestamp' },
  { key: 'page', time: 'at' },
)

/** Visits by page: the internal topic through which visits meet prices. */
export const pageVisit = event(
  'page-visit',
  { page: 'string', visitor: 'string', at: 'timestamp' },
  { key: 'page', time: 'at' },
)

export const pricedVisit = event(
  'priced-visit',
  { page: 'string', visitor: 'string', amount: nullable('double'), at: 'timestamp' },
  { key: 'page', time: 'at' },
)

export const spending = event(
  'spending',
  { visitor: 'string', from: 'timestamp', mean: nullable('double'), at: 'timestamp' },
  { key: 'visitor', time: 'at' },
)

const visitor = featureView('visitor', {
  entity: 'visitor',
  owner: 'shop',
  description: 'What a visitor did',
  disorder: minutes(30),
  features: {
    visits1h: count(visit, { over: hours(1), hop: minutes(5) }),
    visitsExact: count(visit, { over: minutes(20), hop: 0 }),
    spent: sum(outcome, 'spent', { over: forever, default: 0 }),
    meanSpent: mean(outcome, 'spent', { over: days(1) }),
    lastSpent: latest(outcome, 'spent', { ttl: hours(2) }),
  },
})

const page = featureView('page', {
  entity: 'page',
  owner: 'shop',
  description: 'What happens on a page',
  disorder: minutes(30),
  features: {
    pageVisits: count(visit, { over: hours(6) }),
    pageSpent: mean(outcome, 'spent', { over: days(1) }),
  },
})

export const buys = model('buys', {
  on: visit,
  features: [
    visitor,
    page,
    computed({ logVisits: { of: ['visits1h'], value: (n) => Math.log1p(n) } }),
    request(visit, { pageLength: ({ page: name }) => name?.length ?? null }),
  ],
  label: { from: outcome, join: 'visitId', value: ({ spent }) => spent > 0, within: hours(3) },
  learner: hashedLogistic({ bits: 8, unused: ['visits1h'] }),
  baselines: [globalMean(), byKey('visitor')],
  snapshotEvery: 500,
})

const spendingByHour = stream(outcome)
  .pipe(
    filter('paid', ({ value }) => value.spent > 0),
    windowAggregate({
      name: 'spending-by-hour',
      windows: tumbling({ sizeMs: hours(1), graceMs: minutes(30) }),
      aggregate: windowFold(mean()),
      input: ({ value }) => value.spent,
      emit: 'close',
    }),
  )
  .to(spending, ({ key, value, timestampMs }) => ({
    visitor: String(key.key),
    from: key.startMs,
    mean: value,
    at: timestampMs,
  }))

const byPage = stream(visit).to(pageVisit, ({ value }) =>
  value.page === null ? null : { page: value.page, visitor: value.visitor, at: value.at },
)

const priced = stream(pageVisit)
  .join(
    stream(price),
    streamTableJoin({
      name: 'price-of-visit',
      how: 'left',
      table: { kind: 'versioned', historyMs: days(2) },
      value: (left, right) => ({ ...left, amount: right?.amount ?? null }),
    }),
  )
  .to(pricedVisit, ({ value }) => value)

export const shop = topology('shop', {
  events: [visit, outcome, price, pageVisit, pricedVisit, spending],
  models: [buys],
  streams: [spendingByHour, byPage, priced],
  partitions: 3,
})

/** Numbers from 0 to 1 that a seed determines (mulberry32; Tommy Ettinger, 2017). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export type ShopEvent = readonly [event: string, value: object]

/** Events of the shop, in the order in which they reach the log: partly late, some without a page or a label. */
export function shopEvents(count: number, seed = 1): readonly ShopEvent[] {
  const random = seeded(seed)
  const pages = ['/shoes', '/hats', '/socks', null]
  const events: ShopEvent[] = []
  let at = 1_700_000_000_000
  const waiting: { readonly dueAt: number; readonly event: ShopEvent }[] = []
  for (let number = 0; events.length < count; number++) {
    at += Math.floor(random() * minutes(2))
    while (waiting.length > 0 && waiting[0]!.dueAt <= at) events.push(waiting.shift()!.event)
    const late = random() < 0.1 ? Math.floor(random() * minutes(25)) : 0
    const chosen = pages[Math.floor(random() * pages.length)] ?? null
    const base = { visitId: `v${number}`, visitor: `visitor-${Math.floor(random() * 40)}`, page: chosen }
    events.push(['visit', { ...base, at: at - late }])
    if (number % 25 === 0) {
      events.push(['price', { page: pages[number % 3] ?? '/shoes', amount: 10 + (number % 7), at }])
    }
    if (random() < 0.8) {
      const dueAt = at + Math.floor(random() * minutes(40))
      const spent = random() < 0.3 ? Math.round(random() * 100) : 0
      waiting.push({ dueAt, event: ['outcome', { ...base, spent, at: dueAt }] })
      waiting.sort((a, b) => a.dueAt - b.dueAt)
    }
  }
  return events.slice(0, count)
}
