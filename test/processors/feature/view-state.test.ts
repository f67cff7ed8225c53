import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { each } from '../../../processors/feature/entity-key.ts'
import { derived, forever, latest } from '../../../processors/feature/feature.ts'
import { type FeatureView, featureView } from '../../../processors/feature/feature-view.ts'
import { count, max, mean, min, sum } from '../../../processors/feature/features.ts'
import { ViewState } from '../../../processors/feature/view-state.ts'
import { event } from '../../../state/contracts/event.ts'
import { array } from '../../../state/contracts/field-type.ts'
import type { DatabaseWrite } from '../../../state/store/database.ts'
import type { KeyedStore } from '../../../state/store/keyed-store.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import type { PackedKey } from '../../../state/store/packed-key.ts'
import type { TileStore } from '../../../state/store/tile-store.ts'

const spend = event(
  'spend',
  { user: 'int', shop: 'int', amount: 'double', at: 'timestamp' },
  { key: 'user', time: 'at' },
)

interface Spend {
  readonly user: number
  readonly shop: number
  /** NaN stands for a value that is not there. */
  readonly amount: number
  readonly at: number
}

const disorder = 40
const windows = { w100h20: [100, 20], w60h0: [60, 0], w300h100: [300, 100], ever: [forever, 0] } as const

const view = featureView('spending', {
  entity: 'user',
  owner: 'test',
  description: 'Against a list of all events',
  disorder,
  features: {
    ...(Object.fromEntries(
      Object.entries(windows).flatMap(([name, [over, hop]]) => {
        const window = { over, ...(over === forever ? {} : { hop }) }
        return [
          [`count ${name}`, count(spend, window)],
          [`sum ${name}`, sum(spend, 'amount', window)],
          [`mean ${name}`, mean(spend, 'amount', window)],
          [`min ${name}`, min(spend, 'amount', window)],
          [`max ${name}`, max(spend, 'amount', { ...window, default: -1 })],
          [`big ${name}`, count(spend, { ...window, where: ({ amount }) => amount > 5 })],
        ]
      }),
    ) as Record<string, ReturnType<typeof sum>>),
    last: latest(spend, 'amount'),
    lastFresh: latest(spend, 'amount', { ttl: 50, default: -7 }),
    ratio: derived(['sum ever', 'count ever'], (total, events) => total / events),
  },
})

/** What the definition says, from a list of everything that arrived, in the order of its arrival. */
function oracle(events: readonly Spend[], user: number, q: number): Record<string, number> {
  const own = events.map((each, arrival) => ({ ...each, arrival })).filter((each) => each.user === user)
  const values: Record<string, number> = {}
  for (const [name, [over, hop]] of Object.entries(windows)) {
    const from =
      over === forever ? Number.NEGATIVE_INFINITY : hop > 0 ? Math.floor((q - over) / hop) * hop : q - over
    const inside = own.filter(({ at }) => at >= from && at < q)
    const amounts = inside.map(({ amount }) => amount).filter((amount) => !Number.isNaN(amount))
    const total = amounts.reduce((all, amount) => all + amount, 0)
    values[`count ${name}`] = inside.length
    values[`sum ${name}`] = amounts.length === 0 ? Number.NaN : total
    values[`mean ${name}`] = amounts.length === 0 ? Number.NaN : total / amounts.length
    values[`min ${name}`] = amounts.length === 0 ? Number.NaN : Math.min(...amounts)
    values[`max ${name}`] = amounts.length === 0 ? -1 : Math.max(...amounts)
    values[`big ${name}`] = amounts.filter((amount) => amount > 5).length
  }
  const newest = (ttl: number, none: number) => {
    const [found] = own.filter(({ at }) => at <= q).sort((a, b) => b.at - a.at || b.arrival - a.arrival)
    return found === undefined || found.at < q - ttl || Number.isNaN(found.amount) ? none : found.amount
  }
  values['last'] = newest(forever, Number.NaN)
  values['lastFresh'] = newest(50, -7)
  values['ratio'] = values['sum ever']! / values['count ever']!
  return values
}

