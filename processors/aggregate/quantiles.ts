import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { ObjectAggregate } from './aggregate.ts'
import { StateReader } from './state-reader.ts'

export interface QuantileOptions {
  /** How far an answer may be from the true value, relative to it; 0.01 unless said. */
  readonly relativeError?: number
  /** Most bins for values of one sign; 2048 unless said. */
  readonly bins?: number
}

/** Counts by bin of magnitude, one map for each sign. */
export interface QuantileSketch {
  readonly positive: Map<number, number>
  readonly negative: Map<number, number>
  zeros: number
  smallest: number
  largest: number
}

export type Quantiles<Output> = ObjectAggregate<number | null | undefined, QuantileSketch, Output>

/** Below this, the smallest normal double, magnitudes count as 0. */
const smallestMagnitude = 2 ** -1022

/**
 * Values at given shares of the sorted list: `quantiles([0.5, 0.99])` are the
 * median and the value that one in a hundred passes. The answer for share q is
 * within `relativeError` of the value at rank floor(q (n - 1)), counted from 0.
 * Null where there were none.
 *
 * Bins grow with the magnitude by γ = (1 + e) / (1 - e); bin i holds
 * (γ^(i-1), γ^i], and answers 2 γ^i / (γ + 1), so that the error is relative.
 * Each sign has bins down from its largest magnitude; magnitudes more than
 * γ^bins below it (10^17 with the defaults) share the last one, where the bound
 * holds no more.
 *
 * State: at most 2 · bins counts; about 2 to 6 bytes each.
 *
 * Source: C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and
 * Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019.
 *
 * @throws RangeError for shares outside of [0, 1] or none, an error outside of
 *   (0, 1), fewer than 2 bins.
 */
export function quantiles(shares: readonly number[], options: QuantileOptions = {}): Quantiles<number[]> {
  if (shares.length === 0) throw new RangeError('quantiles need at least one share')
  return quantileAggregate(`quantiles(${shares.join(',')})`, shares, options, (values) => values)
}

/** One quantile, as a number; see `quantiles`. */
export function quantile(share: number, options: QuantileOptions = {}): Quantiles<number> {
  return {
    ...quantileAggregate(`quantile(${share})`, [share], options, ([value]) => value!),
    answersNumber: true,
  }
}

function quantileAggregate<Output>(
  name: string,
  shares: readonly number[],
  { relativeError = 0.01, bins = 2048 }: QuantileOptions,
  outputOf: (values: number[]) => Output,
): Quantiles<Output> {
  for (const share of shares) {
    if (!(share >= 0 && share <= 1)) throw new RangeError(`a share must be in [0, 1], got ${share}`)
  }
  if (!(relativeError > 0 && relativeError < 1)) {
    throw new RangeError(`relativeError must be in (0, 1), got ${relativeError}`)
  }
  if (!Number.isSafeInteger(bins) || bins < 2) {
    throw new RangeError(`bins must be a whole number from 2, got ${bins}`)
  }
  const gamma = (1 + relativeError) / (1 - relativeError)
  const perBin = Math.log(gamma)

  return {
    kind: 'object',
    name: name.slice(0, name.indexOf('(')),
    // What is asked of a sketch is no part of its state.
    id: `ddsketch(${relativeError},${bins})`,
    asked: `shares ${shares.join(', ')}`,
    laws: { orderInsensitive: true, invertible: false, relativeError },
    init: emptySketch,
    add(state, input) {
      if (!Number.isFinite(input)) return state
      const value = (input as number) + 0
      const magnitude = Math.abs(value)
      if (magnitude < smallestMagnitude) state.zeros++
      else {
        const bin = Math.ceil(Math.log(magnitude) / perBin)
        addToBin(value > 0 ? state.positive : state.negative, bin, 1, bins)
      }
      if (value < state.smallest) state.smallest = value
      if (value > state.largest) state.largest = value
      return state
    },
    merge: (older, newer) => ({
      positive: mergeBins(older.positive, newer.positive, bins),
      negative: mergeBins(older.negative, newer.negative, bins),
      zeros: older.zeros + newer.zeros,
      smallest: Math.min(older.smallest, newer.smallest),
      largest: Math.max(older.largest, newer.largest),
    }),
    finish(state) {
      const ascending = binsAscending(state, gamma)
      const count = ascending.reduce((sum, [, each]) => sum + each, 0)
      if (count === 0) return null
      return outputOf(
        shares.map((share) => {
          let rank = Math.floor(share * (count - 1))
          const found = ascending.find(([, each]) => {
            rank -= each
            return rank < 0
          })
          return Math.max(state.smallest, Math.min(state.largest, found![0]))
        }),
      )
    },
    write: writeSketch,
    read: readSketch,
  }
}

