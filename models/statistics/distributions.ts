import { betaBelow, erfc } from './special-functions.ts'

/** Share of the standard normal distribution below z. */
export const normalBelow = (z: number): number => 0.5 * erfc(-z / Math.SQRT2)

/** The z with `share` of the standard normal distribution below it; infinite at 0 and 1. */
export function normalQuantile(share: number): number {
  if (share === 0.5) return 0
  if (!(share >= 0 && share <= 1)) return Number.NaN
  if (share === 0 || share === 1) return share === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  // The lower tail keeps its digits; the upper one is its mirror image.
  if (share > 0.5) return -normalQuantile(1 - share)
  return quantileOf(normalBelow, share, -40, 0)
}

/** Share of Student's t distribution below t. */
export function studentBelow(t: number, degrees: number): number {
  if (t === Number.POSITIVE_INFINITY || t === Number.NEGATIVE_INFINITY) return t > 0 ? 1 : 0
  const tail = 0.5 * betaBelow(degrees / 2, 0.5, degrees / (degrees + t * t))
  return t > 0 ? 1 - tail : tail
}

/** The t with `share` of Student's t distribution below it. */
export function studentQuantile(share: number, degrees: number): number {
  if (share === 0.5) return 0
  if (!(share > 0 && share < 1))
    return share === 0 ? Number.NEGATIVE_INFINITY : share === 1 ? Number.POSITIVE_INFINITY : Number.NaN
  if (share > 0.5) return -studentQuantile(1 - share, degrees)
  let low = -1
  while (studentBelow(low, degrees) > share) low *= 2
  return quantileOf((t) => studentBelow(t, degrees), share, low, 0)
}

/** Halves the interval until it cannot be halved: slow, sure, and exact to the last bit of an increasing function. */
function quantileOf(below: (x: number) => number, share: number, from: number, to: number): number {
  let low = from
  let high = to
  for (;;) {
    const middle = (low + high) / 2
    if (middle <= low || middle >= high) return middle
    if (below(middle) < share) low = middle
    else high = middle
  }
}
