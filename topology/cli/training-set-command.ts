import type { PositionReport, TimeReport, TrainingSetReport } from '../../replay/training-set.ts'
import type { TimeUnit } from '../../replay/training-set-input.ts'
import type { ShapeOptions } from '../../replay/training-set-shape.ts'
import type { LabelFile, LabelTopic } from '../../replay/training-set-time-options.ts'
import { type FolderTrainingSetOptions, trainingSet } from '../runtime/folder-training-set.ts'
import { CliError } from './cli-error.ts'
import { loadViews } from './load-topology.ts'
import { toJson } from './log-reader.ts'
import { durationOf, namesByName, numbersByNumber, timeOf } from './option-values.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { findSource, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface TrainingSetCommandOptions extends ReplaySourceOptions {
  readonly out: string
  readonly model?: string
  /** A label file, with the columns of its time, keys and label. */
  readonly labels?: string
  /** A declared event in place of the file. */
  readonly labelEvent?: string
  readonly timeColumn?: string
  readonly timeUnit?: TimeUnit
  readonly key?: string
  readonly labelColumn?: string
  readonly view?: string
  readonly wait?: string
  /** `module#view`. */
  readonly features?: string
  readonly from?: string
  readonly to?: string
  readonly untilCommit?: number
  readonly withUnlabelled?: boolean
  readonly withUnserved?: boolean
  readonly split?: string
  readonly gap?: string
  readonly shares?: string
  readonly group?: string
  readonly stratified?: boolean
  readonly keep?: string
  readonly classWeights?: string
  readonly seed: number
  readonly rowGroup: number
  readonly strict?: boolean
  readonly dryRun?: boolean
}

/** `replay training-set`: a table for training, in a file. Exit code 1 if rows differ from what was served. */
export async function trainingSetCommand(options: TrainingSetCommandOptions): Promise<number> {
  const { json = false } = options
  const { declaration: topology, place } = await findSource(options)
  const settings = await settingsOf(options)
  const progress = new Progress('folding', { unit: 'records', silent: json })
  let records = 0
  const report = await trainingSet({
    ...settings,
    topology,
    ...place,
    onProgress: (done) => {
      records = done.records
      progress.update(records)
    },
  })
  if (!options.dryRun) progress.end(records)
  process.stdout.write(json ? `${toJson(report)}\n` : textOf(report))
  const isAsServed = report.mode === 'time' || report.predictions.mismatches + report.predictions.unmade === 0
  return isAsServed ? 0 : 1
}

async function settingsOf(
  options: TrainingSetCommandOptions,
): Promise<Omit<FolderTrainingSetOptions, 'topology' | 'data'>> {
  const { out, model, features, group, withUnlabelled, withUnserved, untilCommit, strict, dryRun } = options
  const split = splitOf(options)
  return {
    out,
    seed: options.seed,
    rowGroup: options.rowGroup,
    ...labelsOf(options),
    ...(model === undefined ? {} : { model }),
    ...(features === undefined ? {} : { features: await loadViews(features) }),
    ...(group === undefined ? {} : { group }),
    ...(withUnlabelled === undefined ? {} : { withUnlabelled }),
    ...(withUnserved === undefined ? {} : { withUnserved }),
    ...(untilCommit === undefined ? {} : { untilCommit }),
    ...(strict === undefined ? {} : { strict }),
    ...(dryRun === undefined ? {} : { dryRun }),
    between: rangeOption(options),
    ...(options.keep === undefined ? {} : { keep: numbersByNumber('--keep', options.keep) }),
    ...(options.classWeights === undefined ? {} : { classWeights: weightsOf(options.classWeights) }),
    ...(split === undefined ? {} : { split }),
  }
}

function labelsOf(options: TrainingSetCommandOptions): { readonly labels?: LabelFile | LabelTopic } {
  const {
    labels: path,
    labelEvent: event,
    timeColumn: time,
    timeUnit,
    key,
    labelColumn,
    view,
    wait,
  } = options
  if (path !== undefined && event !== undefined) {
    throw new CliError('--labels and --label-event are two sources of rows: give one')
  }
  const columns = {
    ...(timeUnit === undefined ? {} : { timeUnit }),
    ...(key === undefined ? {} : { keys: namesByName('--key', key) }),
    ...(labelColumn === undefined ? {} : { label: labelColumn }),
    ...(view === undefined ? {} : { views: view.split(',') }),
    ...(wait === undefined ? {} : { waitMs: durationOf('--wait', wait) }),
  }
  if (event !== undefined) return { labels: { event, ...(time === undefined ? {} : { time }), ...columns } }
  if (path === undefined) {
    const alone = Object.entries({ timeColumn: time, timeUnit, key, labelColumn, view, wait }).find(
      ([, value]) => value !== undefined,
    )
    if (alone === undefined) return {}
    const option = alone[0].replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new CliError(`--${option} goes with --labels or --label-event`)
  }
  if (time === undefined) throw new CliError('--labels goes with --time-column: as of when?')
  return { labels: { path, time, ...columns } }
}

