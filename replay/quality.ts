import type { Declaration } from '../models/declaration.ts'
import type {
  DeclaredExpectation,
  ExpectationKind,
  ExpectationSeverity,
} from '../models/quality/expectation.ts'
import type { Failure, WindowVerdict } from '../models/quality/subject-quality.ts'
import { readLayouts } from '../state/commit/commit-log.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import { type Assembly, assemble } from './assembly.ts'
import { DeclaredLog } from './backfill-log.ts'
import { expectingReadings } from './log-reading.ts'
import { foldLog, readHorizon, withTail } from './training-set-fold.ts'

export interface QualityReportOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly registry: SchemaRegistry
  /** An empty database to fold into. */
  readonly database: Database
  /** Opens another one: for expectations of other tasks, where the application runs as several. */
  readonly scratch?: () => Promise<Database>
  /** Counts only the windows that lie in it, start included and end not; absent: everything, open windows too. */
  readonly range?: { readonly fromMs: TimestampMs; readonly toMs: TimestampMs }
  /** How many of the worst windows of an expectation are told; 3 unless given. */
  readonly worst?: number
  readonly onProgress?: (records: number) => void
  /** Told of each alert, as the live engine gives it. */
  readonly onFailure?: (failure: Failure) => void
}

export interface WorstWindow {
  readonly fromMs: TimestampMs
  readonly toMs: TimestampMs
  /** Rows behind it; of freshness the windows that it stands for. */
  readonly count: number
  readonly failed: number
  /** Of rows the failing share, else what was measured. */
  readonly value: number
}

export interface ExpectationReport {
  readonly subject: string
  readonly name: string
  readonly kind: ExpectationKind
  readonly severity: ExpectationSeverity
  readonly expected: string
  /** What `judged`, `passed` and `failed` count. */
  readonly unit: 'rows' | 'windows'
  readonly judged: number
  readonly passed: number
  readonly failed: number
  /** Failing windows, the worst first; windows that are still open are not among them. */
  readonly worst: readonly WorstWindow[]
}

export interface QualityReport {
  /** Records of the log that were processed. */
  readonly records: number
  /** `recorded`: as the engine took them; `event-time`: the engine has not read all of these events yet. */
  readonly order: 'recorded' | 'event-time'
  readonly subjects: readonly {
    readonly subject: string
    readonly rows: number
    readonly quarantined: number
    /** Records that came when their window was over: judged as rows, in no window. */
    readonly late: number
  }[]
  readonly expectations: readonly ExpectationReport[]
  /** False where any expectation failed once. */
  readonly isMet: boolean
}

/**
 * Judges a whole log by the expectations of a declaration, with the code that
 * judges it live, and writes nothing. What the engine has committed is taken
 * in the recorded interleaving, the rest by event time. Memory is bounded by
 * the open windows. Where the application runs as several tasks, those that
 * have expectations are folded one after the other.
 */
export async function qualityReport(options: QualityReportOptions): Promise<QualityReport> {
  const readings = await expectingReadings(options.declaration, options)
  const reports: QualityReport[] = []
  for (const reading of readings) {
    const done = reports.reduce((sum, { records }) => sum + records, 0)
    const database = reports.length === 0 ? options.database : await another(options)
    const onProgress = (records: number) => options.onProgress?.(done + records)
    reports.push(await reportOf({ ...options, database, onProgress }, reading))
    if (database !== options.database) await database.close()
  }
  const [only] = reports
  return only !== undefined && reports.length === 1 ? only : mergedReport(options.declaration, reports)
}

async function another({ scratch }: QualityReportOptions): Promise<Database> {
  if (scratch !== undefined) return await scratch()
  throw new RangeError(
    'qualityReport: several tasks have expectations, so `scratch` must open an empty database for each',
  )
}

/** In the order of the declaration. */
function mergedReport(
  { expectations: declared }: Declaration,
  reports: readonly QualityReport[],
): QualityReport {
  const place = ({ subject }: { readonly subject: string }) =>
    declared.findIndex((each) => each.subject === subject)
  const inOrder = <Row extends { readonly subject: string }>(rows: readonly Row[]) =>
    [...rows].sort((left, right) => place(left) - place(right))
  return {
    records: reports.reduce((sum, { records }) => sum + records, 0),
    order: reports.every(({ order }) => order === 'recorded') ? 'recorded' : 'event-time',
    subjects: inOrder(reports.flatMap(({ subjects }) => subjects)),
    expectations: inOrder(reports.flatMap(({ expectations }) => expectations)),
    isMet: reports.every(({ isMet }) => isMet),
  }
}

