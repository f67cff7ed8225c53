import type { ObjectAggregate } from './aggregate.ts'
import { StateReader } from './state-reader.ts'
import type { SpreadOptions } from './variance.ts'

/** Two numbers of one event. A pair with a null, NaN or infinity is left out whole. */
export type NumberPair = readonly [x: number | null | undefined, y: number | null | undefined]

/** [count, mean of x, mean of y, squares of x, squares of y, products], about the means. 48 bytes. */
export type PairState = Float64Array

export type PairAggregate = ObjectAggregate<NumberPair, PairState, number>

const width = 6

/**
 * Covariance of two numbers of an event, of a sample unless said. Null for no
 * pair, or but one of a sample.
 *
 * Source: P. Pébay, "Formulas for Robust, One-Pass Parallel Computation of
 * Covariances and Arbitrary-Order Statistical Moments", Sandia SAND2008-6212,
 * 2008.
 */
export function covariance({ of = 'sample' }: SpreadOptions = {}): PairAggregate {
  const less = of === 'sample' ? 1 : 0
  return pairAggregate(of === 'sample' ? 'covariance' : 'populationCovariance', (state) =>
    state[0]! > less ? state[5]! / (state[0]! - less) : Number.NaN,
  )
}

/**
 * Pearson's correlation of two numbers of an event, in [-1, 1]. Null where
 * either of them does not vary.
 */
export function correlation(): PairAggregate {
  return pairAggregate('correlation', (state) => {
    const ratio = state[5]! / (Math.sqrt(state[3]!) * Math.sqrt(state[4]!))
    return Math.max(-1, Math.min(1, ratio))
  })
}

/** Slope of the least-squares line of y over x. Null where x does not vary. */
export function slope(): PairAggregate {
  return pairAggregate('slope', (state) => state[5]! / state[3]!)
}

function pairAggregate(name: string, answer: (state: PairState) => number): PairAggregate {
  return {
    kind: 'object',
    answersNumber: true,
    name,
    id: name,
    laws: { orderInsensitive: true, invertible: false },
    init: () => new Float64Array(width),
    add: addPair,
    merge: mergePairs,
    finish(state) {
      const value = answer(state)
      return Number.isFinite(value) ? value : null
    },
    write(state, out) {
      for (const value of state) out.double(value)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      return Float64Array.from({ length: width }, () => from.double())
    },
  }
}

function addPair(state: PairState, [x, y]: NumberPair): PairState {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return state
  const count = state[0]! + 1
  const xOff = (x as number) - state[1]!
  const yOff = (y as number) - state[2]!
  const xMean = state[1]! + xOff / count
  const yMean = state[2]! + yOff / count
  state[0] = count
  state[1] = xMean
  state[2] = yMean
  state[3]! += xOff * ((x as number) - xMean)
  state[4]! += yOff * ((y as number) - yMean)
  state[5]! += xOff * ((y as number) - yMean)
  return state
}

function mergePairs(older: PairState, newer: PairState): PairState {
  if (newer[0] === 0) return older.slice()
  if (older[0] === 0) return newer.slice()
  const total = older[0]! + newer[0]!
  const share = newer[0]! / total
  const xOff = newer[1]! - older[1]!
  const yOff = newer[2]! - older[2]!
  const weight = older[0]! * share
  return Float64Array.of(
    total,
    older[1]! + xOff * share,
    older[2]! + yOff * share,
    older[3]! + newer[3]! + xOff * xOff * weight,
    older[4]! + newer[4]! + yOff * yOff * weight,
    older[5]! + newer[5]! + xOff * yOff * weight,
  )
}
