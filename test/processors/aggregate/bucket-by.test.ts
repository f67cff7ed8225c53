import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ObjectAggregate } from '../../../processors/aggregate/aggregate.ts'
import {
  type BucketAnswer,
  type Bucketed,
  type BucketState,
  bucketBy,
} from '../../../processors/aggregate/bucket-by.ts'
import { type Category, compareCategories } from '../../../processors/aggregate/category.ts'
import { mean } from '../../../processors/aggregate/mean.ts'
import { topK } from '../../../processors/aggregate/top-k.ts'
import { objectAggregateSuite, type Timed } from '../../conformance/aggregate.suite.ts'
import { categories } from '../../support/category-arbitraries.ts'

function bucketed<Input, State, Output>(
  aggregate: ObjectAggregate<Bucketed<Input>, BucketState<State>, BucketAnswer<Output>>,
  input: fc.Arbitrary<Input>,
  bound: number,
  answerOf: (inputs: Input[]) => Output | null,
  maxBytes: number,
  leftOut: Input,
): void {
  objectAggregateSuite<Bucketed<Input>, BucketState<State>, BucketAnswer<Output>>({
    aggregate,
    input: fc.tuple(categories, input),
    oracle(events: readonly Timed<Bucketed<Input>>[]) {
      const known = [...new Set(events.map(({ input }) => input[0] as Category))].sort(compareCategories)
      if (known.length === 0) return null
      const inputsOf = (among: readonly Category[]): Input[] =>
        events.filter(({ input }) => among.includes(input[0] as Category)).map(({ input }) => input[1])
      const beyond = known.slice(bound)
      return {
        buckets: new Map(known.slice(0, bound).map((category) => [category, answerOf(inputsOf([category]))])),
        other: beyond.length === 0 ? null : answerOf(inputsOf(beyond)),
      }
    },
    isCanonical: true,
    leftOut: [
      [null, leftOut],
      [Number.NaN, leftOut],
    ],
    maxBytes,
  })
}

const halves = fc.integer({ min: 1, max: 1_000 }).map((value) => value / 2)

for (const bound of [1, 4, 100]) {
  bucketed(
    bucketBy(mean(), { bound }),
    halves as fc.Arbitrary<number | null | undefined>,
    bound,
    (inputs) => inputs.reduce<number>((sum, input) => sum + input!, 0) / inputs.length,
    (bound + 1) * 48,
    1,
  )
}
bucketed(
  bucketBy(topK(2), { bound: 3 }),
  halves,
  3,
  (inputs) =>
    inputs
      .map(Number)
      .sort((a, b) => b - a)
      .slice(0, 2),
  4 * 48,
  1,
)

test('mean amount by category, and the rest together', () => {
  const aggregate = bucketBy(mean(), { bound: 2 })
  let state = aggregate.init()
  for (const [category, amount] of [
    ['food', 10],
    ['travel', 300],
    ['books', 20],
    ['food', 30],
    ['wine', 100],
    ['books', null],
  ] as const) {
    state = aggregate.add(state, [category, amount], 0)
  }
  expect(aggregate.finish(state, 1)).toEqual({
    buckets: new Map([
      ['books', 20],
      ['food', 20],
    ]),
    other: 200,
  })
})

test('a bound that is not a whole number from 1 is refused', () => {
  expect(() => bucketBy(mean(), { bound: 0 })).toThrow(RangeError)
})
