import { andersonDarling } from '../../models/drift/anderson-darling.ts'
import { doaneEdges, histogramOf, sturgesEdges } from '../../models/drift/binning.ts'
import { chiSquareTest, fisherExact, gTest, homogeneityTest } from '../../models/drift/count-tests.ts'
import {
  fillEmpty,
  hellinger,
  jensenShannon,
  kullbackLeibler,
  largestDifference,
  populationStability,
  sharesOf,
  smoothed,
} from '../../models/drift/distances.ts'
import { ksPvalue, ksPvalueExact, ksStatistic } from '../../models/drift/ks-test.ts'
import { meanDiscrepancy, medianWidth } from '../../models/drift/mean-discrepancy.ts'
import { mannWhitney, studentTest } from '../../models/drift/sample-tests.ts'
import { wasserstein, wassersteinNormed } from '../../models/drift/wasserstein.ts'
import { type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'

interface Input {
  readonly categories?: readonly number[]
  readonly reference_counts?: readonly number[]
  readonly current_counts?: readonly number[]
  readonly reference?: readonly number[] | string
  readonly current?: readonly number[] | string
  readonly table?: [[number, number], [number, number]]
  readonly x?: readonly (readonly number[])[]
  readonly y?: readonly (readonly number[])[]
  readonly sigma?: number
}

/** What a statistic is computed from, as sorted samples, as counts, or as both. */
interface Slices {
  readonly input: Input
  readonly metric: string
  readonly samples: readonly [Float64Array, Float64Array]
  readonly counts: readonly [Float64Array, Float64Array]
  readonly edges: Float64Array
}

/** By what the name of a metric says; the first that fits. */
const statistics: readonly (readonly [RegExp, (slices: Slices) => unknown])[] = [
  [/^evidently bins/, evidentlyBins],
  [/^chi-?square.*(contingency|homogeneity)/i, ({ counts }) => testOf(homogeneityTest(...counts))],
  [/^chi-?square/i, ({ counts }) => testOf(chiSquareTest(...counts))],
  [/^g-?test/i, ({ counts }) => gTest(...counts).pValue],
  [/^fisher/, ({ input }) => fisherExact(input.table!)],
  [/^hellinger/, ({ counts }) => hellinger(sharesOf(counts[0]), sharesOf(counts[1]))],
  [/^jensen.?shannon nannyml continuous/, nannymlJensenShannon],
  [/^jensen.?shannon/, ({ counts, metric }) => jensenShannon(...shared(counts), baseOf(metric))],
  [/^psi/, psi],
  [/^kl/, ({ counts }) => kullbackLeibler(fillEmpty(sharesOf(counts[0])), fillEmpty(sharesOf(counts[1])))],
  [/^l_?infinity/, ({ counts }) => largestDifference(...shared(counts))],
  [/^ks/, kolmogorovSmirnov],
  [/^t-test/, ({ samples }) => named(studentTest(...samples), 't')],
  [/^mann-whitney/, ({ samples }) => named(mannWhitney(...samples), 'U')],
  [/^anderson/, ({ samples }) => testOf(andersonDarling(samples))],
  [/^wasserstein.*norm/, ({ samples }) => wassersteinNormed(...samples)],
  [/^wasserstein/, ({ samples }) => wasserstein(...samples)],
  [/^mmd2/, ({ input }) => meanDiscrepancy(input.x!, input.y!, input.sigma!)],
  [/^sigma_median/, ({ input }) => medianWidth(input.x!, input.y!)],
]

const metricTolerance = 1e-12

export function runDriftStatisticCase({ body }: GoldenCase): Verdict {
  const metric = String(body['metric'])
  const expected = body['expected']
  const found = statistics.find(([name]) => name.test(metric))
  if (found === undefined) return notApplicable(`the engine has no statistic "${metric}"`, expected)
  const slices = slicesOf(body['input'] as Input, metric)
  const got = found[1](slices)
  const less = body['evidently_less_p']
  if (typeof less !== 'number') return judge({ value: expected }, { value: got }, metricTolerance)
  const { pValue } = mannWhitney(...slices.samples, 'less')
  return judge({ value: expected, less }, { value: got, less: pValue }, metricTolerance)
}

function slicesOf(input: Input, metric: string): Slices {
  const { categories, reference_counts, current_counts } = input
  if (reference_counts !== undefined && current_counts !== undefined) {
    const counts = [Float64Array.from(reference_counts), Float64Array.from(current_counts)] as const
    const kinds = categories ?? reference_counts.map((_, index) => index)
    const repeated = (of: Float64Array) =>
      Float64Array.from(kinds.flatMap((kind, index) => Array<number>(of[index]!).fill(kind)))
    return {
      input,
      metric,
      counts,
      samples: [repeated(counts[0]), repeated(counts[1])],
      edges: new Float64Array(0),
    }
  }
  const samples = [valuesOf(input.reference), valuesOf(input.current)] as const
  const all = Float64Array.of(...samples[0], ...samples[1])
  const edges = all.length === 0 ? new Float64Array(1) : sturgesEdges(all)
  const counts = [histogramOf(samples[0], edges), histogramOf(samples[1], edges)] as const
  return { input, metric, counts, samples, edges }
}

/** Numbers, or `i in A..B: a*sin(b i)+…`, sorted. */
function valuesOf(given: readonly number[] | string = []): Float64Array {
  if (typeof given !== 'string') return Float64Array.from(given).sort()
  const [, from = '0', to = '-1', formula = ''] = /^i in (\d+)\.\.(\d+): (.*)$/.exec(given) ?? []
  const terms = [
    ...formula.replaceAll(' i', 'i').matchAll(/([+-]?)(?:([\d.]+)\*)?(sin|cos)?\(?([\d.]+)?(i?)\)?/g),
  ]
    .filter(([text]) => text !== '')
    .map(([, sign, factor = '1', wave, number = '1', index]) => (i: number) => {
      const inner = Number(number) * (index === 'i' ? i : 1)
      const value = wave === 'sin' ? Math.sin(inner) : wave === 'cos' ? Math.cos(inner) : inner
      return (sign === '-' ? -1 : 1) * Number(factor) * value
    })
  return Float64Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) =>
    terms.reduce((sum, term) => sum + term(Number(from) + index), 0),
  ).sort()
}

