import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DatabaseWrite } from '../../../state/store/database.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import type { TileLayout } from '../../../state/store/tile-layout.ts'
import { TileStore } from '../../../state/store/tile-store.ts'

const layout: TileLayout = {
  id: 'count',
  hopMs: 10,
  retentionMs: 200,
  disorderMs: 5,
  keepsLatest: false,
  rawsPerTile: 1,
  inputs: 1,
  width: 1,
  init: (cells, at) => cells.fill(0, at, at + 1),
  add: (cells, at) => cells[at]!++,
  addRaws: (into, at, _raws, _from, _stride, count) => (into[at]! += count),
  mergeRows(into, at, rows, from, stride, count) {
    for (let index = 0; index < count; index++) into[at]! += rows[from + index * stride]!
  },
}
const keyCount = 12
const newStore = () => new TileStore({ name: 's', layout, keyParts: 1, maxKeys: 5 })

function countOf(store: TileStore, key: number, queryMs: number): number {
  const rows = new Float64Array(1)
  store.readWindows(store.find(key), queryMs, Float64Array.of(200), rows, new Int32Array(1))
  return rows[0]!
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ key: fc.nat({ max: keyCount - 1 }), ms: fc.nat({ max: 9 }) }) },
  { weight: 2, arbitrary: fc.record({ some: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.constant('checkpoint' as const) },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
)

describe('a tile store', () => {
  test('holds what was folded, however it is saved, evicted, loaded and restarted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        const database = memoryDatabase()
        let store = newStore()
        let early: DatabaseWrite[] = []
        const times = new Map<number, number[]>()
        let nowMs = 1_000
        const checkpoint = async () => {
          store.collect(early)
          await database.write(early)
          early = []
          store.evict()
          expect(store.dirtyBytes).toBe(0)
        }
        for (const each of steps) {
          if (each === 'checkpoint') await checkpoint()
          else if (each === 'restart') {
            await checkpoint()
            store = newStore()
            await store.restore(database)
          } else if ('some' in each) store.collectSome(early, each.some)
          else {
            nowMs += each.ms
            if (store.isMissing(each.key)) await store.prefetch(database, [each.key])
            store.add(store.slotOf(each.key), nowMs, Float64Array.of(1))
            times.set(each.key, [...(times.get(each.key) ?? []), nowMs])
          }
        }
        for (let key = 0; key < keyCount; key++) {
          if (store.isMissing(key)) await store.prefetch(database, [key])
          const from = Math.floor((nowMs + 1 - 200) / 10) * 10
          const seen = (times.get(key) ?? []).filter((atMs) => atMs >= from)
          expect(countOf(store, key, nowMs + 1)).toBe(seen.length)
        }
      }),
      { numRuns: 300 },
    )
  })
})
