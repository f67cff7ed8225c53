import type { Declaration } from '../models/declaration.ts'
import { type BootstrapOptions, bootstrapIntervals, type Interval } from '../models/evaluation/bootstrap.ts'
import { binnedAuc, exactAuc } from '../models/metrics/auc.ts'
import { averagePrecision, binnedAveragePrecision } from '../models/metrics/average-precision.ts'
import { type CalibrationPoint, calibrationError } from '../models/metrics/calibration.ts'
import { ConfusionMatrix } from '../models/metrics/confusion-matrix.ts'
import { type Metric, evaluate as metricOf } from '../models/metrics/metric.ts'
import { brierScore, calibrationRatio, logLoss } from '../models/metrics/probability-metrics.ts'
import {
  meanAbsoluteError,
  meanAbsolutePercentageError,
  quantileLoss,
  r2,
  rootMeanSquaredError,
} from '../models/metrics/regression-metrics.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { modelOf } from './candidate.ts'
import { type Leak, leaksOf } from './evaluation-leaks.ts'
import { type RankingOptions, type RankingScores, rankingScores } from './evaluation-ranking.ts'
import { type EvaluationRows, readEvaluationRows, type SliceBy } from './evaluation-rows.ts'
import type { PositionRange } from './replay-range.ts'

export interface EvaluateOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly registry: SchemaRegistry
  /** The only one unless given. */
  readonly model?: string
  /** Predictions from this event time on. */
  readonly fromMs?: TimestampMs
  /** Predictions before this event time. */
  readonly toMs?: TimestampMs
  /** Only predictions that were made at these places of the fold. */
  readonly positions?: PositionRange
  /** Another model's answers by request id, judged beside; see `candidatePredictions`. */
  readonly candidate?: { readonly name: string; readonly predictions: ReadonlyMap<string, number> }
  /** A feature, a part of an entity's key, `variant`, `version`, `day`, `week` or `month`. */
  readonly by?: SliceBy
  /** Rows that belong to one ranked list, by a part of an entity's key. */
  readonly ranking?: RankingOptions
  /** Probabilities from here on count as yes; 0.5 unless given. */
  readonly thresholds?: readonly number[]
  /** Quantiles whose loss is told of a regression; 0.5 and 0.9 unless given. */
  readonly quantiles?: readonly number[]
  /** 300 resamples, 0.95 and seed 1 unless given; 0 resamples give no intervals. */
  readonly bootstrap?: Partial<BootstrapOptions>
  readonly onProgress?: (events: number) => void
}

export interface MetricValue {
  readonly metric: string
  readonly better: Metric['better']
  readonly value: number
  readonly interval: Interval | null
  /** Value less the champion's; absent for the champion. */
  readonly difference?: { readonly value: number; readonly interval: Interval | null }
}

export interface ScorerReport {
  readonly scorer: string
  readonly metrics: readonly MetricValue[]
  /** Probabilities only. */
  readonly thresholds: readonly ThresholdScores[]
  readonly calibration: readonly CalibrationPoint[]
  readonly ranking: RankingScores | null
}

export interface ThresholdScores {
  readonly threshold: number
  readonly precision: number
  readonly recall: number
  readonly f1: number
  /** Share of the rows that are said yes to. */
  readonly share: number
}

export interface SliceReport {
  readonly slice: string
  readonly rows: number
  /** Of the champion, without intervals. */
  readonly metrics: readonly MetricValue[]
}

export interface EvaluationReport {
  readonly model: string
  readonly task: 'classification' | 'regression'
  readonly fromMs: TimestampMs
  readonly toMs: TimestampMs
  /** Labelled predictions, which all of it is about. */
  readonly rows: number
  /** Predictions that have no label on the log. */
  readonly unlabelled: number
  /** Labels that replaced an earlier one of the same request. */
  readonly corrected: number
  /** Rows that the candidate did not answer, left out of everything. */
  readonly unanswered: number
  readonly scorers: readonly ScorerReport[]
  readonly slices: readonly SliceReport[]
  readonly leaks: readonly Leak[]
  readonly bootstrap: BootstrapOptions
}

