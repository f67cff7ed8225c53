import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StreamRecord } from '../../../processors/operator.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'
import { suppress } from '../../../processors/stream/suppress.ts'
import { countWindows } from '../../../processors/window/count-windows.ts'
import { session } from '../../../processors/window/session-windows.ts'
import { sliding } from '../../../processors/window/sliding-windows.ts'
import { hopping, tumbling } from '../../../processors/window/time-windows.ts'
import type { WindowEmit, WindowFold, WindowResult } from '../../../processors/window/window.ts'
import { windowAggregate } from '../../../processors/window/window-aggregate.ts'
import type { Windows } from '../../../processors/window/window-stage.ts'
import {
  arrivals,
  expectRestartsUnseen,
  type GraphUnderTest,
  type Piped,
  runGraph,
  sorted,
} from '../../support/graph-runs.ts'

/** Values of a window in any order, so that results can be compared with a list. */
const list: WindowFold<number, number[], number[]> = {
  init: () => [],
  add: (state, value) => [...state, value],
  merge: (older, newer) => [...older, ...newer],
  finish: (state) => [...state].sort((left, right) => left - right),
}

const graphOf = (windows: Windows, emit: WindowEmit): GraphUnderTest => ({
  outputs: ['out'],
  build: (graph) => {
    const operator = windowAggregate<StreamRecord, number, number[], number[]>({
      name: 'windows',
      windows,
      aggregate: list,
      emit,
    })
    graph.output('out', graph.input('input').pipe(operator.connect(graph.context)))
  },
})

const rowOf = (record: StreamRecord) => {
  const { key, startMs, endMs } = (record as WindowResult<string>).key
  return [key, startMs, endMs, record.value, record.timestampMs]
}

const finalRows = async (windows: Windows, piped: readonly Piped[]): Promise<unknown[]> => {
  const { outputs, drops } = await runGraph(graphOf(windows, 'close'), piped, { flushMs: 100_000 })
  expect(drops).toEqual([])
  return sorted((outputs['out'] ?? []).map(rowOf))
}

interface Given {
  readonly value: number
  readonly atMs: number
}

/** A key's records by event time. */
function byKey(piped: readonly Piped[]): Map<unknown, Given[]> {
  const keys = new Map<unknown, Given[]>()
  for (const [, { key, value, timestampMs }] of piped) {
    keys.set(key, [...(keys.get(key) ?? []), { value: value as number, atMs: timestampMs }])
  }
  for (const records of keys.values()) records.sort((left, right) => left.atMs - right.atMs)
  return keys
}

const rowsOf = (key: unknown, startMs: number, endMs: number, records: readonly Given[]) => [
  key,
  startMs,
  endMs,
  records.map(({ value }) => value).sort((left, right) => left - right),
  Math.max(...records.map(({ atMs }) => atMs)),
]

const graceMs = 6
const piped = arrivals({ value: fc.nat(999), disorderMs: graceMs, spanMs: 60 })
const anyDisorder = arrivals({ value: fc.nat(999), disorderMs: 30, spanMs: 80, keys: ['a', 'b', null] })

