import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Operator, StreamRecord } from '../../../processors/operator.ts'
import { deduplicate } from '../../../processors/stream/deduplicate.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'
import { throttle } from '../../../processors/stream/throttle.ts'
import { type Ranked, topN } from '../../../processors/stream/top-n.ts'
import {
  arrivals,
  expectRestartsUnseen,
  type GraphUnderTest,
  type Piped,
  runGraph,
} from '../../support/graph-runs.ts'

const graphOf = (operator: Operator): GraphUnderTest => ({
  outputs: ['out'],
  build: (graph) => graph.output('out', graph.input('input').pipe(operator.connect(graph.context))),
})

const timed = (
  records: readonly Piped[],
): { index: number; key: unknown; value: unknown; atMs: number; latenessMs: number }[] => {
  let nowMs = Number.NEGATIVE_INFINITY
  return records.map(([, { key, value, timestampMs: atMs }], index) => {
    nowMs = Math.max(nowMs, atMs)
    return { index, key, value, atMs, latenessMs: nowMs - atMs }
  })
}

const idOf = ({ value }: StreamRecord) => value as number

describe('deduplicate', () => {
  const withinMs = 10
  const graceMs = 5
  const graph = graphOf(deduplicate({ name: 'once', id: idOf, withinMs, graceMs }))
  const piped = arrivals({ value: fc.nat(2), disorderMs: 12, spanMs: 60 })

  it('lets a record through unless the same id came through near it, and counts all others', async () => {
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const through: ReturnType<typeof timed> = []
        const reasons: string[] = []
        for (const each of timed(records)) {
          const repeats = ({ key, value, atMs }: typeof each): boolean =>
            key === each.key && value === each.value && Math.abs(atMs - each.atMs) <= withinMs
          if (each.latenessMs > graceMs) reasons.push('late-for-deduplicate')
          else if (through.some(repeats)) reasons.push('duplicate')
          else through.push(each)
        }
        const { outputs, drops } = await runGraph(graph, records)
        expect(outputs['out']?.map(({ offset }) => offset)).toEqual(through.map(({ index }) => index))
        expect(drops.map(({ reason }) => reason)).toEqual(reasons)
      }),
    )
  })

  it('gives the same with a restart between any two records', () => expectRestartsUnseen(graph, piped))

  it('forgets ids that nothing can repeat any more', async () => {
    const driver = await StreamDriver.start(graph)
    for (let atMs = 0; atMs < 500; atMs++) driver.pipe('input', { key: 'k', value: atMs, timestampMs: atMs })
    expect(driver.storeNames.map((name) => driver.store(name)?.size)).toEqual([16, 16])
  })

  it('refuses a time of nothing and a missing grace when it is declared', () => {
    expect(() => deduplicate({ name: 'once', id: idOf, withinMs: 0, graceMs })).toThrow(
      new RangeError('deduplicate withinMs is 0, expected a whole number of milliseconds of at least 1'),
    )
    const missing = undefined as unknown as number
    expect(() => deduplicate({ name: 'once', id: idOf, withinMs, graceMs: missing })).toThrow(RangeError)
  })
})

describe('throttle', () => {
  const everyMs = 10
  const graceMs = 5
  const graph = graphOf(throttle({ name: 'slow', everyMs, graceMs }))
  const piped = arrivals({ value: fc.nat(2), disorderMs: 12, spanMs: 80 })

  it('lets a record through when the last one of its key is long enough ago', async () => {
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const last = new Map<unknown, number>()
        const through: number[] = []
        for (const { index, key, atMs, latenessMs } of timed(records)) {
          if (latenessMs > graceMs || atMs < (last.get(key) ?? Number.NEGATIVE_INFINITY) + everyMs) continue
          last.set(key, atMs)
          through.push(index)
        }
        const { outputs, drops } = await runGraph(graph, records)
        expect(outputs['out']?.map(({ offset }) => offset)).toEqual(through)
        expect(drops).toHaveLength(records.length - through.length)
      }),
    )
  })

  it('gives the same with a restart between any two records', () => expectRestartsUnseen(graph, piped))

  it('forgets keys that it would let through anyway', async () => {
    const driver = await StreamDriver.start(graph)
    for (let atMs = 0; atMs < 500; atMs++) driver.pipe('input', { key: atMs, value: 1, timestampMs: atMs })
    expect(driver.storeNames.map((name) => driver.store(name)?.size)).toEqual([15, 15])
  })

  it('refuses a period of nothing and a negative grace when it is declared', () => {
    expect(() => throttle({ name: 'slow', everyMs: 0, graceMs })).toThrow(RangeError)
    expect(() => throttle({ name: 'slow', everyMs, graceMs: -1 })).toThrow(
      new RangeError('throttle graceMs is -1, expected a whole number of milliseconds of at least 0'),
    )
  })
})

describe('top n', () => {
  const n = 2
  interface Scored {
    readonly id: string
    readonly score: number | null
  }
  const graph = graphOf(
    topN<StreamRecord<string, Scored>>({
      name: 'top',
      n,
      id: ({ value }) => value.id,
      score: ({ value }) => value.score,
    }) as Operator,
  )
  const scored = fc.record({
    id: fc.constantFrom('p', 'q', 'r', 's'),
    score: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(null), fc.constant(Number.NaN)),
  })
  const piped = arrivals({ value: scored, disorderMs: 20 })

  it('gives the best of all that is known, after each record that changes them', async () => {
    await fc.assert(
      fc.asyncProperty(piped, async (records) => {
        const known = new Map<unknown, Map<string, number>>()
        const shown = new Map<unknown, string>()
        const expected: unknown[] = []
        for (const [, { key, value }] of records) {
          const { id, score } = value as Scored
          const scores = known.get(key) ?? new Map<string, number>()
          known.set(key, scores)
          if (score === null || Number.isNaN(score)) scores.delete(id)
          else scores.set(id, score)
          const best: Ranked[] = [...scores]
            .map(([each, of]) => ({ id: each, score: of }))
            .sort((left, right) => right.score - left.score || (left.id < right.id ? -1 : 1))
            .slice(0, n)
          const text = JSON.stringify(best)
          if (text === (shown.get(key) ?? '[]')) continue
          shown.set(key, text)
          expected.push([key, best.map((each) => ({ ...each, score: each.score + 0 }))])
        }
        const { outputs } = await runGraph(graph, records)
        expect(outputs['out']?.map(({ key, value }) => [key, value])).toEqual(expected)
      }),
    )
  })

  it('gives the same with a restart between any two records', () => expectRestartsUnseen(graph, piped))

  it('refuses an n of nothing when it is declared', () => {
    expect(() => topN({ name: 'top', n: 0, id: idOf, score: idOf })).toThrow(
      new RangeError('top n is 0, expected a whole number of at least 1'),
    )
  })
})
