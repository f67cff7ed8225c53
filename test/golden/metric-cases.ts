import { exactAuc } from '../../models/metrics/auc.ts'
import { averagePrecision } from '../../models/metrics/average-precision.ts'
import {
  calibrationError,
  equalMassCurve,
  expectedError,
  largestError,
  undoDownsampling,
} from '../../models/metrics/calibration.ts'
import { type Averaging, ConfusionMatrix } from '../../models/metrics/confusion-matrix.ts'
import { groupedAuc } from '../../models/metrics/grouped-auc.ts'
import { isotonicFit } from '../../models/metrics/isotonic.ts'
import { evaluate, type Metric } from '../../models/metrics/metric.ts'
import {
  brierScore,
  calibrationRatio,
  logLoss,
  normalizedEntropy,
} from '../../models/metrics/probability-metrics.ts'
import {
  averagePrecisionAt,
  hitAt,
  normalizedGain,
  normalizedGainByScore,
  precisionAt,
  recallAt,
  reciprocalRank,
  rPrecision,
} from '../../models/metrics/ranking-metrics.ts'
import {
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  meanSquaredLogError,
  medianAbsoluteError,
  quantileLoss,
  r2,
  rootMeanSquaredError,
  symmetricPercentageError,
} from '../../models/metrics/regression-metrics.ts'
import { type GoldenCase, judge, notApplicable, type Verdict } from './golden-case.ts'

interface Input {
  readonly y_true: readonly number[]
  readonly y_score: readonly number[]
  readonly y_pred: readonly number[]
  readonly p: readonly number[] | number
  readonly sample_weight?: readonly number[]
  readonly eps?: number
  readonly alpha?: number
  readonly quantile?: number
  readonly w: number
  readonly group: readonly (string | number)[]
  readonly relevance: readonly number[]
  readonly score: readonly number[]
  readonly ignore_ties?: boolean
  readonly retrieved_rel: readonly number[]
  readonly ideal_rel: readonly number[]
  readonly k?: number
  readonly relevant: readonly (readonly number[])[]
  readonly runs: readonly (readonly number[])[]
  readonly qrel: Readonly<Record<string, number>>
  readonly run: Readonly<Record<string, number>>
  readonly x: readonly number[]
  readonly y: readonly number[]
  readonly query: readonly number[]
}

type Measure = (input: Input, name: string) => unknown

const over =
  (metric: Metric | ((input: Input) => Metric)): Measure =>
  (input) => {
    const given = input.y_score ?? input.p ?? input.y_pred
    const of = typeof metric === 'function' ? metric(input) : metric
    return evaluate(of, input.y_true, given as readonly number[], input.sample_weight)
  }

function confusionOf({ y_true, y_pred, sample_weight }: Input): ConfusionMatrix {
  const matrix = new ConfusionMatrix()
  for (const [index, label] of y_true.entries()) matrix.add(label, y_pred[index]!, sample_weight?.[index])
  return matrix
}

const averagingOf = (name: string): Averaging =>
  (/(macro|micro|weighted)/.exec(name)?.[1] ?? 'binary') as Averaging

const kOf = (name: string, input: Input): number | undefined => {
  const [, k] = /@(\d+)/.exec(name) ?? []
  return k === undefined ? input.k : Number(k)
}

const withK = (name: string, input: Input) => {
  const k = kOf(name, input)
  return k === undefined ? {} : { k }
}

/** One value a list, as the cases have them. */
const eachList =
  (measure: (ranked: readonly number[], relevant: ReadonlySet<number>, k: number) => number): Measure =>
  (input, name) =>
    input.runs.map((ranked, index) =>
      measure(ranked, new Set(input.relevant[index]), kOf(name, input) ?? ranked.length),
    )

/** A run in the order of trec_eval: by score, of equal scores the greater name first. */
const trecOrder = ({ run }: Input): string[] =>
  Object.keys(run).sort((left, right) => run[right]! - run[left]! || (left < right ? 1 : -1))

const trecRelevant = ({ qrel }: Input): ReadonlySet<string> =>
  new Set(Object.keys(qrel).filter((name) => qrel[name]! > 0))