/** Binary fractions, so that every order of adding them gives the same sum. */
const amount = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: -40, max: 40 }).map((n) => n / 4) },
  fc.constant(Number.NaN),
)
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      user: fc.integer({ min: 0, max: 2 }),
      amount,
      ahead: fc.integer({ min: 0, max: 60 }),
      late: fc.integer({ min: 0, max: disorder }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      user: fc.integer({ min: 0, max: 3 }),
      back: fc.integer({ min: -400, max: disorder }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

async function restarted(
  state: ViewState,
  database: ReturnType<typeof memoryDatabase>,
  declared: FeatureView = view,
) {
  const writes: DatabaseWrite[] = []
  for (const store of state.stores) store.collect(writes)
  await database.write(writes)
  const next = new ViewState(declared)
  for (const store of next.stores) await store.restore(database)
  return next
}

describe('a feature view', () => {
  test('agrees with a list of all events, whatever arrives late within its disorder, and over restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const database = memoryDatabase()
        let state = new ViewState(view)
        const events: Spend[] = []
        const newest = new Map<number, number>()
        let now = 10_000
        for (const each of steps) {
          if (each.do === 'restart') {
            state = await restarted(state, database)
          } else if (each.do === 'add') {
            now += each.ahead
            const at = Math.max(now - each.late, (newest.get(each.user) ?? 0) - disorder)
            newest.set(each.user, Math.max(newest.get(each.user) ?? 0, at))
            const spent = { user: each.user, shop: 1, amount: each.amount, at }
            events.push(spent)
            state.update('spend', at, spent)
          } else {
            // Exact from the newest event of the entity, less the disorder, on.
            const q = Math.max((newest.get(each.user) ?? now) - disorder, now - each.back)
            const values = new Float64Array(state.featureNames.length)
            state.readOne(each.user, q, values, 0)
            const found = Object.fromEntries(state.featureNames.map((name, index) => [name, values[index]]))
            expect(found).toEqual(oracle(events, each.user, q))
          }
        }
      }),
      { numRuns: 400, seed: 17 },
    )
  })

  test('gives the same bits when half of its keys wait in the database', async () => {
    const small = featureView('spending', { ...viewSpec(), maxKeys: 5 })
    const database = memoryDatabase()
    const whole = new ViewState(view)
    let bounded = new ViewState(small)
    let seed = 7
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return seed / 2_147_483_648
    }
    let at = 10_000
    for (let batch = 0; batch < 60; batch++) {
      const events = Array.from({ length: 20 }, () => {
        at += Math.floor(random() * 9)
        return { user: Math.floor(random() * 40), shop: 1, amount: random() * 10, at }
      })
      const wanted = new Map<KeyedStore, Set<PackedKey>>()
      for (const each of events) {
        bounded.wantForUpdate('spend', each, (store, key) =>
          wanted.set(store, (wanted.get(store) ?? new Set()).add(key)),
        )
      }
      for (const [store, keys] of wanted) await store.prefetch(database, [...keys])
      for (const each of events) {
        whole.update('spend', each.at, each)
        bounded.update('spend', each.at, each)
        const [left, right] = [whole, bounded].map((state) => {
          const values = new Float64Array(state.featureNames.length)
          state.readOne(each.user, each.at + 1, values, 0)
          return Buffer.from(values.buffer).toString('hex')
        })
        expect(left).toBe(right)
      }
      const writes: DatabaseWrite[] = []
      for (const store of bounded.stores) store.collect(writes)
      await database.write(writes)
      for (const store of bounded.stores) {
        store.evict()
        expect(store.size).toBeLessThanOrEqual(5)
      }
      if (batch % 20 === 19) bounded = await restarted(bounded, database, small)
    }
  })

  test('keeps the expired out: its memory does not grow with the length of the log', () => {
    const bounded = featureView('spending', {
      entity: 'user',
      owner: 'test',
      description: 'One hour of one user',
      features: {
        n: count(spend, { over: 3_600_000, hop: 60_000 }),
        exact: sum(spend, 'amount', { over: 60_000, hop: 0 }),
      },
    })
    const state = new ViewState(bounded)
    const sizes: number[] = []
    for (let index = 0; index < 40_000; index++) {
      state.update('spend', 10_000_000 + index * 1_000, {
        user: 1,
        shop: 1,
        amount: 1,
        at: 10_000_000 + index * 1_000,
      })
      if (index % 10_000 === 9_999)
        sizes.push(state.stores.reduce((all, store) => all + (store as TileStore).memoryBytes, 0))
    }
    expect(new Set(sizes).size).toBe(1)
  })

  test('counts an event that no window can hold any more, and uses it nowhere', () => {
    const state = new ViewState(view)
    state.update('spend', 100_000, { user: 1, shop: 1, amount: 1, at: 100_000 })
    state.update('spend', 1_000, { user: 1, shop: 1, amount: 5, at: 1_000 })
    const values = new Float64Array(state.featureNames.length)
    state.readOne(1, 100_001, values, 0)
    expect(values[state.featureNames.indexOf('count w100h20')]).toBe(1)
    expect(values[state.featureNames.indexOf('count ever')]).toBe(2)
    expect(state.stores.reduce((all, store) => all + store.expiredEvents, 0)).toBeGreaterThan(0)
  })

  test('has one entity for each value of a list, and the mean of them for an event that names several', () => {
    const tagged = event(
      'tagged',
      { tags: array('string'), n: 'int', at: 'timestamp' },
      { key: 'n', time: 'at' },
    )
    const byTag = new ViewState(
      featureView('by-tag', {
        entity: each('tags'),
        owner: 'test',
        description: 'By tag',
        features: { total: sum(tagged, 'n', { over: forever }) },
      }),
    )
    byTag.update('tagged', 1, { tags: ['a', 'b', 'a'], n: 4, at: 1 })
    byTag.update('tagged', 2, { tags: ['b'], n: 2, at: 2 })
    const total = (...tags: string[]) => {
      const values = new Float64Array(1)
      byTag.read(tags, 10, values, 0)
      return values[0]
    }
    expect([total('a'), total('b'), total('a', 'b'), total('a', 'c'), total('c')]).toEqual([
      4,
      6,
      5,
      4,
      Number.NaN,
    ])
  })

  test('refuses at declaration what cannot be', () => {
    const declare = (features: Record<string, ReturnType<typeof sum>>) => () =>
      featureView('v', { entity: 'user', owner: 'o', description: 'd', features })
    expect(declare({ n: count(spend, { over: 10, hop: 0 }) })).not.toThrow()
    expect(() => count(spend, { over: 0 })).toThrow(/length must be positive, got 0/)
    expect(() => count(spend, { over: -5 })).toThrow(/got -5/)
    expect(() => count(spend, { over: 10, hop: 20 })).toThrow(/between 0 and its length 10, got 20/)
    expect(() => sum(spend, 'cents' as 'amount', { over: 10 })).toThrow(
      /no field "cents"; it has user, shop, amount, at/,
    )
    expect(() =>
      featureView('v', {
        entity: 'nobody',
        owner: 'o',
        description: 'd',
        features: { n: count(spend, { over: 10 }) },
      }),
    ).toThrow(/no such field/)
    expect(() => featureView('No', { entity: 'user', owner: 'o', description: 'd', features: {} })).toThrow(
      /lower-case words/,
    )
  })
})

function viewSpec() {
  return {
    entity: 'user' as const,
    owner: 'test',
    description: 'Against a list of all events',
    disorder,
    features: Object.fromEntries(view.features) as never,
  }
}
