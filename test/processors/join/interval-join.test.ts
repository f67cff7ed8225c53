import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type IntervalOutcome, intervalJoin } from '../../../processors/join/interval-join.ts'
import type { Join, StreamRecord } from '../../../processors/operator.ts'
import { expectRestartsUnseen, type GraphUnderTest, type Piped, runGraph } from '../../support/graph-runs.ts'

interface Asked {
  readonly id: number
  readonly text: string
}
type Result = readonly [Asked, IntervalOutcome<Asked>]

const withinMs = 8
const graceMs = 4

const join = intervalJoin<StreamRecord<string, Asked>, StreamRecord<string, Asked>, Result>({
  name: 'join',
  id: { left: ({ value }) => value.id, right: ({ value }) => value.id },
  withinMs,
  graceMs,
  unanswered: 'emit',
  value: (question, outcome) => [question, outcome],
}) as unknown as Join

const graph: GraphUnderTest = {
  outputs: ['joined'],
  build: (inner) => {
    const left = inner.input<StreamRecord>('left')
    const right = inner.input<StreamRecord>('right')
    inner.output('joined', join.connect(inner.context)(left, right))
  },
}

/** Each id is asked once, and answered any number of times. */
function asked(disorderMs: number): fc.Arbitrary<readonly Piped[]> {
  const times = fc.record({
    atMs: fc.nat(30),
    delayMs: fc.oneof(fc.nat(disorderMs), fc.constant(disorderMs)),
  })
  const questions = fc.uniqueArray(fc.tuple(fc.nat(6), times), { selector: ([id]) => id })
  const answers = fc.array(fc.tuple(fc.nat(6), times), { maxLength: 25 })
  return fc
    .tuple(questions, answers)
    .map(([lefts, rights]) =>
      [
        ...lefts.map(([id, time]) => ({ input: 'left', id, ...time, text: `q${id}` })),
        ...rights.map(([id, time], index) => ({ input: 'right', id, ...time, text: `a${index}` })),
      ]
        .sort((left, right) => left.atMs + left.delayMs - right.atMs - right.delayMs)
        .map(
          ({ input, id, text, atMs }): Piped => [
            input,
            { key: id % 2 === 0 ? 'even' : 'odd', value: { id, text }, timestampMs: atMs },
          ],
        ),
    )
}

const resultsOf = (records: readonly StreamRecord[]): Map<number, Result[]> => {
  const results = new Map<number, Result[]>()
  for (const { value } of records as readonly StreamRecord<string, Result>[]) {
    const [{ id }] = value
    results.set(id, [...(results.get(id) ?? []), value])
  }
  return results
}

describe('interval join', () => {
  it('ends each question with its newest answer in time, or as unanswered, when nothing comes later than the grace', async () => {
    await fc.assert(
      fc.asyncProperty(asked(graceMs), async (piped) => {
        const { outputs } = await runGraph(graph, piped, { flushMs: 10_000 })
        const last = new Map(
          [...resultsOf(outputs['joined'] ?? [])].map(([id, results]) => {
            const outcome = results.at(-1)![1]
            return [id, outcome.kind === 'unanswered' ? null : outcome.answer.text]
          }),
        )
        const expected = new Map(
          piped
            .filter(([input]) => input === 'left')
            .map(([, { value, timestampMs: fromMs }]) => {
              const { id } = value as Asked
              let newest: { readonly atMs: number; readonly text: string } | undefined
              for (const [input, { value: answer, timestampMs: atMs }] of piped) {
                if (input !== 'right' || (answer as Asked).id !== id) continue
                if (atMs < fromMs || atMs > fromMs + withinMs || (newest && atMs < newest.atMs)) continue
                newest = { atMs, text: (answer as Asked).text }
              }
              return [id, newest?.text ?? null]
            }),
        )
        expect(new Map([...last].sort())).toEqual(new Map([...expected].sort()))
      }),
    )
  })

  it('gives one answered or unanswered result a question, and each replacement says what it replaces', async () => {
    await fc.assert(
      fc.asyncProperty(asked(25), async (piped) => {
        const { outputs } = await runGraph(graph, piped, { flushMs: 10_000 })
        for (const [, results] of resultsOf(outputs['joined'] ?? [])) {
          let before: Asked | undefined
          for (const [index, [, outcome]] of results.entries()) {
            if (index === 0) expect(['answered', 'unanswered']).toContain(outcome.kind)
            else expect(outcome.kind === 'replaced' && outcome.previous).toEqual(before)
            before = outcome.kind === 'unanswered' ? undefined : outcome.answer
          }
        }
      }),
    )
  })

  it('gives the same with a restart between any two records', async () => {
    await expectRestartsUnseen(graph, asked(15))
  })

  it('keeps nothing once all time is over, and counts answers that waited in vain', async () => {
    const { outputs, drops } = await runGraph(
      graph,
      [
        ['right', { key: 'k', value: { id: 1, text: 'no question' }, timestampMs: 10 }],
        ['left', { key: 'k', value: { id: 2, text: 'q' }, timestampMs: 15 }],
        ['left', { key: 'k', value: { id: 2, text: 'again' }, timestampMs: 16 }],
        ['right', { key: 'k', value: { id: 2, text: 'too late' }, timestampMs: 24 }],
        ['right', { key: 'k', value: { id: 2, text: 'in time' }, timestampMs: 23 }],
        ['right', { key: 'k', value: { id: 2, text: 'older' }, timestampMs: 22 }],
        ['right', { key: 'k', value: { id: 3, text: 'behind' }, timestampMs: 14 }],
      ],
      { flushMs: 1_000 },
    )
    expect(outputs['joined']?.map(({ value, timestampMs }) => [value, timestampMs])).toEqual([
      [
        [
          { id: 2, text: 'q' },
          { kind: 'answered', answer: { id: 2, text: 'in time' } },
        ],
        23,
      ],
    ])
    expect(drops).toEqual([
      { operator: 'join', reason: 'no-question' },
      { operator: 'join', reason: 'repeated-id' },
      { operator: 'join', reason: 'outside-interval' },
      { operator: 'join', reason: 'older-than-answer' },
      { operator: 'join', reason: 'late-for-join', latenessMs: 6 },
    ])
  })

  it('refuses an interval of nothing, and a missing grace, when it is declared', () => {
    const declare = (options: { readonly withinMs: number; readonly graceMs: number }) => () =>
      intervalJoin({
        name: 'join',
        id: { left: () => 1, right: () => 1 },
        unanswered: 'omit',
        value: () => 1,
        ...options,
      })
    expect(declare({ withinMs: 0, graceMs: 0 })).toThrow(
      new RangeError('join withinMs is 0, expected a whole number of milliseconds of at least 1'),
    )
    expect(declare({ withinMs: 1, graceMs: undefined as unknown as number })).toThrow(RangeError)
  })
})
