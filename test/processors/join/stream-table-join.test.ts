import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asOfJoin, globalTableJoin, streamTableJoin } from '../../../processors/join/stream-table-join.ts'
import type { Join, StreamRecord } from '../../../processors/operator.ts'
import {
  arrivals,
  expectRestartsUnseen,
  type GraphUnderTest,
  type Piped,
  runGraph,
  sorted,
} from '../../support/graph-runs.ts'

const graphOf = (join: Join): GraphUnderTest => ({
  outputs: ['joined'],
  build: (graph) => {
    const left = graph.input<StreamRecord>('left')
    const right = graph.input<StreamRecord>('right')
    graph.output('joined', join.connect(graph.context)(left, right))
  },
})

const inputs = ['left', 'right']
const value = (left: unknown, right: unknown): unknown => [left, right]
const rowOf = ({ key, value: joined, timestampMs }: StreamRecord) => [key, joined, timestampMs]
const positive = fc.integer({ min: 1, max: 99 })
const maybe = fc.oneof({ weight: 3, arbitrary: positive }, { weight: 1, arbitrary: fc.constant(null) })

describe('stream-table join with the latest value', () => {
  it('joins each record with what the table holds when it arrives', async () => {
    const piped = arrivals({ inputs, value: maybe, disorderMs: 50 })
    await fc.assert(
      fc.asyncProperty(piped, fc.constantFrom('inner', 'left' as const), async (records, how) => {
        const table = new Map<unknown, unknown>()
        const expected: unknown[] = []
        for (const [input, { key, value: given, timestampMs }] of records) {
          if (input === 'right') {
            if (given === null) table.delete(key)
            else table.set(key, given)
          } else if (given !== null && (how === 'left' || table.has(key))) {
            expected.push([key, [given, table.get(key) ?? null], timestampMs])
          }
        }
        const join = streamTableJoin({ name: 'join', how, table: { kind: 'latest' }, value })
        const { outputs } = await runGraph(graphOf(join), records)
        expect(outputs['joined']?.map(rowOf)).toEqual(expected)
      }),
    )
  })

  it('by event time keeps the newer row, and counts the older one', async () => {
    const join = streamTableJoin({
      name: 'join',
      how: 'left',
      table: { kind: 'latest', order: 'event-time' },
      value,
    })
    const { outputs, drops } = await runGraph(graphOf(join), [
      ['right', { key: 'k', value: 'new', timestampMs: 20 }],
      ['right', { key: 'k', value: 'old', timestampMs: 10 }],
      ['left', { key: 'k', value: 'l', timestampMs: 5 }],
    ])
    expect(outputs['joined']?.map(rowOf)).toEqual([['k', ['l', 'new'], 5]])
    expect(drops).toEqual([{ operator: 'join', reason: 'older-than-row' }])
  })

  it('a global table is asked for any key', async () => {
    const join = globalTableJoin<
      StreamRecord<string, { zone: string }>,
      StreamRecord<string, string>,
      unknown
    >({
      name: 'join',
      how: 'left',
      table: { kind: 'latest' },
      tableKey: (record) => record.value.zone,
      value: (left, right) => [left.zone, right],
    }) as Join
    const { outputs } = await runGraph(graphOf(join), [
      ['right', { key: 'z1', value: 'north', timestampMs: 0 }],
      ['left', { key: 'k', value: { zone: 'z1' }, timestampMs: 1 }],
      ['left', { key: 'k', value: { zone: 'z2' }, timestampMs: 2 }],
    ])
    expect(join.inputs.right).toEqual({ as: 'global-table', copartitioned: false })
    expect(outputs['joined']?.map(rowOf)).toEqual([
      ['k', ['z1', 'north'], 1],
      ['k', ['z2', null], 2],
    ])
  })
})

/** The newest right value at or before `atMs`, of equal times the last that arrived. */
function valueAt(records: readonly Piped[], key: unknown, atMs: number): unknown {
  let newest: { readonly atMs: number; readonly value: unknown } | undefined
  for (const [input, { key: owner, value: given, timestampMs }] of records) {
    if (input !== 'right' || owner !== key || timestampMs > atMs) continue
    if (newest === undefined || timestampMs >= newest.atMs) newest = { atMs: timestampMs, value: given }
  }
  return newest?.value ?? null
}

describe('stream-table join with the value of the record’s own time', () => {
  const graceMs = 10
  const join = streamTableJoin({
    name: 'join',
    how: 'left',
    table: { kind: 'versioned', historyMs: 1_000, graceMs },
    value,
  })

  it('sees table records that come late, by less than the grace, as if they had come in time', async () => {
    const piped = arrivals({ inputs, value: positive, disorderMs: graceMs - 1 })
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const { outputs } = await runGraph(graphOf(join), records, { flushMs: 10_000 })
        const expected = records
          .filter(([input]) => input === 'left')
          .map(([, { key, value: given, timestampMs }]) => [
            key,
            [given, valueAt(records, key, timestampMs)],
            timestampMs,
          ])
        expect(sorted((outputs['joined'] ?? []).map(rowOf))).toEqual(sorted(expected))
        const times = (outputs['joined'] ?? []).map(({ timestampMs }) => timestampMs)
        expect(times).toEqual([...times].sort((left, right) => left - right))
      }),
    )
  })

  it('without grace sees what had arrived: an as-of join', async () => {
    const asOf = asOfJoin({ name: 'join', how: 'inner', historyMs: 1_000, value })
    await fc.assert(
      fc.asyncProperty(arrivals({ inputs, value: maybe, disorderMs: 50 }), async (records) => {
        const { outputs } = await runGraph(graphOf(asOf), records)
        const expected = records.flatMap(([input, { key, value: given, timestampMs }], index) => {
          const right = valueAt(records.slice(0, index), key, timestampMs)
          return input === 'left' && given !== null && right !== null
            ? [[key, [given, right], timestampMs]]
            : []
        })
        expect(outputs['joined']?.map(rowOf)).toEqual(expected)
      }),
    )
  })

  it('gives the same with a restart between any two records', async () => {
    await expectRestartsUnseen(graphOf(join), arrivals({ inputs, value: maybe, disorderMs: 30 }))
  })

  it('refuses a grace beyond the history when it is declared', () => {
    const declare = () =>
      streamTableJoin({
        name: 'join',
        how: 'inner',
        table: { kind: 'versioned', historyMs: 5, graceMs: 6 },
        value,
      })
    expect(declare).toThrow(
      new RangeError(
        "join graceMs is 6, expected at most the table's historyMs of 5: what waits longer finds nothing",
      ),
    )
    expect(() => asOfJoin({ name: 'join', how: 'inner', historyMs: -1, value })).toThrow(RangeError)
  })
})
