import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { Aggregate, AnyObjectAggregate, ColumnAggregate, ObjectAggregate } from './aggregate.ts'
import {
  type Category,
  type CategoryInput,
  categoryOf,
  compareCategories,
  readCategory,
  writeCategory,
} from './category.ts'
import { type ColumnState, objectAggregateOf } from './object-aggregate-of.ts'
import { StateReader } from './state-reader.ts'

/** What is aggregated, and the category that it is counted under. */
export type Bucketed<Input> = readonly [category: CategoryInput, input: Input]

export interface BucketState<State> {
  readonly buckets: Map<Category, State>
  /** What was of categories beyond the bound; undefined while there are none. */
  other: State | undefined
}

export interface BucketAnswer<Output> {
  readonly buckets: ReadonlyMap<Category, Output | null>
  /** Of all categories without a bucket together; null while there are none. */
  readonly other: Output | null
}

export type BucketBy<Input, State, Output> = ObjectAggregate<
  Bucketed<Input>,
  BucketState<State>,
  BucketAnswer<Output>
>

/** `bound`: most categories with a bucket of their own. */
export interface BucketByOptions {
  readonly bound: number
}

/**
 * An aggregate for each category, as "mean amount by merchant type": inputs
 * are pairs of a category and what the aggregate takes in. Events without a
 * category are left out; a category whose inputs are all left out has a bucket
 * of null. Null where there were no categories.
 *
 * Of more than `bound` categories the smallest (numbers, then strings by code
 * units) have buckets, and all others share `other`. So which ones have a
 * bucket depends on the set of categories alone, not on the order of events or
 * of merges; nothing is lost, and a bucket is always that of all its events.
 * `other` does not keep the order of arrival among its categories, which only
 * an aggregate that is not order-insensitive can tell.
 *
 * State: `bound` + 1 states. A category that makes another one move to `other`
 * costs a pass over the categories and a merge.
 *
 * @throws RangeError for a bound that is not a whole number from 1.
 */
export function bucketBy(
  aggregate: ColumnAggregate,
  options: BucketByOptions,
): BucketBy<number | null | undefined, ColumnState, number>
export function bucketBy<Input, State, Output>(
  aggregate: ObjectAggregate<Input, State, Output>,
  options: BucketByOptions,
): BucketBy<Input, State, Output>
export function bucketBy(aggregate: Aggregate, { bound }: BucketByOptions): AnyObjectAggregate {
  if (!Number.isSafeInteger(bound) || bound < 1) {
    throw new RangeError(`bound must be a whole number from 1, got ${bound}`)
  }
  return bucketsOf(aggregate.kind === 'columns' ? objectAggregateOf(aggregate) : aggregate, bound)
}

function bucketsOf<Input, State, Output>(
  inner: ObjectAggregate<Input, State, Output>,
  bound: number,
): BucketBy<Input, State, Output> {
  /** Makes room when there is one too many. */
  const fit = (state: BucketState<State>): void => {
    if (state.buckets.size <= bound) return
    const greatest = greatestOf(state.buckets)
    const moved = state.buckets.get(greatest)!
    state.buckets.delete(greatest)
    state.other = state.other === undefined ? moved : inner.merge(state.other, moved)
  }

  return {
    kind: 'object',
    name: `${inner.name}ByCategory`,
    id: `bucketBy(${inner.id},${bound})`,
    ...(inner.asked === undefined ? {} : { asked: inner.asked }),
    laws: { ...inner.laws, invertible: false },
    init: () => ({ buckets: new Map(), other: undefined }),
    add(state, [categoryInput, input], atMs) {
      const category = categoryOf(categoryInput)
      if (category === undefined) return state
      const { buckets } = state
      const known = buckets.get(category)
      if (known === undefined && buckets.size === bound && isBeyond(buckets, category)) {
        state.other = inner.add(state.other ?? inner.init(), input, atMs)
        return state
      }
      buckets.set(category, inner.add(known ?? inner.init(), input, atMs))
      fit(state)
      return state
    },
    merge(older, newer) {
      const merged: BucketState<State> = { buckets: new Map(), other: undefined }
      const others = [older.other, newer.other].filter((other) => other !== undefined)
      if (others.length > 0)
        merged.other = others.reduce((sum, other) => inner.merge(sum, other), inner.init())
      for (const category of new Set([...older.buckets.keys(), ...newer.buckets.keys()])) {
        // Merged with an initial state, so that no state is shared.
        const one = older.buckets.get(category) ?? inner.init()
        merged.buckets.set(category, inner.merge(one, newer.buckets.get(category) ?? inner.init()))
      }
      while (merged.buckets.size > bound) fit(merged)
      return merged
    },
    finish({ buckets, other }, queryMs) {
      if (buckets.size === 0) return null
      return {
        buckets: new Map(
          inOrder(buckets).map(([category, state]) => [category, inner.finish(state, queryMs)]),
        ),
        other: other === undefined ? null : inner.finish(other, queryMs),
      }
    },
    write({ buckets, other }, out) {
      const nested = new ByteWriter(256)
      const writeState = (state: State): void => {
        nested.reset()
        inner.write(state, nested)
        out.varint(nested.length)
        out.raw(nested.view())
      }
      out.byte(other === undefined ? 0 : 1)
      if (other !== undefined) writeState(other)
      for (const [category, state] of inOrder(buckets)) {
        writeCategory(category, out)
        writeState(state)
      }
    },
    read(bytes) {
      const from = new StateReader(bytes)
      const other = from.byte() === 1 ? inner.read(from.nested()) : undefined
      const buckets = new Map<Category, State>()
      while (!from.isDone) buckets.set(readCategory(from), inner.read(from.nested()))
      return { buckets, other }
    },
  }
}

const inOrder = <State>(buckets: ReadonlyMap<Category, State>): [Category, State][] =>
  [...buckets].sort(([a], [b]) => compareCategories(a, b))

/** Every category that has a bucket is smaller. */
function isBeyond(buckets: ReadonlyMap<Category, unknown>, category: Category): boolean {
  for (const known of buckets.keys()) if (compareCategories(known, category) > 0) return false
  return true
}

function greatestOf(buckets: ReadonlyMap<Category, unknown>): Category {
  let greatest: Category | undefined
  for (const category of buckets.keys()) {
    if (greatest === undefined || compareCategories(category, greatest) > 0) greatest = category
  }
  return greatest!
}