/**
 * How good a model was over a slice of the log: its own predictions, as they
 * were served, against the labels that came, beside a candidate and the
 * trivial answer "what was true on average until then".
 *
 * In memory: a few doubles a row, and a sample of 20,000 rows' features.
 *
 * @throws EngineError `model-unknown`; RangeError for a slice or threshold that cannot be
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  const { declaration, candidate } = options
  const model = modelOf(declaration, options.model)
  const isClassifier = model.learner.task === 'classification'
  const rows = await readEvaluationRows({ ...options, model })
  const kept = candidate === undefined ? rows : rows.answeredBy(candidate.predictions)
  const scorers: { readonly name: string; readonly predictions: Float64Array }[] = [
    { name: model.name, predictions: kept.predictions },
    ...(candidate === undefined
      ? []
      : [
          {
            name: candidate.name,
            predictions: Float64Array.from(kept.requestIds, (id) => candidate.predictions.get(id)!),
          },
        ]),
    { name: 'mean so far', predictions: kept.meanSoFar(isClassifier ? 0.5 : 0) },
  ]
  const bootstrap = { resamples: 300, confidence: 0.95, seed: 1, ...options.bootstrap }
  const metrics = metricsOf(isClassifier, options.quantiles ?? [0.5, 0.9])
  return {
    model: model.name,
    task: model.learner.task,
    fromMs: rows.fromMs,
    toMs: rows.toMs,
    rows: kept.count,
    unlabelled: rows.unlabelled,
    corrected: rows.corrected,
    unanswered: rows.count - kept.count,
    scorers: scorerReports(kept, scorers, metrics, bootstrap, isClassifier, options),
    slices: kept.slices().map(({ slice, places }) => {
      const labels = places.map((place) => kept.labels[place]!)
      const predictions = places.map((place) => kept.predictions[place]!)
      return {
        slice,
        rows: places.length,
        metrics: metrics.map((metric) => ({
          metric: metric.name,
          better: metric.better,
          value: metricOf(metric, labels, predictions),
          interval: null,
        })),
      }
    }),
    leaks: leaksOf(kept, model.columns, isClassifier),
    bootstrap,
  }
}

const metricsOf = (isClassifier: boolean, quantiles: readonly number[]): readonly Metric[] =>
  isClassifier
    ? [exactAuc, averagePrecision, logLoss(), brierScore, calibrationError(), calibrationRatio]
    : [
        meanAbsoluteError,
        rootMeanSquaredError,
        meanAbsolutePercentageError,
        r2,
        ...quantiles.map((quantile) => quantileLoss(quantile)),
      ]

/** What a resample is measured by: rankings by bins, since the exact ones sort every resample anew. */
function resampled(metric: Metric): Metric {
  if (metric === exactAuc) return binnedAuc()
  return metric === averagePrecision ? binnedAveragePrecision() : metric
}

function scorerReports(
  rows: EvaluationRows,
  scorers: readonly { readonly name: string; readonly predictions: Float64Array }[],
  metrics: readonly Metric[],
  bootstrap: BootstrapOptions,
  isClassifier: boolean,
  options: EvaluateOptions,
): readonly ScorerReport[] {
  const { labels } = rows
  const drawn =
    bootstrap.resamples === 0 || labels.length === 0
      ? undefined
      : bootstrapIntervals(
          { labels, predictions: scorers.map(({ predictions }) => predictions) },
          metrics.map(resampled),
          bootstrap,
        )
  const values = scorers.map(({ predictions }) =>
    metrics.map((metric) => metricOf(metric, labels, predictions)),
  )
  const intervalOf = (of: readonly (readonly Interval[])[] | undefined, scorer: number, metric: Metric) =>
    of?.[scorer]?.[metrics.indexOf(metric)] ?? null
  return scorers.map(({ name, predictions }, scorer) => ({
    scorer: name,
    metrics: metrics.map((metric, index) => ({
      metric: metric.name,
      better: metric.better,
      value: values[scorer]![index]!,
      interval: intervalOf(drawn?.values, scorer, metric),
      ...(scorer === 0
        ? {}
        : {
            difference: {
              value: values[scorer]![index]! - values[0]![index]!,
              interval: intervalOf(drawn?.differences, scorer, metric),
            },
          }),
    })),
    thresholds: isClassifier ? thresholdScores(labels, predictions, options.thresholds ?? [0.5]) : [],
    calibration: isClassifier ? calibrationCurve(labels, predictions) : [],
    ranking:
      options.ranking === undefined ? null : rankingScores(labels, predictions, rows.groups, options.ranking),
  }))
}

function thresholdScores(
  labels: Float64Array,
  predictions: Float64Array,
  thresholds: readonly number[],
): readonly ThresholdScores[] {
  return thresholds.map((threshold) => {
    if (!(threshold >= 0 && threshold <= 1)) {
      throw new RangeError(`a threshold is a probability from 0 to 1, got ${threshold}`)
    }
    const matrix = new ConfusionMatrix()
    let yes = 0
    for (const [row, label] of labels.entries()) {
      const isYes = predictions[row]! >= threshold
      if (isYes) yes++
      matrix.add(label, isYes ? 1 : 0)
    }
    return {
      threshold,
      precision: matrix.precision(),
      recall: matrix.recall(),
      f1: matrix.fScore(),
      share: yes / labels.length,
    }
  })
}

function calibrationCurve(labels: Float64Array, predictions: Float64Array): readonly CalibrationPoint[] {
  const metric = calibrationError()
  const fold = metric.start()
  for (const [row, label] of labels.entries()) fold.add(label, predictions[row]!)
  return metric.curve(fold.save())
}
