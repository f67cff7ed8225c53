import { deviationOf, meanOf } from './binning.ts'

/**
 * The area between the distributions of two sorted samples: how far, on
 * average, values must move to turn one into the other, in their unit.
 */
export function wasserstein(left: Float64Array, right: Float64Array): number {
  let i = 0
  let j = 0
  let area = 0
  let previous = Number.NaN
  while (i < left.length || j < right.length) {
    const value = Math.min(left[i] ?? Infinity, right[j] ?? Infinity)
    if (i + j > 0) area += Math.abs(i / left.length - j / right.length) * (value - previous)
    while (i < left.length && left[i] === value) i++
    while (j < right.length && right[j] === value) j++
    previous = value
  }
  return area
}

/** In standard deviations of the reference, at least 0.001 each: features of any unit compare. */
export function wassersteinNormed(reference: Float64Array, current: Float64Array): number {
  return wasserstein(reference, current) / Math.max(deviationOf(reference, meanOf(reference)), 0.001)
}
