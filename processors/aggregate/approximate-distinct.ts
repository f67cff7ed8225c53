import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { ObjectAggregate } from './aggregate.ts'
import { type CategoryInput, categoryOf } from './category.ts'
import { hashCategory, hashed } from './hash-category.ts'
import { StateReader } from './state-reader.ts'

/**
 * Few values: for each cell of 2^25 that was hit, the longest run of zeros.
 * Many: a register for each of the 2^precision cells.
 */
export type DistinctSketch = Map<number, number> | Uint8Array

export type ApproximateDistinct = ObjectAggregate<CategoryInput, DistinctSketch, number>

const sparsePrecision = 25
const tailBits = 64 - sparsePrecision

/**
 * Number of different values, estimated: a whole number, with a standard error
 * of 1.04 / sqrt(2^precision): 1.6 % for the default of 12, and nearly exact
 * while few values were seen. Null where there were none.
 *
 * State: 2^precision bytes (three quarters of that when written); less for
 * up to 2^precision / 8 values, which are kept in cells of a finer
 * sketch. `laws.relativeError` is three standard errors.
 *
 * Source: P. Flajolet, É. Fusy, O. Gandouet, F. Meunier, "HyperLogLog: the
 * analysis of a near-optimal cardinality estimation algorithm", AofA 2007;
 * S. Heule, M. Nunkesser, A. Hall, "HyperLogLog in Practice", EDBT 2013
 * (sparse start); O. Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches", arXiv:1702.01284, 2017 (the estimate, which needs no
 * table of corrections).
 *
 * @throws RangeError for a precision that is not a whole number from 4 to 16.
 */
export function approximateDistinct({ precision = 12 }: { precision?: number } = {}): ApproximateDistinct {
  if (!Number.isInteger(precision) || precision < 4 || precision > 16) {
    throw new RangeError(`precision must be a whole number from 4 to 16, got ${precision}`)
  }
  const cells = 2 ** precision
  const sparseLimit = cells / 8
  const compacted = (state: DistinctSketch): DistinctSketch =>
    state instanceof Map && state.size > sparseLimit ? denseOf(state, precision) : state

  return {
    kind: 'object',
    answersNumber: true,
    name: 'approximateDistinct',
    id: `approximateDistinct(${precision})`,
    laws: { orderInsensitive: true, invertible: false, relativeError: 3 * (1.04 / Math.sqrt(cells)) },
    init: () => new Map(),
    add(state, input) {
      const value = categoryOf(input)
      if (value === undefined) return state
      hashCategory(value)
      const cell = hashed.high >>> (32 - sparsePrecision)
      // What is left of the hash: the low bits of its high half, then its low half.
      const rest = (hashed.high << sparsePrecision) >>> sparsePrecision
      const run = rest !== 0 ? Math.clz32(rest) - sparsePrecision + 1 : tailBits - 31 + Math.clz32(hashed.low)
      raise(state, cell, run, precision)
      return compacted(state)
    },
    merge(older, newer) {
      if (older instanceof Map && newer instanceof Map) {
        const merged = new Map(older)
        for (const [cell, run] of newer) raise(merged, cell, run, precision)
        return compacted(merged)
      }
      const merged = older instanceof Map ? denseOf(older, precision) : older.slice()
      if (newer instanceof Map) for (const [cell, run] of newer) raise(merged, cell, run, precision)
      else for (const [cell, run] of newer.entries()) if (run > merged[cell]!) merged[cell] = run
      return merged
    },
    finish(state) {
      if (!(state instanceof Map)) return Math.round(estimate(state, precision))
      if (state.size === 0) return null
      // Linear counting over the fine cells.
      const all = 2 ** sparsePrecision
      return Math.round(-all * Math.log1p(-state.size / all))
    },
    write: writeSketch,
    read: (bytes) => readSketch(bytes, cells),
  }
}

/** Takes in one fine cell. */
function raise(state: DistinctSketch, fineCell: number, fineRun: number, precision: number): void {
  if (state instanceof Map) {
    if (fineRun > (state.get(fineCell) ?? 0)) state.set(fineCell, fineRun)
    return
  }
  const between = sparsePrecision - precision
  const cell = fineCell >>> between
  const rest = fineCell & (2 ** between - 1)
  const run = rest !== 0 ? Math.clz32(rest) - (32 - between) + 1 : between + fineRun
  if (run > state[cell]!) state[cell] = run
}

function denseOf(sparse: Map<number, number>, precision: number): Uint8Array {
  const dense = new Uint8Array(2 ** precision)
  for (const [cell, run] of sparse) raise(dense, cell, run, precision)
  return dense
}

/** Ertl's improved raw estimate, from how often each register value occurs. */
function estimate(registers: Uint8Array, precision: number): number {
  const cells = registers.length
  const longest = 64 - precision
  const counts = new Uint32Array(longest + 2)
  for (const run of registers) counts[run]!++
  let sum = cells * tau(1 - counts[longest + 1]! / cells)
  for (let run = longest; run >= 1; run--) sum = 0.5 * (sum + counts[run]!)
  sum += cells * sigma(counts[0]! / cells)
  return (cells * cells) / (2 * Math.LN2 * sum)
}

/** Σ over empty registers; no register is hit: infinite, and the estimate 0. */
function sigma(share: number): number {
  if (share === 1) return Number.POSITIVE_INFINITY
  let power = share
  let factor = 1
  let sum = share
  for (let before = -1; before !== sum; ) {
    power *= power
    before = sum
    sum += power * factor
    factor += factor
  }
  return sum
}

/** Σ over full registers. */
function tau(share: number): number {
  if (share === 0 || share === 1) return 0
  let root = share
  let factor = 1
  let sum = 1 - share
  for (let before = -1; before !== sum; ) {
    root = Math.sqrt(root)
    before = sum
    factor *= 0.5
    sum -= (1 - root) ** 2 * factor
  }
  return sum / 3
}

/**
 *     sparse   0 | for each cell, ascending: distance from the one before, run
 *     dense    1 | registers of 6 bits, four in three bytes
 */
function writeSketch(state: DistinctSketch, out: ByteWriter): void {
  if (state instanceof Map) {
    out.byte(0)
    let before = 0
    for (const [cell, run] of [...state].sort(([a], [b]) => a - b)) {
      out.varint(cell - before)
      out.byte(run)
      before = cell
    }
    return
  }
  out.byte(1)
  for (let at = 0; at < state.length; at += 4) {
    const four = (state[at]! << 18) | (state[at + 1]! << 12) | (state[at + 2]! << 6) | state[at + 3]!
    out.byte(four >>> 16)
    out.byte((four >>> 8) & 0xff)
    out.byte(four & 0xff)
  }
}

function readSketch(bytes: Uint8Array, cells: number): DistinctSketch {
  const from = new StateReader(bytes)
  if (from.byte() === 0) {
    const sparse = new Map<number, number>()
    for (let cell = 0; !from.isDone; ) {
      cell += from.varint()
      sparse.set(cell, from.byte())
    }
    return sparse
  }
  const dense = new Uint8Array(cells)
  for (let at = 0; at < cells; at += 4) {
    const four = (from.byte() << 16) | (from.byte() << 8) | from.byte()
    dense[at] = four >>> 18
    dense[at + 1] = (four >>> 12) & 0x3f
    dense[at + 2] = (four >>> 6) & 0x3f
    dense[at + 3] = four & 0x3f
  }
  return dense
}