const emptySketch = (): QuantileSketch => ({
  positive: new Map(),
  negative: new Map(),
  zeros: 0,
  smallest: Number.POSITIVE_INFINITY,
  largest: Number.NEGATIVE_INFINITY,
})

/** What is kept depends on the highest bin alone, so no order of adding or merging shows. */
function addToBin(counts: Map<number, number>, bin: number, count: number, bins: number): void {
  const known = counts.get(bin)
  if (known !== undefined) {
    counts.set(bin, known + count)
    return
  }
  let highest = bin
  let lowest = bin
  for (const each of counts.keys()) {
    if (each > highest) highest = each
    if (each < lowest) lowest = each
  }
  const floor = highest - bins + 1
  counts.set(Math.max(bin, floor), (counts.get(Math.max(bin, floor)) ?? 0) + count)
  if (lowest >= floor) return
  for (const [each, held] of counts) {
    if (each >= floor) continue
    counts.delete(each)
    counts.set(floor, (counts.get(floor) ?? 0) + held)
  }
}

function mergeBins(
  older: ReadonlyMap<number, number>,
  newer: ReadonlyMap<number, number>,
  bins: number,
): Map<number, number> {
  const merged = new Map(older)
  for (const [bin, count] of newer) addToBin(merged, bin, count, bins)
  return merged
}

/** The value that stands for each bin, and its count. */
function binsAscending(
  { positive, negative, zeros }: QuantileSketch,
  gamma: number,
): [value: number, count: number][] {
  const bins = (counts: ReadonlyMap<number, number>, sign: number): [number, number][] =>
    [...counts]
      .sort(([a], [b]) => sign * (a - b))
      .map(([bin, count]) => [(sign * 2 * gamma ** bin) / (gamma + 1), count])
  const zero: [number, number][] = zeros > 0 ? [[0, zeros]] : []
  return [...bins(negative, -1), ...zero, ...bins(positive, 1)]
}

/** smallest | largest | zeros | for each sign: number of bins, then distance from the bin before and count. */
function writeSketch(
  { positive, negative, zeros, smallest, largest }: QuantileSketch,
  out: ByteWriter,
): void {
  out.double(smallest)
  out.double(largest)
  out.varint(zeros)
  for (const counts of [negative, positive]) {
    out.varint(counts.size)
    let before = 0
    for (const [bin, count] of [...counts].sort(([a], [b]) => a - b)) {
      out.varint(bin - before)
      out.varint(count)
      before = bin
    }
  }
}

function readSketch(bytes: Uint8Array): QuantileSketch {
  const from = new StateReader(bytes)
  const [smallest, largest] = [from.double(), from.double()]
  const zeros = from.varint()
  const binsOf = (): Map<number, number> => {
    const counts = new Map<number, number>()
    const size = from.varint()
    for (let index = 0, bin = 0; index < size; index++) {
      bin += from.varint()
      counts.set(bin, from.varint())
    }
    return counts
  }
  const negative = binsOf()
  return { positive: binsOf(), negative, zeros, smallest, largest }
}
