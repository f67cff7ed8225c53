import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TileLayout } from '../../../state/store/tile-layout.ts'
import { TileSlots } from '../../../state/store/tile-slots.ts'

/** Row: [count, sum of whole numbers, a fold that tells the order]. */
function layout(hopMs: number, retentionMs: number, disorderMs: number, rawsPerTile: number): TileLayout {
  const add = (cells: Float64Array, at: number, value: number) => {
    cells[at]!++
    cells[at + 1]! += value
    cells[at + 2] = (cells[at + 2]! * 31 + value) % 65_521
  }
  return {
    id: 'test',
    hopMs,
    retentionMs,
    disorderMs,
    keepsLatest: false,
    rawsPerTile,
    inputs: 1,
    width: 3,
    init: (cells, at) => cells.fill(0, at, at + 3),
    add: (cells, at, values, valuesAt) => add(cells, at, values[valuesAt]!),
    addRaws(into, at, raws, from, stride, count) {
      for (let index = 0; index < count; index++) add(into, at, raws[from + index * stride + 1]!)
    },
    mergeRows(into, at, rows, from, stride, count) {
      for (let index = 0; index < count; index++) {
        const row = from + index * stride
        into[at]! += rows[row]!
        into[at + 1]! += rows[row + 1]!
        into[at + 2] = (into[at + 2]! * 7 + rows[row + 2]!) % 65_521
      }
    },
  }
}

interface Event {
  readonly atMs: number
  readonly value: number
}

/** Steps of time that make full tiles, empty tiles, ties and late events. */
const events = fc
  .array(
    fc.record({
      step: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 4 }) },
        { weight: 2, arbitrary: fc.integer({ min: -60, max: 0 }) },
        { weight: 1, arbitrary: fc.integer({ min: 5, max: 60 }) },
      ),
      value: fc.integer({ min: 1, max: 50 }),
    }),
    { minLength: 1, maxLength: 120, size: 'max' },
  )
  .map((steps) => {
    let newest = 1_000
    return steps.map(({ step, value }): Event => {
      const atMs = newest + step
      newest = Math.max(newest, atMs)
      return { atMs, value }
    })
  })

const hopMs = 10
const disorderMs = 15
const retentionMs = 100

function read(slots: TileSlots, slot: number, queryMs: number, overMs: number): number[] {
  const into = new Float64Array(3)
  slots.readWindows(slot, queryMs, Float64Array.of(overMs), into, new Int32Array(1))
  return [...into]
}

function reopened(slots: TileSlots, slot: number): TileSlots {
  const saved = new Float64Array(slots.sizeOf(slot))
  slots.save(slot, saved, 0)
  const fresh = new TileSlots(slots.layout)
  fresh.open(slot)
  fresh.load(slot, saved)
  return fresh
}

