import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DatabaseWrite } from '../../../state/store/database.ts'
import { KeyWindowStore } from '../../../state/store/key-window-store.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'

type Step =
  | { readonly do: 'set'; readonly startMs: number; readonly key: string; readonly value: number }
  | { readonly do: 'remove'; readonly startMs: number; readonly key: string }
  | { readonly do: 'save' }
  | { readonly do: 'collect some'; readonly limit: number }
  | { readonly do: 'restart' }

const startMs = fc.constantFrom(-10, 0, 10, 20)
const key = fc.constantFrom('a', 'b')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('set' as const), startMs, key, value: fc.nat(99) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), startMs, key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('save' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('collect some' as const), limit: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

type Row = readonly [key: string, startMs: number, value: number, twice: number, beside: unknown]

/** Rows of each key by start, as slots are given. */
const rowsOf = (store: KeyWindowStore): unknown[] =>
  ['a', 'b'].flatMap((each) =>
    store
      .slotsOf(each)
      .map((slot) => [
        store.keyOf(slot),
        store.startOf(slot),
        ...store.cells.subarray(slot * 2, slot * 2 + 2),
        store.values[slot],
      ]),
  )

const slotOf = (store: KeyWindowStore, owner: string, atMs: number): number | undefined => {
  const slots = store.slotsOf(owner)
  const slot = slots[store.placeOf(slots, atMs)]
  return slot !== undefined && store.startOf(slot) === atMs ? slot : undefined
}

for (const columns of ['value twice', undefined]) {
  test(`windows by key ${columns === undefined ? 'with values beside their rows' : 'in rows alone'} are what a plain map holds, and so is a store that was restored`, async () => {
    const newStore = () => new KeyWindowStore('windows', 2, columns)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const database = memoryDatabase()
        const oracle = new Map<string, Row>()
        let saved = new Map(oracle)
        let store = newStore()
        let early: DatabaseWrite[] = []
        const wanted = (): unknown[] =>
          [...oracle.values()].sort(
            ([one, left], [other, right]) => (one < other ? -1 : one > other ? 1 : 0) || left - right,
          )
        for (const each of steps) {
          switch (each.do) {
            case 'set': {
              const slot = slotOf(store, each.key, each.startMs) ?? store.add(each.key, each.startMs)
              const beside = columns === undefined ? [each.value] : undefined
              store.cells.set([each.value, each.value * 2], slot * 2)
              if (columns === undefined) store.values[slot] = beside
              store.changed(slot)
              oracle.set(`${each.key} ${each.startMs}`, [
                each.key,
                each.startMs,
                each.value,
                each.value * 2,
                beside,
              ])
              break
            }
            case 'remove': {
              const slot = slotOf(store, each.key, each.startMs)
              if (slot !== undefined) store.remove(slot)
              oracle.delete(`${each.key} ${each.startMs}`)
              break
            }
            case 'save':
              store.collect(early)
              await database.write(early)
              early = []
              saved = new Map(oracle)
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
          expect(rowsOf(store)).toEqual(wanted())
          expect([...store.slots()].length).toBe(oracle.size)
        }
      }),
      { numRuns: 300 },
    )
  })
}
