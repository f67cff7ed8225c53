import fc from 'fast-check'
import { expect, test } from 'vitest'
import { enrich } from '../../../processors/feature/enrich.ts'
import { forever, ratio } from '../../../processors/feature/feature.ts'
import { type FeatureView, featureView } from '../../../processors/feature/feature-view.ts'
import { count, mean } from '../../../processors/feature/features.ts'
import {
  bottomK,
  bucketBy,
  correlation,
  covariance,
  distinctCount,
  distinctValues,
  firstK,
  frequentValues,
  histogram,
  interactedWith,
  lastK,
  quantile,
  quantiles,
  slope,
  topK,
  vectorMean,
} from '../../../processors/feature/object-features.ts'
import { ViewState } from '../../../processors/feature/view-state.ts'
import { event } from '../../../state/contracts/event.ts'
import { array, nullable } from '../../../state/contracts/field-type.ts'
import type { Database, DatabaseWrite } from '../../../state/store/database.ts'
import type { KeyedStore } from '../../../state/store/keyed-store.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import type { PackedKey } from '../../../state/store/packed-key.ts'

const play = event(
  'play',
  { user: 'int', title: nullable('string'), size: 'double', vector: array('double'), at: 'timestamp' },
  { key: 'user', time: 'at' },
)

interface Play {
  readonly user: number
  readonly title: string | null
  readonly size: number
  readonly at: number
}

const full = (each: Play) => ({ ...each, vector: [each.size, 1] })

const disorder = 30
const windows = { tiles: [100, 20], exact: [60, 0], ever: [forever, forever] } as const

const features = Object.fromEntries(
  Object.entries(windows).flatMap(([name, [over, hop]]) => {
    const window = over === forever ? { over } : { over, hop }
    return [
      [`last ${name}`, lastK(play, 'title', { ...window, k: 3 })],
      [`first ${name}`, firstK(play, 'title', { ...window, k: 2 })],
      [`top ${name}`, topK(play, 'size', { ...window, k: 2 })],
      [`big ${name}`, topK(play, 'size', { ...window, k: 2, where: ({ size }) => size < 5 })],
      [`titles ${name}`, distinctCount(play, 'title', { ...window, bound: 3, default: 0 })],
      [`bins ${name}`, histogram(play, 'size', { ...window, edges: [3, 6] })],
      [`by title ${name}`, bucketBy(play, ['title', 'size'], { ...window, of: count(), bound: 10 })],
    ] as const
  }),
)

const view = featureView('plays', {
  entity: 'user',
  owner: 'test',
  description: 'Against a list of all events',
  disorder,
  features,
})

/** What the definition says, from a list of everything that arrived, in the order of its arrival. */
function oracle(events: readonly Play[], user: number, q: number): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [name, [over, hop]] of Object.entries(windows)) {
    const from = over === forever ? -Infinity : hop > 0 ? Math.floor((q - over) / hop) * hop : q - over
    const inside = events
      .filter((each) => each.user === user && each.at >= from && each.at < q)
      .sort((a, b) => a.at - b.at)
    const titles = inside.flatMap(({ title }) => (title === null ? [] : [title]))
    const sizes = inside.map(({ size }) => size).sort((a, b) => b - a)
    const listed = <Item>(items: readonly Item[]) => (items.length === 0 ? null : items)
    const bins = [
      sizes.filter((size) => size < 3).length,
      sizes.filter((size) => size >= 3 && size < 6).length,
      sizes.filter((size) => size >= 6).length,
    ]
    values[`last ${name}`] = listed([...titles].reverse().slice(0, 3))
    values[`first ${name}`] = listed(titles.slice(0, 2))
    values[`top ${name}`] = listed(sizes.slice(0, 2))
    values[`big ${name}`] = listed(sizes.filter((size) => size < 5).slice(0, 2))
    values[`titles ${name}`] = Math.min(3, new Set(titles).size)
    values[`bins ${name}`] = sizes.length === 0 ? null : bins
    values[`by title ${name}`] =
      titles.length === 0
        ? null
        : {
            buckets: Object.fromEntries(
              titles.map((title) => [title, titles.filter((other) => other === title).length]),
            ),
            other: null,
          }
  }
  return values
}

