import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StreamRecord } from '../../../processors/operator.ts'
import { type SuppressOptions, suppress } from '../../../processors/stream/suppress.ts'
import { countWindows } from '../../../processors/window/count-windows.ts'
import { session } from '../../../processors/window/session-windows.ts'
import { tumbling } from '../../../processors/window/time-windows.ts'
import {
  arrivals,
  expectRestartsUnseen,
  type GraphUnderTest,
  type Piped,
  runGraph,
} from '../../support/graph-runs.ts'

const graphOf = (options: Omit<SuppressOptions, 'name'>): GraphUnderTest => ({
  outputs: ['out'],
  build: (graph) => {
    const operator = suppress({ name: 'held', ...options })
    graph.output('out', graph.input<StreamRecord>('input').pipe(operator.connect(graph.context)))
  },
})

const rowOf = ({ key, value, timestampMs }: StreamRecord) => [key, value, timestampMs]
const piped = arrivals({ value: fc.nat(99), disorderMs: 10, keys: ['a', 'b', 'c'] })
const timeLimitMs = 10

describe('suppress for a time', () => {
  it('gives out a key’s newest record when so much stream time has passed since its first one', async () => {
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const held = new Map<unknown, { readonly dueMs: number; readonly row: unknown[] }>()
        const expected: unknown[] = []
        const release = (nowMs: number): void => {
          const due = [...held].filter(([, { dueMs }]) => dueMs <= nowMs)
          due.sort(([a, one], [b, other]) => one.dueMs - other.dueMs || (String(a) < String(b) ? -1 : 1))
          for (const [key, { row }] of due) {
            held.delete(key)
            expected.push(row)
          }
        }
        let nowMs = Number.NEGATIVE_INFINITY
        for (const [, { key, value, timestampMs }] of records) {
          nowMs = Math.max(nowMs, timestampMs)
          const dueMs = held.get(key)?.dueMs ?? timestampMs + timeLimitMs
          held.set(key, { dueMs, row: [key, value, timestampMs] })
          release(nowMs)
        }
        release(10_000)
        const graph = graphOf({ until: { timeLimitMs }, bound: 'unbounded' })
        const { outputs } = await runGraph(graph, records, { flushMs: 10_000 })
        expect(outputs['out']?.map(rowOf)).toEqual(expected)
      }),
    )
  })

  it('gives the same with a restart between any two records', () =>
    expectRestartsUnseen(
      graphOf({ until: { timeLimitMs }, bound: { maxRecords: 2, whenFull: 'emit-oldest' } }),
      piped,
    ))
})

describe('the bound of suppress', () => {
  const three: readonly Piped[] = ['x', 'y', 'z'].map((key, index) => [
    'input',
    { key, value: index, timestampMs: index },
  ])

  it('gives out what is due first when there is one too many', async () => {
    const graph = graphOf({ until: { timeLimitMs }, bound: { maxRecords: 2, whenFull: 'emit-oldest' } })
    const { outputs } = await runGraph(graph, three)
    expect(outputs['out']?.map(rowOf)).toEqual([['x', 0, 0]])
  })

  it('or stops the task', async () => {
    const graph = graphOf({ until: { timeLimitMs }, bound: { maxRecords: 2, whenFull: 'fail' } })
    await expect(runGraph(graph, three)).rejects.toMatchObject({
      code: 'suppress-full',
      context: { operator: 'held', limit: 2 },
    })
  })
})

describe('declarations of suppress', () => {
  const bound = 'unbounded'
  const windowCloses = tumbling({ sizeMs: 1, graceMs: 0 })
  it.each<[string, SuppressOptions, string]>([
    [
      'a negative limit',
      { name: 'held', until: { timeLimitMs: -1 }, bound },
      'suppress timeLimitMs is -1, expected a whole number of milliseconds of at least 0',
    ],
    [
      'a bound of nothing',
      { name: 'held', until: { timeLimitMs }, bound: { maxRecords: 0, whenFull: 'fail' } },
      'maxRecords is 0, expected a whole number of at least 1',
    ],
    [
      'count windows',
      { name: 'held', until: { windowCloses: countWindows(1) }, bound },
      '"held" holds count windows until they close, expected windows of time',
    ],
    [
      'windows that may come out early',
      { name: 'held', until: { windowCloses }, bound: { maxRecords: 1, whenFull: 'emit-oldest' } },
      '"held" may emit windows early, expected whenFull "fail" since each comes out once',
    ],
    [
      'sessions that merge after they closed',
      {
        name: 'held',
        until: { windowCloses: session({ gapMs: 1, graceMs: 0, mergesClosed: true }) },
        bound,
      },
      '"held" holds sessions that merge after they closed, expected mergesClosed false',
    ],
  ])('refuse %s', (_, options, message) => {
    expect(() => suppress(options)).toThrow(new RangeError(message))
  })
})