async function reportOf(
  options: QualityReportOptions,
  { declaration, order }: Awaited<ReturnType<typeof expectingReadings>>[number],
): Promise<QualityReport> {
  const { registry, database, worst = 3, onProgress = () => {}, onFailure } = options
  const { range } = options
  const found = new WorstWindows(worst)
  const inRange = new Map<DeclaredExpectation, { judged: number; failed: number }>()
  const onVerdict = (verdict: WindowVerdict) => {
    const { expectation, fromMs, toMs, count, failed } = verdict
    if (range !== undefined && (fromMs < range.fromMs || toMs > range.toMs)) return
    found.add(verdict)
    const known = inRange.get(expectation) ?? { judged: 0, failed: 0 }
    const isMany = expectation.isOfRows || expectation.kind === 'freshness'
    inRange.set(expectation, { judged: known.judged + (isMany ? count : 1), failed: known.failed + failed })
  }
  // What a task writes is muted here; its writer is that of a log which is thrown away.
  const log = new DeclaredLog(options.log)
  const writer = await log.writer('quality')
  const assembly = await assemble({
    declaration,
    log,
    writer,
    registry,
    database,
    onVerdict,
    ...(onFailure ? { onExpectationFailed: onFailure } : {}),
  })
  const { task, outputs, quality } = assembly
  const isOfSeveral = declaration.share !== undefined
  const isRecorded = isOfSeveral ? order === 'recorded' : await hasRead(log, assembly)
  if (isOfSeveral) {
    const horizon = await withTail(await readHorizon(assembly, log), assembly, log)
    await foldLog(assembly, { log, horizon, onBatch() {}, onProgress: ({ records }) => onProgress(records) })
  } else {
    if (isRecorded) await assembly.recover(({ records }) => onProgress(records))
    else await task.open()
    outputs.muted = true
    while ((await task.step()) !== undefined) onProgress(task.processed)
    await task.flush()
  }
  const expectations = quality.tallies().map(({ subject, expectation, ...whole }) => {
    const { name, kind, severity, text: expected, isOfRows } = expectation
    const unit = isOfRows ? ('rows' as const) : ('windows' as const)
    const { judged, failed } =
      range === undefined ? whole : (inRange.get(expectation) ?? { judged: 0, failed: 0 })
    const counts = { unit, judged, passed: judged - failed, failed }
    return { subject, name, kind, severity, expected, ...counts, worst: found.of(expectation) }
  })
  return {
    records: task.processed,
    order: isRecorded ? 'recorded' : 'event-time',
    subjects: quality.rows(),
    expectations,
    isMet: expectations.every(({ failed }) => failed === 0),
  }
}

/** Whether the engine has read, under some declaration, every input that the expectations need. */
async function hasRead(log: Log, { task, engine }: Assembly): Promise<boolean> {
  const layouts = await readLayouts(log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  const names = task.inputs.map(({ topic, partition }) => `${topic}[${partition}]`)
  return [...layouts.values()].some(({ inputs }) => names.every((name) => inputs.includes(name)))
}

class WorstWindows {
  readonly #most: number
  readonly #byExpectation = new Map<DeclaredExpectation, (WorstWindow & { readonly badness: number })[]>()

  constructor(most: number) {
    this.#most = most
  }

  add({ expectation, fromMs, toMs, count, failed, value }: WindowVerdict): void {
    if (failed === 0 || this.#most === 0) return
    const known = this.#byExpectation.get(expectation) ?? []
    this.#byExpectation.set(expectation, known)
    known.push({ fromMs, toMs, count, failed, value, badness: badnessOf(expectation, value) })
    known.sort((left, right) => right.badness - left.badness || left.fromMs - right.fromMs)
    known.length = Math.min(known.length, this.#most)
  }

  of(expectation: DeclaredExpectation): readonly WorstWindow[] {
    return (this.#byExpectation.get(expectation) ?? []).map(({ badness: _, ...window }) => window)
  }
}

/** How far a value is beyond the bound that it broke; values that may be too small or too large count from the nearer. */
function badnessOf({ spec }: DeclaredExpectation, value: number): number {
  const bounds = 'distinct' in spec ? spec.distinct : 'volume' in spec ? spec.volume : undefined
  if (bounds?.atLeast !== undefined && value < bounds.atLeast) return bounds.atLeast - value
  return bounds?.atMost === undefined ? value : value - bounds.atMost
}