async function restarted(state: ViewState, of: FeatureView, database: Database): Promise<ViewState> {
  const writes: DatabaseWrite[] = []
  for (const store of state.stores) store.collect(writes)
  await database.write(writes)
  const after = new ViewState(of)
  for (const store of after.stores) await store.restore(database)
  return after
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('event' as const),
      user: fc.integer({ min: 0, max: 2 }),
      title: fc.option(fc.constantFrom('a', 'b', 'c', 'd'), { nil: null }),
      size: fc.integer({ min: 0, max: 9 }),
      /** From the newest event; not older than the disorder. */
      after: fc.integer({ min: -disorder, max: 40 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      after: fc.integer({ min: -disorder, max: 90 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

test('object features are what their definition says of all events, with restarts, late events and queries in the past', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
      const database = memoryDatabase()
      let state = new ViewState(view)
      const events: Play[] = []
      const newest = [1_000, 1_000, 1_000]
      for (const each of steps) {
        if (each.kind === 'restart') state = await restarted(state, view, database)
        else if (each.kind === 'event') {
          const { user, title, size } = each
          const at = newest[user]! + each.after
          newest[user] = Math.max(newest[user]!, at)
          events.push({ user, title, size, at })
          state.update(play.topic, at, full({ user, title, size, at }))
        } else {
          for (const user of [0, 1, 2]) {
            const q = newest[user]! + each.after
            expect(state.values(user, q)).toEqual(oracle(events, user, q))
          }
        }
      }
    }),
    { numRuns: 150 },
  )
})

test('every object aggregate answers from a view, as plain data; those that are numbers are in the vector', () => {
  const window = { over: forever }
  const all = featureView('all', {
    entity: 'user',
    owner: 'test',
    description: 'every aggregate with a state of its own',
    features: {
      smallest: bottomK(play, 'size', { ...window, k: 1 }),
      values: distinctValues(play, 'title', { ...window, bound: 2 }),
      seen: interactedWith(play, 'title', { ...window, withinMs: 15, bound: 5 }),
      frequent: frequentValues(play, 'title', { ...window, k: 1 }),
      middle: quantile(play, 'size', { ...window, share: 0.5 }),
      ends: quantiles(play, 'size', { ...window, shares: [0, 1] }),
      vector: vectorMean(play, 'vector', { ...window, dimension: 2 }),
      covariance: covariance(play, ['size', 'at'], { ...window, of: 'population' }),
      correlation: correlation(play, ['size', 'at'], window),
      slope: slope(play, ['at', 'size'], window),
      meanByTitle: bucketBy(play, ['title', 'size'], { ...window, of: mean(), bound: 5 }),
      different: distinctCount(play, 'title', { ...window, bound: 9 }),
      plays: count(play, window),
      share: ratio('different', 'plays'),
    },
  })
  const state = new ViewState(all)
  for (const [title, size, at] of [
    ['a', 1, 10],
    ['b', 2, 20],
    ['a', 3, 30],
  ] as const) {
    state.update(play.topic, at, full({ user: 1, title, size, at }))
  }
  const values = state.values(1, 40)
  expect(values).toMatchObject({
    smallest: [1],
    values: ['a', 'b'],
    seen: ['a'],
    frequent: [{ value: 'a', count: 2, error: 0 }],
    vector: [2, 1],
    slope: 0.1,
    meanByTitle: { buckets: { a: 2, b: 2 }, other: null },
    different: 2,
    plays: 3,
    share: 2 / 3,
  })
  expect(values['covariance']).toBeCloseTo(20 / 3, 10)
  expect(values['correlation']).toBeCloseTo(1, 10)
  expect(values['middle']).toBeCloseTo(2, 1)
  const vector = new Float64Array(state.featureNames.length)
  state.readOne(1, 40, vector, 0)
  expect(vector[state.featureNames.indexOf('different')]).toBe(2)
  expect(vector[state.featureNames.indexOf('smallest')]).toBeNaN()
})

test('keys beyond the bound wait in the database and come back as they were', async () => {
  const bounded = new ViewState({ ...view, maxKeys: 4 })
  const whole = new ViewState(view)
  const database = memoryDatabase()
  for (let batch = 0; batch < 20; batch++) {
    const events = Array.from({ length: 6 }, (_, index): Play => {
      const at = batch * 40 + index
      return { user: (batch * 7 + index * 5) % 12, title: 'abc'[index % 3]!, size: (batch + index) % 9, at }
    })
    const wanted = new Map<KeyedStore, Set<PackedKey>>()
    for (const each of events) {
      bounded.wantForUpdate(play.topic, full(each), (store, key) =>
        wanted.set(store, (wanted.get(store) ?? new Set()).add(key)),
      )
    }
    for (const [store, keys] of wanted) await store.prefetch(database, [...keys])
    for (const each of events) {
      bounded.update(play.topic, each.at, full(each))
      whole.update(play.topic, each.at, full(each))
    }
    for (const { user } of events)
      expect(bounded.values(user, batch * 40 + 6)).toEqual(whole.values(user, batch * 40 + 6))
    const writes: DatabaseWrite[] = []
    for (const store of bounded.stores) store.collect(writes)
    await database.write(writes)
    for (const store of bounded.stores) store.evict()
    for (const store of bounded.stores) expect(store.size).toBeLessThanOrEqual(4)
  }
})

test('a restored state is written as the same bytes', async () => {
  const state = new ViewState(view)
  for (let at = 0; at < 500; at += 7) {
    state.update(play.topic, at, full({ user: 1, title: 'abcd'[at % 4]!, size: at % 10, at }))
  }
  const database = memoryDatabase()
  const after = await restarted(state, view, database)
  const last = full({ user: 1, title: 'e', size: 1, at: 501 })
  const [one, other] = [state, after].map((each) => {
    each.update(play.topic, 501, last)
    const writes: DatabaseWrite[] = []
    for (const store of each.stores) store.collect(writes)
    return writes
  })
  expect(other).toEqual(one)
})

test('a list has no place in a vector: enrich and derived features refuse it', () => {
  expect(() => enrich(play, [view])).toThrow('its feature "last tiles" (lastK) is a list')
  expect(() =>
    featureView('bad', {
      entity: 'user',
      owner: 'test',
      description: '',
      features: { titles: lastK(play, 'title', { over: 10, k: 1 }), wrong: ratio('titles', 'titles') },
    }),
  ).toThrow('derived from "titles", whose value is no number')
  // @ts-expect-error there is no such field
  expect(() => lastK(play, 'titel', { over: 10, k: 1 })).toThrow('no field "titel"')
})
