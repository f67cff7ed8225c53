import { logGamma } from './special-functions.ts'

/**
 * Share of a gamma distribution of this shape above x: the regularised upper
 * incomplete gamma function. By its series where x is small, else by its
 * continued fraction, to about 14 digits.
 *
 * Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964,
 * 6.5.29 and 6.5.31.
 */
export function gammaAbove(shape: number, x: number): number {
  if (!(shape > 0 && x >= 0)) return Number.NaN
  if (x === 0) return 1
  if (x === Infinity) return 0
  const front = Math.exp(shape * Math.log(x) - x - logGamma(shape))
  if (x < shape + 1) {
    let term = 1 / shape
    let sum = term
    for (let index = 1; term > sum * 1e-17; index++) {
      term *= x / (shape + index)
      sum += term
    }
    return 1 - front * sum
  }
  let b = x + 1 - shape
  let c = 1e300
  let d = 1 / b
  let fraction = d
  for (let index = 1; index < 100_000; index++) {
    const a = -index * (index - shape)
    b += 2
    d = 1 / (a * d + b)
    c = b + a / c
    const change = d * c
    fraction *= change
    if (Math.abs(change - 1) < 1e-16) break
  }
  return front * fraction
}

/** Share of a chi-square distribution above x. */
export const chiSquareAbove = (x: number, degrees: number): number => gammaAbove(degrees / 2, x / 2)
