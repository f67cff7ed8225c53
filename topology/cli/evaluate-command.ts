import {
  type EvaluateOptions,
  type EvaluationReport,
  evaluate,
  type MetricValue,
  type ScorerReport,
} from '../../replay/evaluate.ts'
import { findRange } from '../../replay/replay-range.ts'
import { replayCandidate } from './candidate-option.ts'
import { CliError } from './cli-error.ts'
import { isoTime } from './log-reader.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { openSource, placesOfModel, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface EvaluateCommandOptions extends ReplaySourceOptions {
  readonly model?: string
  readonly from?: string
  readonly to?: string
  /** Path of a module, and behind # the name of a model. */
  readonly candidate?: string
  readonly by?: string
  readonly groupBy?: string
  readonly k?: number
  readonly threshold?: string
  readonly quantile?: string
  readonly bootstrap: number
  readonly confidence?: string
  readonly seed: number
}

/** `replay evaluate`: a model's answers against the labels. Exit code 1 if something looks like a leak. */
export async function evaluateCommand(options: EvaluateCommandOptions): Promise<number> {
  const { json = false } = options
  const settings = settingsOf(options)
  const range = rangeOption(options)
  const { declaration, wiring } = await openSource(options)
  try {
    const candidate =
      options.candidate === undefined
        ? {}
        : { candidate: await replayCandidate(options.candidate, wiring, json) }
    const progress = new Progress('evaluating', { unit: 'events', silent: json })
    let events = 0
    const report = await evaluate({
      ...settings,
      ...candidate,
      ...(await findRange(range, await placesOfModel(range, declaration, wiring, options.model))),
      declaration,
      log: wiring.log,
      registry: wiring.registry,
      onProgress: (done) => {
        events = done
        progress.update(done)
      },
    })
    progress.end(events)
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : textOf(report))
    return report.leaks.length > 0 ? 1 : 0
  } finally {
    await wiring.close()
  }
}

function settingsOf(options: EvaluateCommandOptions): Partial<EvaluateOptions> {
  const { model, by, groupBy, k, threshold, quantile, bootstrap, confidence, seed } = options
  if (k !== undefined && groupBy === undefined) throw new CliError('--k goes with --group-by: give both')
  return {
    ...(model === undefined ? {} : { model }),
    ...(by === undefined ? {} : { by }),
    ...(groupBy === undefined ? {} : { ranking: { groupBy, ...(k === undefined ? {} : { k }) } }),
    ...(threshold === undefined ? {} : { thresholds: sharesOf('--threshold', threshold) }),
    ...(quantile === undefined ? {} : { quantiles: sharesOf('--quantile', quantile) }),
    bootstrap: {
      resamples: bootstrap,
      seed,
      ...(confidence === undefined ? {} : { confidence: sharesOf('--confidence', confidence)[0]! }),
    },
  }
}

function sharesOf(option: string, text: string): readonly number[] {
  const shares = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (shares.every((share) => share >= 0 && share <= 1)) return shares
  throw new CliError(`${option} takes numbers from 0 to 1, several with commas, got "${text}"`)
}

const figure = (value: number): string => (Number.isNaN(value) ? '-' : String(Number(value.toPrecision(5))))
const interval = (of: MetricValue['interval']): string =>
  of === null ? '' : `${figure(of.lower)} to ${figure(of.upper)}`

function textOf(report: EvaluationReport): string {
  const { model, rows, unlabelled, corrected, unanswered, leaks, slices, scorers, bootstrap } = report
  const notes = [
    ...(unlabelled > 0 ? [`${count(unlabelled)} predictions have no label`] : []),
    ...(corrected > 0 ? [`${count(corrected)} labels replaced an earlier one`] : []),
    ...(unanswered > 0 ? [`${count(unanswered)} rows without an answer of the candidate left out`] : []),
  ]
  const first = scorers[0]!
  return [
    `${model}: ${count(rows)} labelled predictions from ${isoTime(report.fromMs)} to ${isoTime(report.toMs)}`,
    ...notes,
    '',
    metricTable(scorers, bootstrap.resamples > 0 ? `${100 * bootstrap.confidence} %` : ''),
    ...(first.thresholds.length > 0 ? [thresholdTable(scorers)] : []),
    ...(first.calibration.length > 0 ? [calibrationTable(first)] : []),
    ...(first.ranking === null ? [] : [rankingTable(scorers)]),
    ...(slices.length > 0 ? [sliceTable(report)] : []),
    ...(leaks.length > 0
      ? [
          `too good to be true:\n${leaks.map(({ subject, detail }) => `  ${subject}: ${detail}`).join('\n')}\n`,
        ]
      : []),
  ].join('\n')
}

function metricTable(scorers: readonly ScorerReport[], confidence: string): string {
  const rows = scorers.flatMap(({ scorer, metrics }) =>
    metrics.map(({ metric, value, interval: own, difference }, index) => [
      index === 0 ? scorer : '',
      metric,
      figure(value),
      interval(own),
      difference === undefined ? '' : figure(difference.value),
      difference === undefined ? '' : interval(difference.interval),
    ]),
  )
  return `${table(['scorer', 'metric', 'value', confidence, `less ${scorers[0]!.scorer}`, confidence], rows)}\n`
}

const thresholdTable = (scorers: readonly ScorerReport[]): string =>
  `${table(
    ['at threshold', 'scorer', 'precision', 'recall', 'F1', 'said yes to'],
    scorers.flatMap(({ scorer, thresholds }) =>
      thresholds.map(({ threshold, precision, recall, f1, share }) => [
        String(threshold),
        scorer,
        figure(precision),
        figure(recall),
        figure(f1),
        `${figure(100 * share)} %`,
      ]),
    ),
  )}\n`

const calibrationTable = ({ scorer, calibration }: ScorerReport): string =>
  `${table(
    [`calibration of ${scorer}`, 'promised', 'came true', 'rows'],
    calibration.map(({ meanPrediction, meanLabel, weight }) => [
      '',
      figure(meanPrediction),
      figure(meanLabel),
      count(weight),
    ]),
  )}\n`

const rankingTable = (scorers: readonly ScorerReport[]): string =>
  `${table(
    ['ranking', 'lists', 'without any', 'k', 'NDCG@k', 'MAP@k', 'MRR', 'recall@k'],
    scorers.map(({ scorer, ranking }) => [
      scorer,
      count(ranking!.lists),
      count(ranking!.empty),
      String(ranking!.k),
      figure(ranking!.ndcg),
      figure(ranking!.map),
      figure(ranking!.mrr),
      figure(ranking!.recall),
    ]),
  )}\n`

function sliceTable({ slices, model }: EvaluationReport): string {
  const names = slices[0]!.metrics.map(({ metric }) => metric)
  const rows = slices.map(({ slice, rows: size, metrics }) => [
    slice,
    count(size),
    ...metrics.map(({ value }) => figure(value)),
  ])
  return `${table([`slice of ${model}`, 'rows', ...names], rows)}\n`
}