describe('windows, when nothing comes later than the grace', () => {
  it('hopping: each window holds the records of [start, end)', async () => {
    const sizes = fc
      .integer({ min: 1, max: 40 })
      .chain((sizeMs) =>
        fc.record({ sizeMs: fc.constant(sizeMs), advanceMs: fc.integer({ min: 1, max: sizeMs }) }),
      )
    await fc.assert(
      fc.asyncProperty(piped, sizes, async (records, { sizeMs, advanceMs }) => {
        const expected: unknown[] = []
        for (const [key, given] of byKey(records)) {
          for (let startMs = 0; startMs <= 60; startMs += advanceMs) {
            const inside = given.filter(({ atMs }) => atMs >= startMs && atMs < startMs + sizeMs)
            if (inside.length > 0) expected.push(rowsOf(key, startMs, startMs + sizeMs, inside))
          }
        }
        expect(await finalRows(hopping({ sizeMs, advanceMs, graceMs }), records)).toEqual(sorted(expected))
      }),
    )
  })

  it('sessions: runs of records at most the gap apart', async () => {
    await fc.assert(
      fc.asyncProperty(piped, fc.integer({ min: 1, max: 8 }), async (records, gapMs) => {
        const expected: unknown[] = []
        for (const [key, given] of byKey(records)) {
          let run: Given[] = []
          for (const [index, each] of given.entries()) {
            run.push(each)
            const next = given[index + 1]
            if (next !== undefined && next.atMs - each.atMs <= gapMs) continue
            expected.push(rowsOf(key, run[0]!.atMs, each.atMs, run))
            run = []
          }
        }
        expect(await finalRows(session({ gapMs, graceMs }), records)).toEqual(sorted(expected))
      }),
    )
  })

  it('sliding: the windows that end at a record, and those that begin just after one', async () => {
    await fc.assert(
      fc.asyncProperty(piped, fc.integer({ min: 1, max: 10 }), async (records, differenceMs) => {
        // Early records share a window; the golden cases look at that.
        const later = records.map(
          ([input, record]): Piped => [input, { ...record, timestampMs: record.timestampMs + 1_000 }],
        )
        const expected: unknown[] = []
        for (const [key, given] of byKey(later)) {
          const starts = new Set(given.flatMap(({ atMs }) => [atMs - differenceMs, atMs + 1]))
          for (const startMs of starts) {
            const inside = given.filter(({ atMs }) => atMs >= startMs && atMs <= startMs + differenceMs)
            if (inside.length > 0) expected.push(rowsOf(key, startMs, startMs + differenceMs, inside))
          }
        }
        expect(await finalRows(sliding({ differenceMs, graceMs }), later)).toEqual(sorted(expected))
      }),
    )
  })

  it('sliding: each record tells once of each window that it is in, new ones and those of before', async () => {
    await fc.assert(
      fc.asyncProperty(piped, fc.integer({ min: 1, max: 10 }), async (records, differenceMs) => {
        const later = records.map(
          ([input, record]): Piped => [input, { ...record, timestampMs: record.timestampMs + 1_000 }],
        )
        const { outputs } = await runGraph(
          graphOf(sliding({ differenceMs, graceMs: 1_000 }), 'update'),
          later,
        )
        const told = outputs['out']!.map((record) => {
          const { key, startMs } = (record as WindowResult<string>).key
          return `${record.offset} ${key} ${startMs}`
        })
        expect(new Set(told).size).toBe(told.length)
        // The last word on each window holds all of its records.
        const last = new Map(outputs['out']!.map((record) => [JSON.stringify(record.key), rowOf(record)]))
        const expected: unknown[] = []
        for (const [key, given] of byKey(later)) {
          const starts = new Set(given.flatMap(({ atMs }) => [atMs - differenceMs, atMs + 1]))
          for (const startMs of starts) {
            const inside = given.filter(({ atMs }) => atMs >= startMs && atMs <= startMs + differenceMs)
            if (inside.length > 0) expected.push(rowsOf(key, startMs, startMs + differenceMs, inside))
          }
        }
        expect(sorted([...last.values()])).toEqual(sorted(expected))
      }),
    )
  })

  it('count windows: every so many records of a key, by arrival', async () => {
    const counts = fc
      .integer({ min: 1, max: 5 })
      .chain((count) => fc.record({ count: fc.constant(count), step: fc.integer({ min: 1, max: count }) }))
    await fc.assert(
      fc.asyncProperty(piped, counts, async (records, { count, step }) => {
        const expected: unknown[] = []
        for (const key of ['a', 'b']) {
          const given = records
            .filter(([, record]) => record.key === key)
            .map(([, { value, timestampMs }]) => ({ value: value as number, atMs: timestampMs }))
          for (let from = 0; from + count <= given.length; from += step) {
            const inside = given.slice(from, from + count)
            expected.push(rowsOf(key, inside[0]!.atMs, inside.at(-1)!.atMs, inside))
          }
        }
        expect(await finalRows(countWindows(count, step), records)).toEqual(sorted(expected))
      }),
    )
  })
})

describe('the borders of windows', () => {
  const at = (key: string, value: number, timestampMs: number): Piped => [
    'input',
    { key, value, timestampMs },
  ]

  it('a session still takes a record exactly at its gap when stream time is exactly at its close', async () => {
    const rows = await finalRows(session({ gapMs: 5, graceMs: 3 }), [
      at('a', 1, 0),
      at('b', 2, 8),
      at('a', 3, 5),
    ])
    expect(rows).toEqual([
      ['a', 0, 5, [1, 3], 5],
      ['b', 8, 8, [2], 8],
    ])
  })

  it('a half-open session is closed then', async () => {
    const windows = session({ gapMs: 5, graceMs: 3, bounds: 'half-open' })
    const rows = await finalRows(windows, [at('a', 1, 0), at('b', 2, 8), at('a', 3, 5)])
    expect(rows).toEqual([
      ['a', 0, 5, [1], 0],
      ['a', 5, 10, [3], 5],
      ['b', 8, 13, [2], 8],
    ])
  })

  it('a sliding window that begins just after a record does not take a second record of its instant', async () => {
    const windows = sliding({ differenceMs: 5, graceMs: 6 })
    const rows = await finalRows(windows, [at('a', 1, 10), at('a', 2, 12), at('a', 3, 10)])
    expect(rows).toEqual([
      ['a', 11, 16, [2], 12],
      ['a', 5, 10, [1, 3], 10],
      ['a', 7, 12, [1, 2, 3], 12],
    ])
  })
})

