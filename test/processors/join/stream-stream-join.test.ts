import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type StreamStreamJoinOptions,
  streamStreamJoin,
} from '../../../processors/join/stream-stream-join.ts'
import type { StreamRecord } from '../../../processors/operator.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'
import {
  arrivals,
  expectRestartsUnseen,
  type GraphUnderTest,
  type Piped,
  runGraph,
  sorted,
} from '../../support/graph-runs.ts'

type Options = Pick<
  StreamStreamJoinOptions<StreamRecord, StreamRecord, unknown>,
  'how' | 'beforeMs' | 'afterMs' | 'graceMs'
>

const graphOf = (options: Options): GraphUnderTest => ({
  outputs: ['joined'],
  build: (graph) => {
    const join = streamStreamJoin({ ...options, name: 'join', value: (left, right) => [left, right] })
    const left = graph.input<StreamRecord>('left')
    const right = graph.input<StreamRecord>('right')
    graph.output('joined', join.connect(graph.context)(left, right))
  },
})

interface Row {
  readonly key: unknown
  readonly value: unknown
  readonly timestampMs: number
}

/** All pairs by comparing each with each, and the rows that are in none. */
function naive(piped: readonly Piped[], { how, beforeMs, afterMs }: Options): Row[] {
  const side = (name: string) => piped.filter(([input]) => input === name).map(([, record]) => record)
  const [lefts, rights] = [side('left'), side('right')]
  const inPair = new Set<unknown>()
  const rows: Row[] = []
  for (const left of lefts) {
    for (const right of rights) {
      const aheadMs = right.timestampMs - left.timestampMs
      if (left.key !== right.key || aheadMs < -beforeMs || aheadMs > afterMs) continue
      inPair.add(left).add(right)
      const timestampMs = Math.max(left.timestampMs, right.timestampMs)
      rows.push({ key: left.key, value: [left.value, right.value], timestampMs })
    }
  }
  const alone = (records: typeof lefts): typeof lefts => records.filter((record) => !inPair.has(record))
  if (how !== 'inner') {
    for (const { key, value, timestampMs } of alone(lefts))
      rows.push({ key, value: [value, null], timestampMs })
  }
  if (how === 'outer') {
    for (const { key, value, timestampMs } of alone(rights))
      rows.push({ key, value: [null, value], timestampMs })
  }
  return rows
}

const rowOf = ({ key, value, timestampMs }: StreamRecord): Row => ({ key, value, timestampMs })

const inputs = ['left', 'right']

describe('stream-stream join', () => {
  for (const how of ['inner', 'left', 'outer'] as const) {
    it(`gives all pairs and, ${how}, what is in none, when nothing comes later than the grace`, async () => {
      const cases = fc
        .record({ beforeMs: fc.nat(6), afterMs: fc.nat(6), graceMs: fc.nat(5) })
        .chain((bounds) =>
          fc.tuple(
            fc.constant({ ...bounds, how }),
            arrivals({ inputs, value: fc.nat(99), spanMs: 30, disorderMs: bounds.graceMs }),
          ),
        )
      await fc.assert(
        fc.asyncProperty(cases, async ([options, piped]) => {
          const { outputs, drops } = await runGraph(graphOf(options), piped, { flushMs: 10_000 })
          expect(sorted((outputs['joined'] ?? []).map(rowOf))).toEqual(sorted(naive(piped, options)))
          expect(drops).toEqual([])
        }),
      )
    })
  }

  it('gives each left record in pairs or alone, never both, however late records come', async () => {
    const options = { how: 'left', beforeMs: 5, afterMs: 10, graceMs: 3 } as const
    const piped = arrivals({ inputs, value: fc.constant(0), disorderMs: 100 }).map((records) =>
      records.map(([input, record], index): Piped => [input, { ...record, value: index }]),
    )
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const { outputs } = await runGraph(graphOf(options), records, { flushMs: 10_000 })
        const values = (outputs['joined'] ?? []).map((record) => record.value as [unknown, unknown])
        for (const [left, right] of values) {
          if (right === null)
            expect(values.filter(([other, partner]) => other === left && partner !== null)).toEqual([])
        }
        const lefts = records.filter(([input]) => input === 'left').map(([, { value }]) => value)
        expect(new Set(values.map(([left]) => left))).toEqual(new Set(lefts))
      }),
    )
  })

  it('gives the same with a restart between any two records', async () => {
    const graph = graphOf({ how: 'outer', beforeMs: 10, afterMs: 3, graceMs: 5 })
    await expectRestartsUnseen(
      graph,
      arrivals({ inputs, value: fc.nat(99), disorderMs: 20, keys: ['a', 'b', null] }),
    )
  })

  it('forgets what nothing can join any more', async () => {
    const driver = await StreamDriver.start(graphOf({ how: 'left', beforeMs: 10, afterMs: 10, graceMs: 5 }))
    for (let atMs = 0; atMs < 1_000; atMs++) {
      driver.pipe(inputs[atMs % 2]!, { key: atMs % 7, value: atMs, timestampMs: atMs })
    }
    const sizes = driver.storeNames.map((name) => driver.store(name)?.size ?? 0)
    // 25 ms are kept, and the instant at which they end.
    expect(Math.max(...sizes)).toBe(26)
    driver.advanceTo(2_000)
    expect(driver.storeNames.map((name) => driver.store(name)?.size)).toEqual([0, 0, 0, 0])
  })

  it('gives a left record without key alone, and drops a right one', async () => {
    const graph = graphOf({ how: 'left', beforeMs: 1, afterMs: 1, graceMs: 0 })
    const { outputs, drops } = await runGraph(graph, [
      ['left', { key: null, value: 'l', timestampMs: 1 }],
      ['right', { key: null, value: 'r', timestampMs: 1 }],
      ['right', { key: 'k', value: null, timestampMs: 1 }],
    ])
    expect(outputs['joined']?.map(rowOf)).toEqual([{ key: null, value: ['l', null], timestampMs: 1 }])
    expect(drops).toEqual([
      { operator: 'join', reason: 'null-key' },
      { operator: 'join', reason: 'null-value' },
    ])
  })

  it('counts a record behind everything that is kept, with its lateness', async () => {
    const graph = graphOf({ how: 'inner', beforeMs: 10, afterMs: 10, graceMs: 5 })
    const { drops } = await runGraph(graph, [
      ['left', { key: 'k', value: 1, timestampMs: 100 }],
      ['right', { key: 'k', value: 2, timestampMs: 70 }],
    ])
    expect(drops).toEqual([{ operator: 'join', reason: 'late-for-join', latenessMs: 5 }])
  })

  it('refuses a negative or missing length of time when it is declared', () => {
    const good = { how: 'inner', beforeMs: 1, afterMs: 1, graceMs: 0 } as const
    const declare = (options: Partial<Record<keyof Options, unknown>>) => () =>
      streamStreamJoin({ ...good, ...(options as Options), name: 'join', value: () => null })
    expect(declare({ beforeMs: -1 })).toThrow(
      new RangeError('join beforeMs is -1, expected a whole number of milliseconds of at least 0'),
    )
    expect(declare({ afterMs: 0.5 })).toThrow(RangeError)
    expect(declare({ graceMs: undefined })).toThrow(
      new RangeError('join graceMs is undefined, expected a whole number of milliseconds of at least 0'),
    )
  })
})
