import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Operator, StreamRecord } from '../../../processors/operator.ts'
import { type SequenceOptions, sequence } from '../../../processors/stream/sequence.ts'
import { StreamDriver } from '../../../processors/stream/stream-driver.ts'
import {
  arrivals,
  expectRestartsUnseen,
  type GraphUnderTest,
  type Piped,
  runGraph,
  sorted,
} from '../../support/graph-runs.ts'

type Letter = StreamRecord<string, string>
type Options = Pick<SequenceOptions<Letter, unknown>, 'until' | 'withinMs' | 'graceMs'> & {
  readonly letters: readonly string[]
  readonly without?: string
}

const is =
  (letter: string) =>
  ({ value }: Letter): boolean =>
    value === letter

const sequenceOf = ({ letters, without, ...options }: Options): Operator<Letter, StreamRecord> =>
  sequence({
    ...options,
    name: 'sequence',
    steps: letters.map(is),
    ...(without === undefined ? {} : { without: is(without) }),
    value: (records) => records.map(({ offset }) => offset),
  })

const graphOf = (options: Options): GraphUnderTest => ({
  outputs: ['found'],
  build: (graph) => {
    graph.output('found', graph.input<Letter>('input').pipe(sequenceOf(options).connect(graph.context)))
  },
})

/** Looks, from each first letter, through all that follows it. */
function naive(piped: readonly Piped[], { letters, without, until, withinMs }: Options): unknown[] {
  const found: unknown[] = []
  for (const key of ['a', 'b']) {
    const records = piped
      .map(([, record], offset) => ({ ...record, offset }))
      .filter((record) => record.key === key)
      .sort((left, right) => left.timestampMs - right.timestampMs)
    for (const [index, first] of records.entries()) {
      if (first.value !== letters[0]) continue
      const inTime = records
        .slice(index + 1)
        .filter(({ timestampMs }) => timestampMs <= first.timestampMs + withinMs)
      const steps = [first]
      let forbidden = false
      for (const record of inTime) {
        const isDone = steps.length === letters.length
        if (isDone && until === 'match') break
        if (record.value === without) forbidden = true
        if (!isDone && record.value === letters[steps.length]) steps.push(record)
      }
      if (forbidden || steps.length < letters.length) continue
      const atMs = until === 'end' ? first.timestampMs + withinMs : steps.at(-1)!.timestampMs
      found.push([key, steps.map(({ offset }) => offset), atMs])
    }
  }
  return found
}

const letters = fc.constantFrom('A', 'B', 'C', 'D')

describe('sequence', () => {
  for (const until of ['match', 'end'] as const) {
    it(`finds until ${until} what a search from every first step finds, in whatever order records come within the grace`, async () => {
      const cases = fc
        .record({
          until: fc.constant(until),
          withinMs: fc.integer({ min: 1, max: 10 }),
          graceMs: fc.nat(5),
          letters: fc.array(fc.constantFrom('A', 'B'), { minLength: 1, maxLength: 3 }),
          without: fc.constantFrom('C', 'D'),
        })
        .chain((options) =>
          fc.tuple(
            fc.constant(options),
            arrivals({ value: letters, spanMs: 40, disorderMs: options.graceMs }),
          ),
        )
      await fc.assert(
        fc.asyncProperty(cases, async ([options, piped]) => {
          const { outputs } = await runGraph(graphOf(options), piped, { flushMs: 10_000 })
          const found = (outputs['found'] ?? []).map(({ key, value, timestampMs }) => [
            key,
            value,
            timestampMs,
          ])
          expect(sorted(found)).toEqual(sorted(naive(piped, options)))
        }),
        { numRuns: 200 },
      )
    })

    it(`gives the same with a restart between any two records, until ${until}`, () =>
      expectRestartsUnseen(
        graphOf({ until, withinMs: 15, graceMs: 5, letters: ['A', 'B'], without: 'C' }),
        arrivals({ value: letters, disorderMs: 12 }),
      ))
  }

  it('finds A then B and no C within its time', async () => {
    const options = { until: 'match', withinMs: 10, graceMs: 0, letters: ['A', 'B'], without: 'C' } as const
    const piped: Piped[] = [
      ['A', 0],
      ['D', 1],
      ['B', 10],
      ['A', 20],
      ['C', 21],
      ['B', 22],
      ['A', 30],
      ['B', 41],
    ].map(([value, timestampMs]) => ['input', { key: 'a', value, timestampMs: Number(timestampMs) }])
    const { outputs } = await runGraph(graphOf(options), piped, { flushMs: 100 })
    expect(outputs['found']?.map(({ value, timestampMs }) => [value, timestampMs])).toEqual([[[0, 2], 10]])
  })

  it('keeps nothing of what is over, and counts what comes behind the grace', async () => {
    const driver = await StreamDriver.start(
      graphOf({ until: 'match', withinMs: 10, graceMs: 5, letters: ['A', 'B'] }),
    )
    for (const timestampMs of [0, 20, 14, 100]) driver.pipe('input', { key: 'a', value: 'A', timestampMs })
    driver.advanceTo(1_000)
    expect(driver.storeNames.map((name) => driver.store(name)?.size)).toEqual([0, 0, 0])
    expect(driver.drops.map(({ reason, latenessMs }) => [reason, latenessMs])).toEqual([
      ['late-for-sequence', 1],
    ])
  })

  it('refuses no steps, no time and no grace when it is declared', () => {
    const good = { until: 'match', withinMs: 1, graceMs: 0, letters: ['A'] } as const
    expect(() => sequenceOf({ ...good, letters: [] })).toThrow(
      new RangeError('sequence "sequence" has no steps, expected at least one'),
    )
    expect(() => sequenceOf({ ...good, withinMs: 0 })).toThrow(RangeError)
    expect(() => sequenceOf({ ...good, graceMs: undefined as unknown as number })).toThrow(RangeError)
  })
})
