import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { TimeRange } from '../../replay/decision-reader.ts'
import { type DriftComparison, type DriftOptions, type DriftReport, drift } from '../../replay/drift.ts'
import { driftHtml, rule } from '../../replay/drift-html.ts'
import { recordDrift } from '../../replay/drift-record.ts'
import { type RangeSource, type ReplayRange, timesOfRange } from '../../replay/replay-range.ts'
import { wire } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { isoTime } from './log-reader.ts'
import { durationOf } from './option-values.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { findSource, placesOfModel, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface DriftCommandOptions extends ReplaySourceOptions {
  readonly model?: string
  /** Times, records or commits; a place stands for its event time. */
  readonly referenceFrom?: string
  readonly referenceTo?: string
  readonly from?: string
  readonly to?: string
  /** A number and one of ms, s, m, h, d, w. */
  readonly every?: string
  readonly alpha?: string
  readonly leastEffect?: string
  readonly correction?: 'holm' | 'benjamini-hochberg'
  readonly html?: string
  readonly record?: boolean
}

/** `replay drift`: slices of a model's predictions and labels compared. Exit code 1 if there are findings. */
export async function driftCommand(options: DriftCommandOptions): Promise<number> {
  const { json = false, record = false, html } = options
  if (record && options.kafka !== undefined) {
    throw new CliError(
      '--record writes to the log, and --kafka reads a cluster beside its engine: leave one out',
    )
  }
  const asked = settingsOf(options)
  const ranges = [
    rangesOf('reference-', options.referenceFrom, options.referenceTo),
    rangesOf('', options.from, options.to),
  ] as const
  const { declaration, place } = await findSource(options)
  const wiring = await wire({ ...place, app: declaration.name, now: Date.now, readOnly: !record })
  try {
    const timesIn = async (range: ReplayRange | undefined) =>
      range && timesOf(range, await placesOfModel(range, declaration, wiring, options.model))
    const [reference, current] = [await timesIn(ranges[0]), await timesIn(ranges[1])]
    const settings = { ...asked, ...(reference && { reference }), ...(current && { current }) }
    const progress = new Progress('comparing', { unit: 'events', silent: json })
    let events = 0
    const onProgress = (done: number) => {
      events = done
      progress.update(done)
    }
    const report = await drift({ ...settings, declaration, ...wiring, onProgress })
    progress.end(events)
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report))
    const say = (line: string) => process.stderr.write(`${line}\n`)
    if (html !== undefined) {
      writeWhole(html, driftHtml(report))
      say(`wrote ${resolve(html)}`)
    }
    if (record) say(`recorded ${count(await recordDrift(report, wiring))} drift-metric events`)
    return report.isDrift ? 1 : 0
  } finally {
    await wiring.close()
  }
}

function settingsOf(options: DriftCommandOptions): Omit<DriftOptions, 'declaration' | 'log' | 'registry'> {
  return {
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.every === undefined ? {} : { everyMs: durationOf('--every', options.every, 1) }),
    ...(options.alpha === undefined ? {} : { alpha: numberOf('alpha', options.alpha) }),
    ...(options.leastEffect === undefined ? {} : { leastEffect: numberOf('effect', options.leastEffect) }),
    ...(options.correction === undefined ? {} : { correction: options.correction }),
  }
}

function rangesOf(prefix: string, from: string | undefined, to: string | undefined): ReplayRange | undefined {
  if (from === undefined && to === undefined) return undefined
  if (from === undefined || to === undefined) {
    throw new CliError(`--${prefix}from and --${prefix}to go together: give both`)
  }
  return rangeOption({ from, to }, prefix)
}

async function timesOf(range: ReplayRange, source: RangeSource): Promise<TimeRange> {
  const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY } = await timesOfRange(
    range,
    source,
  )
  return { fromMs: Math.max(0, fromMs), toMs }
}

function numberOf(option: string, text: string): number {
  const value = Number(text)
  if (Number.isFinite(value)) return value
  throw new CliError(`--${option} takes a number, got "${text}"`)
}

/** A reader of the file sees the old one or the whole new one. */
function writeWhole(path: string, content: string): void {
  const partial = `${path}.${process.pid}.part`
  try {
    writeFileSync(partial, content)
    renameSync(partial, path)
  } catch (error) {
    rmSync(partial, { force: true })
    throw new CliError(
      `${resolve(path)} cannot be written: ${error instanceof Error ? error.message : error}`,
    )
  }
}

function text(report: DriftReport): string {
  const { comparisons, model, alarms, errors, detectors } = report
  const parts = comparisons.length === 1 ? [slices(comparisons[0]!)] : [windows(comparisons)]
  const told = alarms
    .slice(0, 20)
    .map(({ detector, atMs, index }) => `  ${detector} at ${isoTime(atMs)}, after ${count(index)} errors`)
  return [
    `drift of ${model}: ${report.isDrift ? 'found' : 'none found'}`,
    ...parts,
    `${count(alarms.length)} alarms of ${detectors.join(', ')} over ${count(errors)} errors${told.length > 0 ? ':' : ''}`,
    ...told,
    ...(alarms.length > told.length ? [`  and ${count(alarms.length - told.length)} more`] : []),
    ...(report.passedOver > 0
      ? [
          `${count(report.passedOver)} events could not be compared: labels without their prediction, or other features`,
        ]
      : []),
    rule(report),
    '',
  ].join('\n')
}

const between = ({ fromMs, toMs }: TimeRange): string => `${isoTime(fromMs)} to ${isoTime(toMs)}`
const figure = (value: number | null): string => (value === null ? '-' : String(Number(value.toPrecision(4))))

function slices({ reference, current, subjects }: DriftComparison): string {
  const rows = subjects.flatMap((subject) =>
    subject.tests.map((test) => [
      subject.subject,
      test.isDrift ? 'DRIFT' : '',
      test.test,
      figure(test.effect),
      figure(test.adjusted),
      figure(subject.populationStability),
      figure(subject.jensenShannon),
      figure(subject.wasserstein),
      figure(subject.reference.mean),
      figure(subject.current.mean),
    ]),
  )
  const header = [
    'subject',
    '',
    'test',
    'effect',
    'adjusted p',
    'PSI',
    'JS',
    'Wasserstein',
    'mean before',
    'now',
  ]
  return `reference ${between(reference)}\ncurrent   ${between(current)}\n\n${table(header, rows)}\n`
}

function windows(comparisons: readonly DriftComparison[]): string {
  const rows = comparisons.map(({ current, subjects }) => {
    const found = subjects.filter(({ tests }) => tests.some(({ isDrift }) => isDrift))
    const predictions = subjects.find(({ subject }) => subject === 'output')?.current.count ?? 0
    const names = found.slice(0, 4).map(({ subject }) => subject)
    return [
      isoTime(current.fromMs),
      count(predictions),
      String(found.length),
      [...names, ...(found.length > names.length ? ['…'] : [])].join(', '),
    ]
  })
  return `${count(comparisons.length)} windows\n\n${table(['window from', 'predictions', 'findings', 'of'], rows)}\n`
}
