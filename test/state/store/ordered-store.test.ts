import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Database, DatabaseWrite } from '../../../state/store/database.ts'
import { compareKeys } from '../../../state/store/key-encoding.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import { orderedStore } from '../../../state/store/ordered-store.ts'
import type { OrderedKey, OrderedStore } from '../../../state/store/state-store.ts'

const key = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('a', 'b')), {
  minLength: 1,
  maxLength: 2,
})
const value = fc.oneof(
  fc.double(),
  fc.string(),
  fc.bigInt({ min: 0n, max: 9n }),
  fc.record({ n: fc.integer() }),
)
type Step =
  | { readonly do: 'put'; readonly key: OrderedKey; readonly value: unknown }
  | { readonly do: 'delete'; readonly key: OrderedKey }
  | { readonly do: 'save' }
  | { readonly do: 'collect some'; readonly limit: number }
  | { readonly do: 'restart' }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key, value }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('save' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('collect some' as const), limit: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

async function save(
  store: OrderedStore<unknown>,
  database: Database,
  writes: DatabaseWrite[] = [],
): Promise<DatabaseWrite[]> {
  store.collect(writes)
  await database.write(writes)
  return writes
}

describe('an ordered store', () => {
  it('agrees with a sorted list, whenever it is saved and restored', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), key, key, async (steps, from, to) => {
        const database = memoryDatabase()
        let store = orderedStore<unknown>('s')
        const oracle = new Map<string, readonly [OrderedKey, unknown]>()
        let early: DatabaseWrite[] = []
        for (const each of steps) {
          if (each.do === 'put') {
            store.put(each.key, each.value)
            oracle.set(JSON.stringify(each.key), [each.key, each.value])
          } else if (each.do === 'delete') {
            store.delete(each.key)
            oracle.delete(JSON.stringify(each.key))
          } else if (each.do === 'collect some') {
            store.collectSome!(early, each.limit)
          } else {
            await save(store, database, early)
            early = []
            if (each.do === 'save') continue
            store = orderedStore('s')
            await store.restore(database)
          }
        }
        const sorted = [...oracle.values()].sort(([a], [b]) => compareKeys(a, b))
        expect([...store.range()]).toEqual(sorted)
        expect(store.size).toBe(sorted.length)
        expect([...store.range(from, to)]).toEqual(
          sorted.filter(([at]) => compareKeys(at, from) >= 0 && compareKeys(at, to) < 0),
        )
        for (const [at, expected] of sorted) expect(store.get(at)).toEqual(expected)
      }),
      { numRuns: 300, seed: 3 },
    )
  })

  it('collects each change once, in key order, and nothing twice', async () => {
    const store = orderedStore<number>('s')
    store.put(['b'], 1)
    store.put(['a'], 1)
    store.put(['b'], 2)
    store.delete(['a'])
    store.put(['a'], 3)
    store.put(['c'], 1)
    store.delete(['c'])
    expect(store.dirtyBytes).toBeGreaterThan(0)
    const writes: DatabaseWrite[] = []
    store.collect(writes)
    expect(
      writes.map(({ key: at, value: bytes }) => [Buffer.from(at).toString(), bytes !== undefined]),
    ).toEqual([
      [' a\0\0', true],
      [' b\0\0', true],
      [' c\0\0', false],
    ])
    expect(store.dirtyBytes).toBe(0)
    const more: DatabaseWrite[] = []
    store.collect(more)
    expect(more).toEqual([])
  })

  it('writes the same bytes for the same state, whatever was written before', () => {
    const bytesOf = (history: readonly unknown[]) => {
      const store = orderedStore<unknown>('s')
      for (const each of history) store.put(['k'], each)
      const writes: DatabaseWrite[] = []
      store.collect(writes)
      return writes
    }
    const last = { mean: 1.5, at: 5n, tags: ['x'], none: null }
    expect(bytesOf([last])).toEqual(bytesOf([{ other: 1 }, { mean: 2 }, last]))
  })

  it('keeps NaN, infinities, bigints, undefined and bytes through a restart', async () => {
    const database = memoryDatabase()
    const store = orderedStore<unknown>('s')
    const kept = {
      nan: Number.NaN,
      infinity: Number.NEGATIVE_INFINITY,
      long: 2n ** 60n,
      small: 1n,
      big: 2 ** 53,
      none: undefined,
      bytes: new Uint8Array([1, 2, 3]),
    }
    store.put([1], kept)
    await save(store, database)
    const restored = orderedStore<unknown>('s')
    await restored.restore(database)
    expect(restored.get([1])).toEqual(kept)
  })

  it('estimates what is unsaved by the size of what it saved last', async () => {
    const database = memoryDatabase()
    const store = orderedStore<unknown>('s')
    store.put(['a'], new Uint8Array(100_000))
    await save(store, database)
    store.put(['a'], new Uint8Array(100_000))
    store.put(['b'], new Uint8Array(100_000))
    expect(Math.abs(store.dirtyBytes - 200_000)).toBeLessThan(1_000)
  })

  it('keeps what it gave to the database out of reach of later changes', async () => {
    const database = memoryDatabase()
    const store = orderedStore<Uint8Array>('s')
    store.put(['a'], new Uint8Array([1, 2, 3]))
    await save(store, database)
    const first = orderedStore<Uint8Array>('s')
    await first.restore(database)
    first.get(['a'])!.fill(9)
    const second = orderedStore<Uint8Array>('s')
    await second.restore(database)
    expect([...second.get(['a'])!]).toEqual([1, 2, 3])
  })

  it('takes -0 in a key for 0, before and after a restart', async () => {
    const database = memoryDatabase()
    const store = orderedStore<number>('s')
    store.put([-0, 'a'], 1)
    store.put([0, 'a'], 2)
    store.put([-0], 3)
    expect([...store.range()]).toEqual([
      [[0], 3],
      [[0, 'a'], 2],
    ])
    await save(store, database)
    const restored = orderedStore<number>('s')
    await restored.restore(database)
    expect([...restored.range()]).toEqual([...store.range()])
    expect(restored.get([-0])).toBe(3)
  })

  it('may be changed while a range of it is read', () => {
    const store = orderedStore<number>('s')
    for (let index = 0; index < 100; index++) store.put([index], index)
    const seen: number[] = []
    for (const [at, each] of store.range([10], [20])) {
      seen.push(each)
      store.delete(at)
      store.delete([each + 1])
      store.put([each - 5], -1)
    }
    expect(seen).toEqual([10, 12, 14, 16, 18])
    expect([...store.range([4], [22])].map(([, each]) => each)).toEqual([4, -1, 6, -1, 8, -1, -1, -1, 20, 21])
  })

  it('goes on from the last key given, over what is there by then, however it is changed meanwhile', () => {
    const change = fc.record({ key, isPut: fc.boolean() })
    fc.assert(
      fc.property(
        fc.array(key, { maxLength: 12 }),
        fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 12 }),
        (first, changes) => {
          const store = orderedStore<number>('s')
          const present: OrderedKey[] = []
          const put = (at: OrderedKey) => {
            store.put(at, 1)
            if (!present.some((each) => compareKeys(each, at) === 0)) present.push(at)
          }
          const drop = (at: OrderedKey) => {
            store.delete(at)
            const index = present.findIndex((each) => compareKeys(each, at) === 0)
            if (index >= 0) present.splice(index, 1)
          }
          for (const each of first) put(each)
          let last: OrderedKey | undefined
          const after = () =>
            present.filter((each) => last === undefined || compareKeys(each, last) > 0).sort(compareKeys)[0]
          let step = 0
          for (const [at] of store.range()) {
            expect(at).toEqual(after())
            last = at
            for (const each of changes[step++] ?? []) (each.isPut ? put : drop)(each.key)
          }
          expect(after()).toBeUndefined()
        },
      ),
      { numRuns: 500, seed: 9 },
    )
  })

  it('refuses a key of NaN and stays as it was', () => {
    const store = orderedStore<number>('s')
    store.put([1], 1)
    expect(() => store.put([Number.NaN], 2)).toThrow(RangeError)
    expect(() => store.put(['a', Number.NaN], 2)).toThrow(RangeError)
    expect(() => store.put([undefined as unknown as null], 2)).toThrow(TypeError)
    expect(store.get([Number.NaN])).toBeUndefined()
    expect([...store.range()]).toEqual([[[1], 1]])
  })

  it('is empty after clear, and clear is not a change to collect', () => {
    const store = orderedStore<number>('s')
    store.put([1], 1)
    store.clear()
    expect([...store.range()]).toEqual([])
    expect(store.dirtyBytes).toBe(0)
  })
})