const kinds: readonly (readonly [string, Windows])[] = [
  ['tumbling', tumbling({ sizeMs: 20, graceMs })],
  ['hopping', hopping({ sizeMs: 20, advanceMs: 6, graceMs })],
  ['session', session({ gapMs: 8, graceMs })],
  ['half-open session', session({ gapMs: 8, graceMs, bounds: 'half-open' })],
  ['sliding', sliding({ differenceMs: 9, graceMs })],
  ['count', countWindows(4, 3)],
]
const emits: readonly WindowEmit[] = ['update', 'close', 'update-and-close', 'end']

describe('windows, however late records come', () => {
  for (const [kind, windows] of kinds) {
    it(`give the same with a restart between any two records: ${kind}`, async () => {
      for (const emit of emits) {
        await expectRestartsUnseen(graphOf(windows, emit), anyDisorder, { numRuns: 25 })
      }
    })

    if (kind === 'count') continue
    it(`keep nothing when all time is over: ${kind}`, async () => {
      await fc.assert(
        fc.asyncProperty(anyDisorder, async (records) => {
          const driver = await StreamDriver.start(graphOf(windows, 'close'))
          for (const [input, record] of records) driver.pipe(input, record)
          driver.advanceTo(100_000)
          const sizes = driver.storeNames
            .filter((name) => !name.endsWith('-clock'))
            .map((name) => driver.store(name)?.size ?? 0)
          expect(Math.max(...sizes)).toBe(0)
        }),
      )
    })

    it(`held back until they close are the ones that are given out when they close: ${kind}`, async () => {
      const updates = graphOf(windows, 'update')
      const held: GraphUnderTest = {
        outputs: ['held'],
        build: (graph) =>
          updates.build({
            ...graph,
            output: (_, records) => {
              const operator = suppress<StreamRecord>({
                name: 'held',
                until: { windowCloses: windows },
                bound: 'unbounded',
              })
              graph.output('held', records.pipe(operator.connect(graph.context)))
            },
          }),
      }
      await fc.assert(
        fc.asyncProperty(anyDisorder, async (records) => {
          const closed = await runGraph(graphOf(windows, 'close'), records, { flushMs: 100_000 })
          const kept = await runGraph(held, records, { flushMs: 100_000 })
          const rows = (all: readonly StreamRecord[] | undefined) => sorted((all ?? []).map(rowOf))
          expect(rows(kept.outputs['held'])).toEqual(rows(closed.outputs['out']))
        }),
      )
    })
  }

  it('a late record counts in the windows that are still open, and its lateness is the grace it lacked', async () => {
    const { outputs, drops } = await runGraph(
      graphOf(hopping({ sizeMs: 10, advanceMs: 5, graceMs: 3 }), 'update'),
      [
        ['input', { key: 'k', value: 1, timestampMs: 15 }],
        ['input', { key: 'k', value: 2, timestampMs: 8 }],
      ],
    )
    expect(outputs['out']?.map(rowOf).at(-1)).toEqual(['k', 5, 15, [2], 8])
    expect(drops).toEqual([{ operator: 'windows', reason: 'late-for-window', latenessMs: 3 }])
  })
})

describe('declarations of windows', () => {
  const whole = 'expected a whole number of milliseconds of at least'
  const missing = undefined as unknown as number
  it.each<[string, () => unknown, string]>([
    ['no size', () => tumbling({ sizeMs: 0, graceMs: 0 }), `window sizeMs is 0, ${whole} 1`],
    ['no grace', () => tumbling({ sizeMs: 1, graceMs: missing }), `window graceMs is undefined, ${whole} 0`],
    ['a negative grace', () => tumbling({ sizeMs: 1, graceMs: -1 }), `window graceMs is -1, ${whole} 0`],
    [
      'an advance beyond the size',
      () => hopping({ sizeMs: 5, advanceMs: 6, graceMs: 0 }),
      `window advanceMs is 6, ${whole} 1 and at most 5`,
    ],
    ['no gap', () => session({ gapMs: 0, graceMs: 0 }), `session gapMs is 0, ${whole} 1`],
    ['no difference', () => sliding({ differenceMs: 0, graceMs: 0 }), `window differenceMs is 0, ${whole} 1`],
    [
      'a negative sliding grace',
      () => sliding({ differenceMs: 1, graceMs: -1 }),
      `window graceMs is -1, ${whole} 0`,
    ],
    ['no count', () => countWindows(0), 'window count is 0, expected a whole number of at least 1'],
    [
      'a step beyond the count',
      () => countWindows(2, 3),
      'window step is 3, expected a whole number of at least 1 and at most 2',
    ],
  ])('refuse %s', (_, declare, message) => {
    expect(declare).toThrow(new RangeError(message))
  })
})
