import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { ObjectAggregate } from './aggregate.ts'
import {
  type Category,
  type CategoryInput,
  categoryOf,
  compareCategories,
  readCategory,
  writeCategory,
} from './category.ts'
import { StateReader } from './state-reader.ts'

/** The true number of occurrences is in [count - error, count]. */
export interface FrequentValue {
  readonly value: Category
  readonly count: number
  readonly error: number
}

interface Counter {
  count: number
  error: number
}

export type FrequentState = Map<Category, Counter>

export type FrequentValues = ObjectAggregate<CategoryInput, FrequentState, FrequentValue[]>

export interface FrequentValuesOptions {
  /** How many to answer with. */
  readonly k: number
  /** How many to count; ten times `k` unless said. More is more exact. */
  readonly counters?: number
}

/**
 * The k most frequent values, most frequent first, of equally frequent ones
 * the smaller first. Exact while there are at most `counters` different
 * values. With more, of n events, each count is too high by at most
 * n / counters, each answer says by how much at most, and every value with
 * more occurrences than that is counted. Null where there were none.
 *
 * A value without a counter takes over the smallest one, which stands for all
 * that it might have missed. Merging adds counts, and for a value that one
 * side does not know that side's smallest count if it is full; the bounds hold
 * for merged states as well, which are not the same for every order.
 *
 * State: `counters` values, with two small counts each. A value that takes
 * over a counter costs a pass over them.
 *
 * Source: A. Metwally, D. Agrawal, A. El Abbadi, "Efficient Computation of
 * Frequent and Top-k Elements in Data Streams", ICDT 2005; merge: M. Cafaro,
 * M. Pulimeno, P. Tempesta, "A parallel space saving algorithm for frequent
 * items and the Hurwitz zeta distribution", Information Sciences 329, 2016.
 *
 * @throws RangeError for a k that is not a whole number from 1, or fewer counters than that.
 */
export function frequentValues({ k, counters = 10 * k }: FrequentValuesOptions): FrequentValues {
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError(`k must be a whole number from 1, got ${k}`)
  if (!Number.isSafeInteger(counters) || counters < k) {
    throw new RangeError(`counters must be a whole number from k = ${k}, got ${counters}`)
  }
  return {
    kind: 'object',
    name: 'frequentValues',
    // How many are answered with is no part of the state.
    id: `spaceSaving(${counters})`,
    asked: `the first ${k}`,
    laws: { orderInsensitive: false, invertible: false },
    init: () => new Map(),
    add(state, input) {
      const value = categoryOf(input)
      if (value !== undefined) countOne(state, value, counters)
      return state
    },
    merge(older, newer) {
      const missedByOlder = missed(older, counters)
      const missedByNewer = missed(newer, counters)
      const merged: FrequentState = new Map()
      for (const [value, { count, error }] of older) {
        const other = newer.get(value)
        merged.set(value, {
          count: count + (other?.count ?? missedByNewer),
          error: error + (other?.error ?? missedByNewer),
        })
      }
      for (const [value, { count, error }] of newer) {
        if (older.has(value)) continue
        merged.set(value, { count: count + missedByOlder, error: error + missedByOlder })
      }
      return merged.size <= counters ? merged : new Map(ranked(merged).slice(0, counters))
    },
    finish: (state) =>
      state.size === 0
        ? null
        : ranked(state)
            .slice(0, k)
            .map(([value, { count, error }]) => ({ value, count, error })),
    write(state, out) {
      for (const entry of ranked(state)) writeCounter(entry, out)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      const state: FrequentState = new Map()
      while (!from.isDone) {
        const value = readCategory(from)
        state.set(value, { count: from.varint(), error: from.varint() })
      }
      return state
    },
  }
}

function countOne(state: FrequentState, value: Category, counters: number): void {
  const known = state.get(value)
  if (known !== undefined) {
    known.count++
  } else if (state.size < counters) {
    state.set(value, { count: 1, error: 0 })
  } else {
    const [out, { count }] = leastOf(state)
    state.delete(out)
    state.set(value, { count: count + 1, error: count })
  }
}

/** The last in rank: of equally small ones the largest value, so that the map's order does not show. */
function leastOf(state: FrequentState): [Category, Counter] {
  let least: [Category, Counter] | undefined
  for (const entry of state) if (least === undefined || compareRank(entry, least) > 0) least = entry
  return least!
}

/** The most that a value without a counter can have occurred. */
function missed(state: FrequentState, counters: number): number {
  return state.size < counters ? 0 : leastOf(state)[1].count
}

const ranked = (state: FrequentState): [Category, Counter][] => [...state].sort(compareRank)

function compareRank([value, one]: [Category, Counter], [otherValue, other]: [Category, Counter]): number {
  return other.count - one.count || compareCategories(value, otherValue)
}

function writeCounter([value, { count, error }]: [Category, Counter], out: ByteWriter): void {
  writeCategory(value, out)
  out.varint(count)
  out.varint(error)
}
