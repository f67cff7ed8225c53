/**
 * The special functions that the tests need, to about 14 digits. The series
 * and continued fractions are those of Abramowitz and Stegun, "Handbook of
 * Mathematical Functions", 1964, chapters 6, 7 and 26; the continued fractions
 * are evaluated by the method of Lentz, Applied Optics 1976.
 */

const tiny = 1e-300
const closeEnough = 1e-16
const termLimit = 10_000

/** Coefficients of Lanczos's approximation of the gamma function for g = 7, nine terms (Godfrey 2001). */
const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** Coefficients of Stirling's series, from 1/(12 x). */
const stirling = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360, 1 / 156, -3617 / 122_400]

/** Natural logarithm of the gamma function, x above 0. */
export function logGamma(x: number): number {
  if (!(x > 0)) return Number.NaN
  if (x >= 10) {
    const inverse = 1 / (x * x)
    let series = 0
    for (let index = stirling.length - 1; index >= 0; index--) series = series * inverse + stirling[index]!
    return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series / x
  }
  const shifted = x - 1
  let sum = lanczos[0]!
  for (let index = 1; index < lanczos.length; index++) sum += lanczos[index]! / (shifted + index)
  const t = shifted + 7.5
  return 0.5 * Math.log(2 * Math.PI) + (shifted + 0.5) * Math.log(t) - t + Math.log(sum)
}

/** Complementary error function, 1 - erf(x), accurate far into its tail. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x)
  if (x < 1.5) return 1 - erfSeries(x)
  if (x > 27) return 0
  // A continued fraction: x + (1/2)/(x + 1/(x + (3/2)/(x + …
  let fraction = x
  let c = x
  let d = 0
  for (let term = 1; term < termLimit; term++) {
    d = 1 / (x + (term / 2) * d)
    c = x + term / 2 / c
    const change = c * d
    fraction *= change
    if (Math.abs(change - 1) < closeEnough) break
  }
  return Math.exp(-x * x) / (fraction * Math.sqrt(Math.PI))
}

/** 2 x / sqrt(pi) e^(-x^2) (1 + 2 x^2/3 + (2 x^2)^2/15 + …): no term is negative, so no digit is lost. */
function erfSeries(x: number): number {
  let term = 1
  let sum = 1
  for (let odd = 3; term > sum * closeEnough; odd += 2) {
    term *= (2 * x * x) / odd
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * x * Math.exp(-x * x) * sum
}

/** Share of a beta distribution below x: the regularised incomplete beta function. */
export function betaBelow(a: number, b: number, x: number): number {
  if (!(a > 0 && b > 0 && x >= 0 && x <= 1)) return Number.NaN
  if (x === 0 || x === 1) return x
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x))
  return x < (a + 1) / (a + b + 2)
    ? (front * betaFraction(a, b, x)) / a
    : 1 - (front * betaFraction(b, a, 1 - x)) / b
}

function betaFraction(a: number, b: number, x: number): number {
  let c = 1
  let d = 1 / awayFromZero(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  for (let m = 1; m < termLimit; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / awayFromZero(1 + even * d)
    c = awayFromZero(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / awayFromZero(1 + odd * d)
    c = awayFromZero(1 + odd / c)
    const change = d * c
    fraction *= change
    if (Math.abs(change - 1) < closeEnough) break
  }
  return fraction
}

const awayFromZero = (value: number): number => (Math.abs(value) < tiny ? tiny : value)
