import type { ObjectAggregate } from './aggregate.ts'
import { StateReader } from './state-reader.ts'
import { addCompensated } from './sum.ts'

/** [count, sum and its error for each component]. */
export type VectorState = Float64Array

export type VectorMean = ObjectAggregate<ArrayLike<number> | null | undefined, VectorState, number[]>

/**
 * Mean of vectors, component by component, as of embeddings. A vector of
 * another dimension, or with a component that is NaN or infinite, is left out
 * whole. Null where there were none. State: 16 bytes for each component and 8.
 *
 * @throws RangeError for a dimension that is not a whole number from 1.
 */
export function vectorMean(dimension: number): VectorMean {
  if (!Number.isSafeInteger(dimension) || dimension < 1) {
    throw new RangeError(`dimension must be a whole number from 1, got ${dimension}`)
  }
  const width = 1 + 2 * dimension
  const isUsable = (vector: ArrayLike<number> | null | undefined): vector is ArrayLike<number> => {
    if (vector === null || vector === undefined || vector.length !== dimension) return false
    for (let at = 0; at < dimension; at++) if (!Number.isFinite(vector[at])) return false
    return true
  }
  return {
    kind: 'object',
    name: 'vectorMean',
    id: `vectorMean(${dimension})`,
    laws: { orderInsensitive: true, invertible: true },
    init: () => new Float64Array(width),
    add(state, vector) {
      if (!isUsable(vector)) return state
      state[0]!++
      for (let at = 0; at < dimension; at++) addCompensated(state, 1 + 2 * at, vector[at]!)
      return state
    },
    remove(state, vector) {
      if (!isUsable(vector)) return state
      state[0]!--
      for (let at = 0; at < dimension; at++) addCompensated(state, 1 + 2 * at, -vector[at]!)
      return state
    },
    merge(older, newer) {
      const merged = older.slice()
      merged[0]! += newer[0]!
      for (let at = 1; at < width; at += 2) {
        addCompensated(merged, at, newer[at]!)
        merged[at + 1]! += newer[at + 1]!
      }
      return merged
    },
    finish(state) {
      const count = state[0]!
      if (count === 0) return null
      return Array.from({ length: dimension }, (_, at) => (state[1 + 2 * at]! + state[2 + 2 * at]!) / count)
    },
    write(state, out) {
      out.varint(state[0]!)
      for (let at = 1; at < width; at++) out.double(state[at]!)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      const count = from.varint()
      return Float64Array.from({ length: width }, (_, at) => (at === 0 ? count : from.double()))
    },
  }
}
