import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'

/**
 * A fold over numbers whose state is a few doubles, kept as neighbouring
 * columns of a tile row: nothing is allocated per event or per merge.
 *
 * Two aggregates over the same input that name the same fold `id` share its
 * columns: mean is count and sum, and costs nothing beside them.
 *
 * Laws, checked for every aggregate by `test/conformance/aggregate.suite.ts`:
 * merge is associative (in exact arithmetic), an initial row is its neutral
 * element, and folding a list equals merging the folds of its two halves.
 */
export interface ColumnFold {
  /** Name and parameters; part of the state's identity on disk. */
  readonly id: string
  /** Number of doubles. */
  readonly width: number
  init(columns: Float64Array, at: number): void
  /** `value` is finite: null, NaN and infinities are left out before. */
  add(columns: Float64Array, at: number, value: number, atMs: TimestampMs): void
  /**
   * Merges `count` rows, oldest first, into the state at `at`, which is older
   * than all of them. Row i starts at `from + i * stride`. `into` and `rows`
   * may be the same array; the regions do not overlap.
   */
  mergeRows(
    into: Float64Array,
    at: number,
    rows: Float64Array,
    from: number,
    stride: number,
    count: number,
  ): void
  /**
   * Adds `count` values, oldest first, NaN left out; value i is at
   * `from + i * stride`. The same bits as `add` one by one; for folds that do
   * not look at the time, since it is one tight loop.
   */
  addValues?(
    into: Float64Array,
    at: number,
    values: Float64Array,
    from: number,
    stride: number,
    count: number,
  ): void
  /** Takes one value back, where the fold is invertible. */
  remove?(columns: Float64Array, at: number, value: number, atMs: TimestampMs): void
}

/** What an aggregate promises beyond the laws that all obey. */
export interface AggregateLaws {
  /** The order of equal-time events, and of merges, does not matter (up to rounding). */
  readonly orderInsensitive: boolean
  /** `remove` undoes `add`. */
  readonly invertible: boolean
  /** Largest relative error of a sketch; absent: exact. */
  readonly relativeError?: number
}

/**
 * What most features of most views answer: the one column, where an infinity
 * is null like NaN; the pair [sum, error] behind a count, null at count 0; the
 * quotient of the two.
 */
export type AnswerForm = 'column' | 'sum' | 'mean'

/** An aggregate of numbers to a number. */
export interface ColumnAggregate {
  readonly kind: 'columns'
  readonly name: string
  readonly folds: readonly ColumnFold[]
  readonly laws: AggregateLaws
  /** What the answer depends on beside the state, such as a prior: part of what a feature means. */
  readonly asked?: string
  /** `finish` said in a word, so that a vector of features is answered without a call for each. */
  readonly form?: AnswerForm
  /** `at[i]` is where fold i's columns start. NaN stands for null: no data is not zero. */
  finish(columns: Float64Array, at: ArrayLike<number>, queryMs: TimestampMs): number
}

/** An aggregate with a state of any size: lists, sketches, maps. */
export interface ObjectAggregate<Input, State, Output> {
  readonly kind: 'object'
  readonly name: string
  /** Name and parameters; part of the state's identity on disk. */
  readonly id: string
  readonly laws: AggregateLaws
  /** What the answer depends on beside the state, such as a prior: part of what a feature means. */
  readonly asked?: string
  /** The answer is a number, so that a model can have it in its vector. */
  readonly answersNumber?: true
  /** The answer is of the state alone, whatever the query time: of a state that has not changed it is made once. */
  readonly isTimeless?: true
  init(): State
  /** May reuse `state`, which the caller gives up. */
  add(state: State, input: Input, atMs: TimestampMs): State
  remove?(state: State, input: Input, atMs: TimestampMs): State
  /**
   * Takes the oldest event of a state back, so that what is left has the bits
   * of a fold without it; undefined where the state does not say what is left.
   * May reuse `state`, which the caller gives up.
   */
  forgetOldest?(state: State, input: Input, atMs: TimestampMs): State | undefined
  /** Leaves both alone. */
  merge(older: State, newer: State): State
  finish(state: State, queryMs: TimestampMs): Output | null
  /** Compact and canonical: equal states write equal bytes. */
  write(state: State, out: ByteWriter): void
  read(bytes: Uint8Array): State
}

// biome-ignore lint/suspicious/noExplicitAny: an aggregate is used at its own types and stored in lists of all
export type AnyObjectAggregate = ObjectAggregate<any, any, any>

export type Aggregate = ColumnAggregate | AnyObjectAggregate
