import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DatabaseWrite } from '../../../state/store/database.ts'
import { decodeKey } from '../../../state/store/key-encoding.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import { WindowStore } from '../../../state/store/window-store.ts'

type Step =
  | { readonly do: 'set'; readonly startMs: number; readonly key: string; readonly value: number }
  | { readonly do: 'drop'; readonly startMs: number }
  | { readonly do: 'save' }
  | { readonly do: 'collect some'; readonly limit: number }
  | { readonly do: 'restart' }

const startMs = fc.constantFrom(-10, 0, 10, 20)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      startMs,
      key: fc.constantFrom('a', 'b', 'c'),
      value: fc.nat(99),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('drop' as const), startMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('save' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('collect some' as const), limit: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

const newStore = () => new WindowStore('windows', 2, 'value twice')

/** What a store holds, by start and key. */
function rowsOf(store: WindowStore): unknown[] {
  return store.starts.flatMap((start) =>
    [...store.slotsAt(start)]
      .map((slot) => [start, store.keyOf(slot), ...store.cells.subarray(slot * 2, slot * 2 + 2)])
      .sort((left, right) => (String(left[1]) < String(right[1]) ? -1 : 1)),
  )
}

test('a window store holds what a plain map would, and so does its database after a save, however often it was restarted', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const database = memoryDatabase()
      const oracle = new Map<string, [startMs: number, key: string, value: number, twice: number]>()
      let saved = new Map(oracle)
      let store = newStore()
      let early: DatabaseWrite[] = []
      const save = async (): Promise<void> => {
        store.collect(early)
        await database.write(early)
        early = []
        saved = new Map(oracle)
      }
      for (const each of steps) {
        switch (each.do) {
          case 'set': {
            const known = store.find(each.startMs, each.key)
            const slot = known < 0 ? store.add(each.startMs, each.key) : known
            store.cells.set([each.value, each.value * 2], slot * 2)
            store.changed(slot)
            oracle.set(`${each.startMs} ${each.key}`, [each.startMs, each.key, each.value, each.value * 2])
            break
          }
          case 'drop':
            store.drop(each.startMs)
            for (const [name, [start]] of oracle) if (start === each.startMs) oracle.delete(name)
            break
          case 'save':
            await save()
            break
          case 'collect some':
            store.collectSome(early, each.limit)
            break
          case 'restart':
            store = newStore()
            early = []
            await store.restore(database)
            oracle.clear()
            for (const [name, row] of saved) oracle.set(name, row)
        }
        const wanted = [...oracle.values()].sort(
          ([left, one], [right, other]) => left - right || (one < other ? -1 : 1),
        )
        expect(rowsOf(store)).toEqual(wanted)
      }
      await save()
      const inDatabase: unknown[] = []
      for await (const chunk of database.scan('windows')) {
        for (const { key, value } of chunk) {
          inDatabase.push([...decodeKey(key), ...new Float64Array(Uint8Array.from(value).buffer)])
        }
      }
      expect(inDatabase).toEqual(rowsOf(store))
    }),
    { numRuns: 500 },
  )
})