describe('tiles of one key', () => {
  test.each([
    [0, hopMs, retentionMs],
    [1, hopMs, retentionMs],
    [2, hopMs, retentionMs],
    [4, hopMs, retentionMs],
    [0, 0, retentionMs],
    // Long enough for blocks of 32 tiles.
    [0, 1, retentionMs],
    [2, 1, retentionMs],
    [3, 2, 200],
  ])(
    'show what a list of events would, with %d events kept as they are in tiles of %d ms',
    (rawsPerTile, hop, retentionMs) => {
      fc.assert(
        fc.property(events, fc.constantFrom(20, 50, 100, retentionMs), (list, overMs) => {
          const slots = new TileSlots(layout(hop, retentionMs, disorderMs, rawsPerTile))
          slots.open(0)
          let newest = Number.NEGATIVE_INFINITY
          let kept: Event[] = []
          for (const event of list) {
            slots.add(0, event.atMs, Float64Array.of(event.value))
            const oldest = newest - disorderMs - retentionMs
            const expired = event.atMs < (hop > 0 ? Math.floor(oldest / hop) * hop : oldest)
            if (!expired) kept = [...kept, event]
            newest = Math.max(newest, event.atMs)
            for (const queryMs of [newest - disorderMs, newest - 3, newest, newest + 1, newest + 37]) {
              const from = hop > 0 ? Math.floor((queryMs - overMs) / hop) * hop : queryMs - overMs
              const seen = kept.filter(({ atMs }) => from <= atMs && atMs < queryMs)
              expect(read(slots, 0, queryMs, overMs).slice(0, 2)).toEqual([
                seen.length,
                seen.reduce((sum, { value }) => sum + value, 0),
              ])
            }
            // Further back a read is exact where it does not split a tile.
            const pastMs = hop > 0 ? Math.floor((newest - 70) / hop) * hop : newest - 70
            const past = kept.filter(({ atMs }) => pastMs - 20 <= atMs && atMs < pastMs)
            expect(read(slots, 0, pastMs, 20)[0]).toBe(past.length)
          }
          expect(slots.impreciseReads).toBe(0)
        }),
      )
    },
  )

  test.each([
    [0, hopMs],
    [1, hopMs],
    [2, hopMs],
    [4, hopMs],
    [0, 1],
    [2, 1],
  ])(
    'go on after a restart as if there had been none, with %d events kept in tiles of %d ms',
    (rawsPerTile, hop) => {
      fc.assert(
        fc.property(events, fc.integer({ min: 1, max: 9 }), (list, every) => {
          const through = new TileSlots(layout(hop, retentionMs, disorderMs, rawsPerTile))
          through.open(0)
          let restarted = new TileSlots(through.layout)
          restarted.open(0)
          for (const [index, { atMs, value }] of list.entries()) {
            if (index % every === 0) restarted = reopened(restarted, 0)
            for (const slots of [through, restarted]) slots.add(0, atMs, Float64Array.of(value))
            const queryMs = atMs + 1
            // The order shows in the third column: it has to be the same too.
            expect(read(restarted, 0, queryMs, 100)).toEqual(read(through, 0, queryMs, 100))
          }
          const saved = (slots: TileSlots) => {
            const doubles = new Float64Array(slots.sizeOf(0))
            slots.save(0, doubles, 0)
            return doubles
          }
          expect(saved(restarted)).toEqual(saved(through))
        }),
      )
    },
  )

  test('are read oldest first, whether they are rows or events', () => {
    const slots = new TileSlots(layout(hopMs, 1_000, 0, 1))
    slots.open(0)
    // Tile 0 has one event, tile 10 three, tile 20 one, tile 30 three; 99 pushes all out of the tail.
    for (const [atMs, value] of [
      [1, 1],
      [11, 2],
      [12, 3],
      [13, 4],
      [21, 5],
      [31, 6],
      [32, 7],
      [33, 8],
      [99, 9],
    ] as const) {
      slots.add(0, atMs, Float64Array.of(value))
    }
    const row = (values: readonly number[]) => values.reduce((hash, value) => (hash * 31 + value) % 65_521, 0)
    let expected = row([1])
    expected = (expected * 7 + row([2, 3, 4])) % 65_521
    expected = (expected * 31 + 5) % 65_521
    expected = (expected * 7 + row([6, 7, 8])) % 65_521
    expect(read(slots, 0, 99, 500)).toEqual([8, 36, expected])
  })

  test('of a busy key are merged in blocks: a long window costs dozens of merges, not hundreds', () => {
    const merged: number[] = []
    const counted = {
      ...layout(1, 720, 0, 0),
      mergeRows(
        into: Float64Array,
        at: number,
        rows: Float64Array,
        from: number,
        stride: number,
        count: number,
      ) {
        merged.push(count)
        for (let index = 0; index < count; index++) into[at]! += rows[from + index * stride]!
      },
    }
    const slots = new TileSlots(counted)
    slots.open(0)
    for (let atMs = 0; atMs < 2_000; atMs++) slots.add(0, atMs, Float64Array.of(1))
    merged.length = 0
    expect(read(slots, 0, 1_999, 720)[0]).toBe(720)
    expect(merged.reduce((sum, count) => sum + count, 0)).toBeLessThan(90)
  })

  test('many keys share the memory without touching one another, released ones too', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 3 }), fc.boolean()), {
          minLength: 20,
          maxLength: 200,
        }),
        (steps) => {
          const slots = new TileSlots(layout(hopMs, retentionMs, disorderMs, 2))
          const counts = new Map<number, Event[]>()
          let nowMs = 0
          for (const [slot, step, letGo] of steps) {
            nowMs += step
            if (letGo && counts.has(slot)) {
              slots.release(slot)
              counts.delete(slot)
            }
            if (!counts.has(slot)) {
              slots.open(slot)
              counts.set(slot, [])
            }
            slots.add(slot, nowMs, Float64Array.of(slot + 1))
            counts.get(slot)!.push({ atMs: nowMs, value: slot + 1 })
            for (const [other, list] of counts) {
              const from = Math.floor((nowMs + 1 - retentionMs) / hopMs) * hopMs
              const seen = list.filter(({ atMs }) => atMs >= from)
              expect(read(slots, other, nowMs + 1, retentionMs).slice(0, 2)).toEqual([
                seen.length,
                seen.length * (other + 1),
              ])
            }
          }
        },
      ),
    )
  })
})

