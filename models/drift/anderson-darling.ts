import type { TestResult } from './count-tests.ts'

/** Critical values are b0 + b1 / sqrt(k - 1) + b2 / (k - 1), table 2 of the source, at these levels. */
const levels = [0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001]
const b0 = [0.675, 1.281, 1.645, 1.96, 2.326, 2.573, 3.085]
const b1 = [-0.245, 0.25, 0.678, 1.149, 1.822, 2.364, 3.615]
const b2 = [-0.105, -0.305, -0.362, -0.391, -0.396, -0.345, -0.154]

/**
 * Whether samples are of one distribution, tails weighing more than in the
 * Kolmogorov-Smirnov test; ties count half. The chance is read off the table
 * of the source by a parabola through its logarithms, from 0.25 to 0.001.
 *
 * Source: Scholz and Stephens, "K-Sample Anderson-Darling Tests", JASA 1987.
 */
export function andersonDarling(samples: readonly Float64Array[]): TestResult {
  const k = samples.length
  const sorted = samples.map((sample) => sample.toSorted())
  const all = Float64Array.from(sorted.flatMap((sample) => [...sample])).sort()
  const total = all.length
  if (k < 2 || total < 4 || all[0] === all[total - 1]) {
    throw new RangeError('it takes two samples, four values, and two that differ')
  }
  const counts = sorted.map(() => ({ below: 0, tied: 0 }))
  let statistic = 0
  for (let from = 0; from < total; ) {
    const value = all[from]!
    let to = from
    while (to < total && all[to] === value) to++
    const tied = to - from
    const middle = from + tied / 2
    for (const [index, sample] of sorted.entries()) {
      const count = counts[index]!
      count.below += count.tied
      count.tied = 0
      while (sample[count.below + count.tied] === value) count.tied++
      const rank = count.below + count.tied / 2
      const square = (total * rank - middle * sample.length) ** 2
      statistic +=
        ((tied / total) * square) / (middle * (total - middle) - (total * tied) / 4) / sample.length
    }
    from = to
  }
  statistic *= (total - 1) / total
  const normed = (statistic - (k - 1)) / Math.sqrt(varianceOf(sorted, total))
  return { statistic: normed, pValue: chanceOf(normed, k - 1) }
}

/** Variance of the statistic where nothing differs, equation 4 of the source. */
function varianceOf(samples: readonly Float64Array[], total: number): number {
  const k = samples.length
  const inverse = samples.reduce((sum, sample) => sum + 1 / sample.length, 0)
  let h = 0
  let g = 0
  for (let index = 1; index < total - 1; index++) {
    h += 1 / (total - index)
    g += h / (index + 1)
  }
  h += 1
  const a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * inverse
  const b = (2 * g - 4) * k ** 2 + 8 * h * k + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
  const c = (6 * h + 2 * g - 2) * k ** 2 + (4 * h - 4 * g + 6) * k + (2 * h - 6) * inverse + 4 * h
  const d = (2 * h + 6) * k ** 2 - 4 * h * k
  return (a * total ** 3 + b * total ** 2 + c * total + d) / ((total - 1) * (total - 2) * (total - 3))
}

function chanceOf(normed: number, degrees: number): number {
  const critical = levels.map(
    (_, index) => b0[index]! + b1[index]! / Math.sqrt(degrees) + b2[index]! / degrees,
  )
  if (normed < Math.min(...critical)) return levels[0]!
  if (normed > Math.max(...critical)) return levels.at(-1)!
  return Math.exp(parabolaAt(critical, levels.map(Math.log), normed))
}

/** The least-squares parabola through points, at x: by polynomials that are orthogonal on them. */
function parabolaAt(xs: readonly number[], ys: readonly number[], x: number): number {
  const sum = (term: (index: number) => number) => xs.reduce((total, _, index) => total + term(index), 0)
  const center = sum((index) => xs[index]!) / xs.length
  const first = (at: number) => at - center
  const norm1 = sum((index) => first(xs[index]!) ** 2)
  const shift = sum((index) => xs[index]! * first(xs[index]!) ** 2) / norm1
  const second = (at: number) => (at - shift) * first(at) - norm1 / xs.length
  const norm2 = sum((index) => second(xs[index]!) ** 2)
  return (
    sum((index) => ys[index]!) / xs.length +
    (sum((index) => ys[index]! * first(xs[index]!)) / norm1) * first(x) +
    (sum((index) => ys[index]! * second(xs[index]!)) / norm2) * second(x)
  )
}
