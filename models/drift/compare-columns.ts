import { binOf } from './binning.ts'
import { type ColumnSketch, categoryLimit } from './column-sketch.ts'
import { homogeneityTest } from './count-tests.ts'
import { jensenShannon, populationStability, sharesOf, smoothed } from './distances.ts'
import { ksPvalue, ksStatistic } from './ks-test.ts'
import { wassersteinNormed } from './wasserstein.ts'

/** One question put to a column, and its answer. */
export interface ColumnTest {
  /** `ks` and `chi-square` ask about the values, `missing` about how many are not there. */
  readonly test: 'ks' | 'chi-square' | 'missing'
  readonly statistic: number
  /** Size of the change, from 0 to 1: the largest distance of the distributions, or half the sum of the differences of shares. */
  readonly effect: number
  readonly pValue: number
}

/** Two slices side by side: counts of the same bins. */
export interface ColumnBins {
  /** One more than bins; of a category, the values themselves, as many as bins. */
  readonly at: readonly number[]
  readonly reference: readonly number[]
  readonly current: readonly number[]
}

export interface ColumnComparison {
  readonly kind: 'number' | 'category'
  /** Empty where a slice has too few values to ask. */
  readonly tests: readonly ColumnTest[]
  /** Population stability index, half a count added to each bin: tenths of the reference, or categories. */
  readonly populationStability: number
  /** Jensen-Shannon distance of the same bins in base 2, from 0 to 1. */
  readonly jensenShannon: number
  /** Wasserstein distance in standard deviations of the reference; null for categories. */
  readonly wasserstein: number | null
  /** Share of the current values that are of categories which the reference lacks; null for numbers. */
  readonly newCategories: number | null
  readonly bins: ColumnBins
  /** True where the values are samples: all but the counts, means and the test for missing ones is then approximate. */
  readonly isApproximate: boolean
}

/** Fewer values than this in a slice say nothing about their distribution. */
export const leastCount = 20

/** Fewer expected than this in a slice, and a category is counted with the other rare ones. Source: Cochran, Biometrics 1954. */
const leastExpected = 5

const plotBins = 24

/** Compares two slices of one column. */
export function compareColumns(reference: ColumnSketch, current: ColumnSketch): ColumnComparison {
  const kinds = categoriesOf(reference, current)
  const missing = missingTest(reference, current)
  const compared = kinds === undefined ? numbers(reference, current) : categories(reference, current, kinds)
  const hasValues = Math.min(reference.count, current.count) >= leastCount
  return { ...compared, tests: [...(hasValues ? compared.tests : []), ...missing] }
}

function categoriesOf(reference: ColumnSketch, current: ColumnSketch): number[] | undefined {
  if (reference.categories === undefined || current.categories === undefined) return undefined
  const kinds = [...new Set([...reference.categories.keys(), ...current.categories.keys()])]
  return kinds.length > categoryLimit ? undefined : kinds.sort((a, b) => a - b)
}

function categories(reference: ColumnSketch, current: ColumnSketch, kinds: number[]): ColumnComparison {
  const counts = [reference, current].map((sketch) => kinds.map((kind) => sketch.categories?.get(kind) ?? 0))
  const [left = [], right = []] = counts
  const least = Math.min(reference.count, current.count) / Math.max(1, reference.count + current.count)
  const isRare = kinds.map((_, index) => (left[index]! + right[index]!) * least < leastExpected)
  const pooled = (of: number[]) => [
    ...of.filter((_, index) => !isRare[index]),
    of.reduce((sum, count, index) => (isRare[index] ? sum + count : sum), 0),
  ]
  const { statistic, pValue } = homogeneityTest(pooled(left), pooled(right))
  const [p, q] = [sharesOf(left), sharesOf(right)]
  const effect = p.reduce((sum, share, index) => sum + Math.abs(share - q[index]!), 0) / 2
  const unknown = right.reduce((sum, count, index) => (left[index] === 0 ? sum + count : sum), 0)
  return {
    kind: 'category',
    tests: [{ test: 'chi-square', statistic, effect, pValue }],
    populationStability: stability(left, right),
    jensenShannon: distance(p, q),
    wasserstein: null,
    newCategories: reference.count === 0 || current.count === 0 ? null : unknown / current.count,
    bins: { at: kinds, reference: left, current: right },
    isApproximate: false,
  }
}

function numbers(reference: ColumnSketch, current: ColumnSketch): ColumnComparison {
  const [left, right] = [reference.sample(), current.sample()]
  const statistic = ksStatistic(left, right)
  const pValue = left.length > 0 && right.length > 0 ? ksPvalue(statistic, left.length, right.length) : 1
  const tenths = tenthsOf(left)
  const [p, q] = [binned(left, tenths), binned(right, tenths)]
  return {
    kind: 'number',
    tests: [{ test: 'ks', statistic, effect: statistic, pValue }],
    populationStability: stability(p, q),
    jensenShannon: distance(sharesOf(p), sharesOf(q)),
    wasserstein: left.length > 0 && right.length > 0 ? wassersteinNormed(left, right) : null,
    newCategories: null,
    bins: plotted(left, right),
    isApproximate: reference.isSampled || current.isSampled,
  }
}

/** A change in how many values are missing. Nothing to ask where all or none are, in both. */
function missingTest(reference: ColumnSketch, current: ColumnSketch): ColumnTest[] {
  const rows = [reference, current].map(({ count, missing }) => [count, missing])
  const [left = [], right = []] = rows
  const sum = (row: number[]) => row.reduce((total, count) => total + count, 0)
  if (sum(left) < leastCount || sum(right) < leastCount) return []
  const { statistic, degrees, pValue } = homogeneityTest(left, right)
  if (degrees < 1) return []
  const effect = Math.abs(reference.missingShare - current.missingShare)
  return [{ test: 'missing', statistic, effect, pValue }]
}

/** Inner edges at the tenths of a sorted sample, open at both ends; equal ones once. */
function tenthsOf(sorted: Float64Array): Float64Array {
  const inner = new Set<number>()
  for (let tenth = 1; tenth < 10; tenth++) {
    const value = sorted[Math.floor((tenth * sorted.length) / 10)]
    if (value !== undefined) inner.add(value)
  }
  return Float64Array.of(-Infinity, ...inner, Infinity)
}

/** Even bins over the middle 99 percent of both; what is beyond is in the outermost ones. */
function plotted(left: Float64Array, right: Float64Array): ColumnBins {
  const both = Float64Array.of(...left, ...right).sort()
  if (both.length === 0) return { at: [], reference: [], current: [] }
  const from = both[Math.floor(both.length * 0.005)]!
  const to = both[Math.ceil(both.length * 0.995) - 1]!
  const width = (to - from) / plotBins || 1
  const at = Array.from({ length: plotBins + 1 }, (_, index) => from + index * width)
  const open = Float64Array.from(at)
  open[0] = -Infinity
  open[plotBins] = Infinity
  return { at, reference: [...binned(left, open)], current: [...binned(right, open)] }
}

function binned(values: Float64Array, edges: Float64Array): Float64Array {
  const counts = new Float64Array(edges.length - 1)
  for (const value of values) {
    const bin = binOf(value, edges)
    counts[bin] = counts[bin]! + 1
  }
  return counts
}

const stability = (left: ArrayLike<number>, right: ArrayLike<number>): number =>
  left.length === 0 ? 0 : populationStability(smoothed(left), smoothed(right))

const distance = (p: Float64Array, q: Float64Array): number =>
  p.some((share) => share > 0) && q.some((share) => share > 0) ? jensenShannon(p, q, 2) : 0
