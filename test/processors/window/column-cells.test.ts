import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { count } from '../../../processors/aggregate/count.ts'
import { max } from '../../../processors/aggregate/max.ts'
import { mean } from '../../../processors/aggregate/mean.ts'
import { min } from '../../../processors/aggregate/min.ts'
import { sum } from '../../../processors/aggregate/sum.ts'
import { variance } from '../../../processors/aggregate/variance.ts'
import { windowFolds } from '../../../processors/window/column-window-fold.ts'
import { compactKey, expandKey } from '../../../processors/window/compact-key.ts'
import { session } from '../../../processors/window/session-windows.ts'
import { sliding } from '../../../processors/window/sliding-windows.ts'
import { hopping, tumbling } from '../../../processors/window/time-windows.ts'
import type { WindowClosing, WindowEmit, WindowResult } from '../../../processors/window/window.ts'
import { windowAggregate } from '../../../processors/window/window-aggregate.ts'
import type { Windows } from '../../../processors/window/window-stage.ts'
import { arrivals, type GraphUnderTest, runGraph } from '../../support/graph-runs.ts'

const fold = windowFolds({
  count: count(),
  sum: sum(),
  mean: mean(),
  min: min(),
  max: max(),
  variance: variance(),
})
/** The same with a state of its own for each window. */
const { columns: _, ...objects } = fold

const graphOf = (
  aggregate: typeof objects,
  windows: Windows,
  emit: WindowEmit,
  closing: WindowClosing,
): GraphUnderTest => ({
  outputs: ['out'],
  build: (graph) => {
    const operator = windowAggregate({ name: 'windows', windows, aggregate, emit, closing, late: 'emit' })
    graph.output(
      'out',
      graph.input<WindowResult<string, number>>('input').pipe(operator.connect(graph.context)),
    )
  },
})

const emits: readonly WindowEmit[] = [
  'update',
  'close',
  'update-and-close',
  'end',
  'commit',
  { everyCount: 2, purge: false },
  { everyCount: 3, purge: true },
]
const kinds: readonly Windows[] = [
  tumbling({ sizeMs: 10, graceMs: 6 }),
  hopping({ sizeMs: 12, advanceMs: 4, graceMs: 0 }),
  hopping({ sizeMs: 10, advanceMs: 4, graceMs: 3 }),
]
const closings: readonly WindowClosing[] = ['partition', { disorderMs: 5 }]
const keys = ['a', 'b', 7, 1.5, [1, 2], [1, 3], [2, 'x'], null]
const piped = arrivals({
  value: fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.constantFrom(Number.NaN, null)),
  disorderMs: 12,
  spanMs: 80,
  keys,
})