const shared = ([reference, current]: Slices['counts']) => [sharesOf(reference), sharesOf(current)] as const

const baseOf = (metric: string): number => {
  const [, base = 'e'] = /base[ -]?(\d+|e)/.exec(metric) ?? []
  return base === 'e' ? Math.E : Number(base)
}

const testOf = ({ statistic, pValue, degrees }: { statistic: number; pValue: number; degrees?: number }) => ({
  stat: statistic,
  p: pValue,
  dof: degrees,
})

const named = ({ statistic, pValue }: { statistic: number; pValue: number }, name: string) => ({
  [name]: statistic,
  p: pValue,
})

function psi({ counts, metric }: Slices): number {
  const [, extra] = /\+ ?([\d.]+)/.exec(metric) ?? []
  if (extra !== undefined) {
    return populationStability(smoothed(counts[0], Number(extra)), smoothed(counts[1], Number(extra)))
  }
  return populationStability(fillEmpty(sharesOf(counts[0])), fillEmpty(sharesOf(counts[1])))
}

function kolmogorovSmirnov({ samples: [left, right] }: Slices) {
  const stat = ksStatistic(left, right)
  const asymptotic = ksPvalue(stat, left.length, right.length)
  const exact = ksPvalueExact(stat, left.length, right.length)
  return { stat, p: asymptotic, p_asymp: asymptotic, p_auto: exact, p_exact: exact }
}

function evidentlyBins({ counts, edges }: Slices) {
  const [ref, cur] = shared(counts)
  return { n_bins: ref.length, edges, ref, cur }
}

/** Bins of the reference alone; what lies outside of them is a bin of its own. */
function nannymlJensenShannon({ samples: [reference, current], metric }: Slices) {
  const edges = doaneEdges(reference)
  const shares = (values: Float64Array) => {
    const inside = histogramOf(values, edges)
    return sharesOf([...inside, values.length - inside.reduce((sum, count) => sum + count, 0)])
  }
  const [left, right] = [shares(reference), shares(current)]
  return {
    n_bins: edges.length - 1,
    edges,
    leftover: right.at(-1),
    value: jensenShannon(left, right, baseOf(metric)),
  }
}