const weightsOf = (text: string): ReadonlyMap<number, number> | 'balanced' =>
  text === 'balanced' ? text : numbersByNumber('--class-weights', text)

function splitOf(options: TrainingSetCommandOptions): ShapeOptions['split'] {
  const { split, gap, shares, group, stratified = false } = options
  if (split !== undefined && shares !== undefined) {
    throw new CliError('--split and --shares are two ways to split: give one')
  }
  if (split !== undefined) {
    const times = split.split(',').map((text) => timeOf('--split', text))
    const [first, second] = times
    if (first === undefined || times.length > 2) throw new CliError('--split takes one time, or two')
    const gapMs = gap === undefined ? 0 : durationOf('--gap', gap)
    return { kind: 'time', at: second === undefined ? [first] : [first, second], gapMs }
  }
  if (gap !== undefined) throw new CliError('--gap goes with --split')
  if (shares === undefined) {
    if (group === undefined && !stratified) return undefined
    throw new CliError('--group and --stratified go with --shares')
  }
  if (group !== undefined && stratified) throw new CliError('--group and --stratified exclude each other')
  const numbers = shares.split(',').map(Number)
  const [train, second, third] = numbers
  if (train === undefined || second === undefined || numbers.length > 3 || numbers.some(Number.isNaN)) {
    throw new CliError(`--shares takes two or three numbers, as 0.8,0.1,0.1; got "${shares}"`)
  }
  return {
    kind: 'share',
    shares: third === undefined ? [train, second] : [train, second, third],
    by: stratified ? 'label' : group === undefined ? 'row' : 'group',
  }
}

function textOf(report: TrainingSetReport): string {
  const { path, provenance, columns, dropped } = report
  const left = Object.entries(dropped).filter(([, rows]) => rows > 0)
  const lines = [
    path === null
      ? `nothing written (--dry-run): about ${count(report.rows)} rows, ${count(report.bytes)} bytes at most`
      : `${path}: ${count(report.rows)} rows, ${columns.length} columns, ${count(report.bytes)} bytes`,
    `  snapshot   ${provenance.snapshot}`,
    provenance.commits === 0
      ? '  log        in the order of event times: no task has read all of these events'
      : `  log        ${count(provenance.commits)} batches (--until-commit ${provenance.commits} folds no more)`,
    ...(report.mode === 'time' ? inputLines(report) : path === null ? [] : servedLines(report)),
    ...told(
      'left out',
      left.map(([reason, rows]) => `${words(reason)} ${count(rows)}`),
    ),
  ]
  const classes = Object.entries(report.classes)
  if (path !== null && classes.length > 0 && classes.length <= 20) {
    lines.push(
      '',
      table(
        ['label', 'rows'],
        classes.map(([label, rows]) => [label, count(rows)]),
      ),
    )
  }
  const splits = Object.entries(report.splits)
  if (splits.length > 0) {
    lines.push(
      '',
      table(
        ['split', 'rows'],
        splits.map(([split, rows]) => [split, count(rows)]),
      ),
    )
  }
  return `${lines.join('\n')}\n`
}

function servedLines({ predictions }: PositionReport): readonly string[] {
  return [
    `  served     ${count(predictions.compared)} predictions recomputed at their positions, ${count(predictions.mismatches)} mismatches`,
    ...told('labels', notesOf(predictions)),
    ...predictions.examples.map(
      ({ requestId, what, served, recomputed }) =>
        `  MISMATCH   ${requestId}: ${what} was ${served}, recomputed ${recomputed}`,
    ),
  ]
}

function inputLines({ input, waitMs }: TimeReport): readonly string[] {
  const { nullKey, unreadableKey, nullTime, unreadableTime, beforeLog, afterLog, unknownEntity } = input
  const counts = {
    'without a key': nullKey,
    'with a key that is no value of its field': unreadableKey,
    'without a time': nullTime,
    'with a time that cannot be read': unreadableTime,
    'before the log begins': beforeLog,
    'after it ends': afterLog,
    'of entities without events': unknownEntity,
    'for which a function threw': input.functionFailed,
  }
  const late = input.lateRecords
  return [
    ...told('rows', noted(counts)),
    `  waited     ${waitMs} ms for late events${late > 0 ? `; ${count(late)} came later and are in no row of their time` : ''}`,
  ]
}

const noted = (counts: Readonly<Record<string, number>>): readonly string[] =>
  Object.entries(counts).flatMap(([name, rows]) => (rows > 0 ? [`${count(rows)} ${name}`] : []))

const told = (name: string, notes: readonly string[]): readonly string[] =>
  notes.length === 0 ? [] : [`  ${name.padEnd(10)} ${notes.join(', ')}`]

/** `outsideRange` as words. */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

const notesOf = (tally: PositionReport['predictions']): readonly string[] =>
  noted({
    late: tally.lateLabels,
    corrected: tally.correctedLabels,
    'known before their prediction (a leak)': tally.labelsBeforePrediction,
    'given by the model for none': tally.missingLabels,
    'of predictions never served': tally.unserved,
    'of predictions with other features': tally.otherFeatures,
  })