describe('windows in columns', () => {
  test('give what windows with states of their own give, whatever they emit and wherever they are restarted', async () => {
    const cases = fc.record({
      records: piped,
      emit: fc.constantFrom(...emits),
      windows: fc.constantFrom(...kinds),
      closing: fc.constantFrom(...closings),
      batchEnds: fc.uniqueArray(fc.nat(40), { maxLength: 6 }),
      restarts: fc.uniqueArray(fc.nat(40), { maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ records, emit, windows, closing, batchEnds, restarts }) => {
        const ends = [...batchEnds, ...restarts]
        const wanted = await runGraph(graphOf(objects, windows, emit, closing), records, {
          batchEnds: ends,
          flushMs: 1_000,
        })
        const got = await runGraph(graphOf(fold, windows, emit, closing), records, {
          batchEnds: ends,
          restarts,
          flushMs: 1_000,
        })
        expect(got).toEqual(wanted)
      }),
      { numRuns: 400 },
    )
  })

  test('of a key at times of its own too give what windows with states beside their rows give', async () => {
    const cases = fc.record({
      records: piped,
      emit: fc.constantFrom<WindowEmit>('update', 'close', 'update-and-close', 'end'),
      windows: fc.constantFrom<Windows>(
        sliding({ differenceMs: 9, graceMs: 6 }),
        sliding({ differenceMs: 5, graceMs: 0, report: 'record-ends' }),
        session({ gapMs: 4, graceMs: 6 }),
        session({ gapMs: 3, graceMs: 0, bounds: 'half-open' }),
      ),
      closing: fc.constantFrom<WindowClosing>('partition', 'key', { disorderMs: 5 }),
      restarts: fc.uniqueArray(fc.nat(40), { maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ records, emit, windows, closing, restarts }) => {
        const wanted = await runGraph(graphOf(objects, windows, emit, closing), records, { flushMs: 1_000 })
        const got = await runGraph(graphOf(fold, windows, emit, closing), records, {
          restarts,
          flushMs: 1_000,
        })
        expect(got).toEqual(wanted)
      }),
      { numRuns: 300 },
    )
  })

  test('of sessions count and start over as those with states beside their rows do', async () => {
    const cases = fc.record({
      records: piped,
      purge: fc.boolean(),
      closing: fc.constantFrom<WindowClosing>('partition', 'key'),
      restarts: fc.uniqueArray(fc.nat(40), { maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ records, purge, closing, restarts }) => {
        const windows = session({ gapMs: 4, graceMs: 6 })
        const emit: WindowEmit = { everyCount: 2, purge }
        const wanted = await runGraph(graphOf(objects, windows, emit, closing), records)
        expect(await runGraph(graphOf(fold, windows, emit, closing), records, { restarts })).toEqual(wanted)
      }),
    )
  })

  test('emit by commit once for each window that a batch touched, in the order of the first touch', async () => {
    const at = (key: string, value: number, timestampMs: number) =>
      ['input', { key, value, timestampMs }] as const
    const { outputs } = await runGraph(
      graphOf(fold, tumbling({ sizeMs: 10, graceMs: 20 }), 'commit', 'partition'),
      [at('b', 1, 1), at('a', 2, 2), at('b', 3, 3), at('b', 5, 12), at('a', 7, 4)],
      { batchEnds: [3] },
    )
    const rows = outputs['out']!.map((record) => {
      const { key, value, stage } = record as WindowResult<string, { readonly sum: number }>
      return [stage, key.key, key.startMs, value?.sum, record.offset]
    })
    expect(rows).toEqual([
      ['update', 'b', 0, 4, 0],
      ['update', 'a', 0, 2, 1],
      ['update', 'b', 10, 5, 3],
      ['update', 'a', 0, 9, 4],
    ])
  })

  test('have a last word of windows that close in the batch that touched them', async () => {
    const { outputs } = await runGraph(
      graphOf(fold, tumbling({ sizeMs: 10, graceMs: 0 }), 'commit', 'partition'),
      [
        ['input', { key: 'a', value: 1, timestampMs: 1 }],
        ['input', { key: 'a', value: 2, timestampMs: 25 }],
        ['input', { key: 'a', value: 4, timestampMs: 3 }],
      ],
    )
    expect(
      outputs['out']!.map(({ key, value }) => [
        (key as { startMs: number }).startMs,
        (value as { sum: number } | null)?.sum,
      ]),
    ).toEqual([
      [0, 1],
      [0, undefined],
      [20, 2],
    ])
  })
})

test('a compact key is the same for equal keys alone, and gives the key back', () => {
  const part = fc.oneof(
    fc.integer({ min: -3, max: 3 }),
    fc.constantFrom(2 ** 26 - 1, 2 ** 26, 0.5, '1', 'a', '\0n1.5', '\0\0'),
  )
  const key = fc.oneof(
    part,
    fc.tuple(part, part),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.record({ a: part }),
  )
  fc.assert(
    fc.property(key, key, (left, right) => {
      const normal = (value: unknown) => JSON.stringify(value)
      expect(normal(expandKey(compactKey(left)))).toBe(normal(left))
      if (normal(left) !== normal(right)) expect(compactKey(left)).not.toBe(compactKey(right))
    }),
    { numRuns: 2_000 },
  )
})