test('exact windows that are asked for again, with events in between, are what a fold from the start says', () => {
  const overs = Float64Array.of(40, 1_000, 400)
  const exact = layout(0, 1_000, disorderMs, 0)
  const slotCount = 3
  const asked = fc.array(fc.record({ slot: fc.nat(2), later: fc.integer({ min: -disorderMs, max: 30 }) }), {
    maxLength: 3,
  })
  const steps = fc.array(
    fc.record({ slot: fc.nat(2), step: fc.integer({ min: -disorderMs, max: 12 }), asked }),
    {
      minLength: 150,
      maxLength: 300,
      size: 'max',
    },
  )
  fc.assert(
    fc.property(steps, (given) => {
      const slots = new TileSlots(exact)
      for (let slot = 0; slot < slotCount; slot++) slots.open(slot)
      const fed: Event[][] = Array.from({ length: slotCount }, () => [])
      const newest = new Float64Array(slotCount).fill(1_000)
      const add = (slot: number, atMs: number, value: number) => {
        newest[slot] = Math.max(newest[slot]!, atMs)
        fed[slot]!.push({ atMs, value })
        slots.add(slot, atMs, Float64Array.of(value))
      }
      const check = (slot: number, queryMs: number) => {
        const rows = new Float64Array(9)
        const merged = new Int32Array(3)
        slots.readWindows(slot, queryMs, overs, rows, merged)
        const inOrder = [...fed[slot]!].sort((a, b) => a.atMs - b.atMs)
        for (const [window, overMs] of overs.entries()) {
          const inside = inOrder.filter(({ atMs }) => atMs >= queryMs - overMs && atMs < queryMs)
          const row = new Float64Array(3)
          for (const { value } of inside) exact.add(row, 0, Float64Array.of(value), 0, 0)
          expect([merged[window], ...rows.subarray(3 * window, 3 * window + 3)]).toEqual([
            inside.length,
            ...row,
          ])
        }
      }
      for (const [index, { slot, step, asked: reads }] of given.entries()) {
        add(slot, newest[slot]! + step, index % 50)
        for (const { slot: of, later } of reads) {
          check(of, newest[of]! + later)
          check(of, newest[of]! + later)
        }
      }
    }),
    // A counterexample this long is not worth making smaller.
    { numRuns: 12, endOnFailure: true },
  )
})

test('exact windows of more slots than are remembered are each its own', () => {
  const overs = Float64Array.of(1_000)
  const slots = new TileSlots(layout(0, 1_000, disorderMs, 0))
  for (let slot = 0; slot < 300; slot++) {
    slots.open(slot)
    for (let atMs = 0; atMs < 70; atMs++) slots.add(slot, atMs, Float64Array.of(slot))
  }
  for (let round = 0; round < 2; round++) {
    for (let slot = 0; slot < 300; slot++) {
      const row = new Float64Array(3)
      slots.readWindows(slot, 100, overs, row, new Int32Array(1))
      expect([...row.subarray(0, 2)]).toEqual([70, 70 * slot])
    }
  }
})

for (const rawsPerTile of [0, 2]) {
  test(`long windows that are read after every event are what a slot that was never read says, with ${rawsPerTile} events kept in tiles`, () => {
    const overs = Float64Array.of(200, 900, 1_000)
    // 100 tiles: blocks of 32 are made on the way.
    const long = layout(hopMs, 1_000, disorderMs, rawsPerTile)
    const steps = fc.array(
      fc.record({
        step: fc.oneof(
          { weight: 30, arbitrary: fc.integer({ min: 0, max: 5 }) },
          { weight: 2, arbitrary: fc.integer({ min: -disorderMs, max: 0 }) },
          { weight: 1, arbitrary: fc.integer({ min: -400, max: 0 }) },
          { weight: 1, arbitrary: fc.integer({ min: 6, max: 400 }) },
        ),
        value: fc.integer({ min: 1, max: 50 }),
        later: fc.integer({ min: -disorderMs, max: 30 }),
        isCompared: fc.integer({ min: 0, max: 19 }).map((one) => one === 0),
      }),
      { minLength: 600, maxLength: 900, size: 'max' },
    )
    fc.assert(
      fc.property(steps, (given) => {
        const slots = new TileSlots(long)
        slots.open(0)
        let newest = 10_000
        for (const { step, value, later, isCompared } of given) {
          slots.add(0, newest + step, Float64Array.of(value))
          newest = Math.max(newest, newest + step)
          const seen = [new Float64Array(9), new Int32Array(3)] as const
          slots.readWindows(0, newest + later, overs, ...seen)
          if (!isCompared) continue
          const afresh = [new Float64Array(9), new Int32Array(3)] as const
          reopened(slots, 0).readWindows(0, newest + later, overs, ...afresh)
          expect(seen).toEqual(afresh)
        }
      }),
      { numRuns: 15, endOnFailure: true },
    )
  })
}