/** By what the name of a metric says; the first that fits. */
const measures: readonly (readonly [RegExp, Measure])[] = [
  [
    /^trec_ndcg/,
    (input) =>
      normalizedGain(
        trecOrder(input).map((id) => input.qrel[id] ?? 0),
        Object.values(input.qrel),
      ),
  ],
  [/^trec_map/, (input) => averagePrecisionAt(trecOrder(input), trecRelevant(input))],
  [/^trec_recip_rank/, (input) => reciprocalRank(trecOrder(input), trecRelevant(input))],
  [/^ndcg/, normalizedGainOf],
  [/^average_precision@|^map@/i, eachList(averagePrecisionAt)],
  [/^precision@/, eachList(precisionAt)],
  [/^recall@/, eachList(recallAt)],
  [/^r_precision/, eachList((ranked, relevant) => rPrecision(ranked, relevant))],
  [/^(hit_rate|hits)@/, eachList(hitAt)],
  [/^(mrr|reciprocal_rank)/i, eachList(reciprocalRank)],
  [/^GAUC/i, ({ group, y_true, y_score }) => groupedAuc(group, y_true, y_score)],
  [/^(roc_)?auc/i, over(exactAuc)],
  [/^(average_precision|pr_auc)/, over(averagePrecision)],
  [/^log_loss/, over(({ eps }) => logLoss(eps))],
  [/^brier/, over(brierScore)],
  [/^(normalized_entropy|ne$)/i, over(normalizedEntropy)],
  [/^accuracy/, (input) => confusionOf(input).accuracy()],
  [/^balanced_accuracy/, (input) => confusionOf(input).balancedAccuracy()],
  [/^precision/, (input, name) => confusionOf(input).precision(averagingOf(name))],
  [/^recall/, (input, name) => confusionOf(input).recall(averagingOf(name))],
  [
    /^f(beta|[\d.]+)/,
    (input, name) => confusionOf(input).fScore(Number(/^f([\d.]+)/.exec(name)?.[1] ?? 1), averagingOf(name)),
  ],
  [/^jaccard/, (input, name) => confusionOf(input).jaccard(averagingOf(name))],
  [/kappa/, (input) => confusionOf(input).cohenKappa()],
  [/^(mcc|matthews)/, (input) => confusionOf(input).matthewsCorrelation()],
  [/^ECE.*equal-mass/, calibrationErrors],
  [/^ECE/, calibrationErrors],
  [/^calibration_curve/, calibrationCurve],
  [/^isotonic/, isotonic],
  [/^calibration ratio/, over(calibrationRatio)],
  [/downsampling_recalibration/, ({ p, w }) => undoDownsampling(p as number, w)],
  [/^mae/, over(meanAbsoluteError)],
  [/^mse/, over(meanSquaredError)],
  [/^rmse/, over(rootMeanSquaredError)],
  [/^msle/, over(meanSquaredLogError)],
  [/^(medae|median_ae)/, over(medianAbsoluteError)],
  [/^mape/, over(meanAbsolutePercentageError)],
  [/^smape/, over(symmetricPercentageError)],
  [/^r2/, over(r2)],
  [/^(pinball|quantile)/, over(({ alpha, quantile }) => quantileLoss(quantile ?? alpha ?? 0.5))],
]

const tolerance = 1e-12

export function runMetricCase({ body }: GoldenCase): Verdict {
  const name = String(body['metric'])
  const expected = body['expected']
  if (name.startsWith('river_binned')) {
    return notApplicable(
      'shows the error of ten thresholds; here the AUC is exact or bins by log odds',
      expected,
    )
  }
  const found = measures.find(([pattern]) => pattern.test(name))
  if (found === undefined) return notApplicable(`the engine has no metric "${name}"`, expected)
  const got = found[1](body['input'] as Input, name)
  const mean = body['mean']
  if (typeof mean !== 'number' || !Array.isArray(got))
    return judge({ value: expected }, { value: got }, tolerance)
  const average = (got as number[]).reduce((sum, each) => sum + each, 0) / got.length
  return judge({ value: expected, mean }, { value: got, mean: average }, tolerance)
}

function normalizedGainOf(input: Input, name: string): number {
  const options = { ...withK(name, input), gain: /exp/.test(name) ? 'exponential' : 'linear' } as const
  if (input.retrieved_rel !== undefined) return normalizedGain(input.retrieved_rel, input.ideal_rel, options)
  return normalizedGainByScore(input.relevance, input.score, {
    ...options,
    ...(input.ignore_ties === undefined ? {} : { ignoreTies: input.ignore_ties }),
  })
}

const binsOf = (name: string): number => Number(/(\d+) bins/.exec(name)?.[1] ?? 10)

function curveOf({ y_true, p }: Input, bins: number) {
  const metric = calibrationError(bins)
  const fold = metric.start()
  for (const [index, label] of y_true.entries()) fold.add(label, (p as readonly number[])[index]!)
  return metric.curve(fold.save())
}

function calibrationErrors(input: Input, name: string): unknown {
  const bins = binsOf(name)
  const curve = /equal-mass/.test(name)
    ? equalMassCurve(input.y_true, input.p as readonly number[], bins)
    : curveOf(input, bins)
  const both = { ECE: expectedError(curve), MCE: largestError(curve) }
  return /MCE/.test(name) ? both : both.ECE
}

function calibrationCurve(input: Input, name: string): unknown {
  const curve = curveOf(input, binsOf(name))
  return {
    prob_true: curve.map(({ meanLabel }) => meanLabel),
    prob_pred: curve.map(({ meanPrediction }) => meanPrediction),
  }
}

function isotonic({ x, y, query }: Input): unknown {
  const fit = isotonicFit(x, y)
  return { fitted: x.map(fit.at), query: query.map(fit.at), thresholds_x: fit.x, thresholds_y: fit.y }
}
