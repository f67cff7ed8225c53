import { existsSync } from 'node:fs'
import type { Declaration } from '../../models/declaration.ts'
import type { FeatureView } from '../../processors/feature/feature-view.ts'
import { BackfillFile, type RefusedRows, type TimeUnit } from '../../replay/backfill-file.ts'
import { StaticLoad } from '../../replay/static-load.ts'
import { type BoundContract, bindContract } from '../../state/contracts/codec.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import { Engine } from '../runtime/engine.ts'
import { wire } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { refuseClusterState, rememberModule, runningDoor, topologyOf } from './data-folder.ts'
import { callDoor } from './door-client.ts'
import { toJson } from './log-reader.ts'
import { timeOf } from './option-values.ts'
import { count, Progress } from './progress.ts'

export interface FeaturesLoadOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
  readonly file: string
  /** Event time of all rows. */
  readonly at?: string
  /** Which of the view's events the rows are; its only one unless given. */
  readonly event?: string
  readonly timeUnit?: TimeUnit
  readonly skipRefused?: boolean
}

/** What `features load --json` prints. */
interface LoadReport {
  readonly outcome: 'done' | 'refused'
  readonly view: string
  readonly event: string
  readonly rows: number
  readonly appended: number
  /** Rows that the log had already. */
  readonly known: number
  readonly refused: readonly RefusedRows[]
}

const batchRows = 1_000

/**
 * `features load`: rows of a file as events of a static view's source, those
 * that the log lacks; through the door of a running engine, else straight to
 * the log. Exit code 1 if rows were refused.
 */
export async function featuresLoadCommand(name: string, options: FeaturesLoadOptions): Promise<number> {
  const { data, file: path, json = false, at, timeUnit, skipRefused = false } = options
  if (!existsSync(path)) throw new CliError(`no file at ${path}`)
  const declaration = await topologyOf(data, options.topology)
  const contract = sourceOf(viewOf(declaration, name), options.event)
  const nowMs = Date.now()
  const file = await BackfillFile.open({
    path,
    contract,
    ...(timeUnit === undefined ? {} : { timeUnit }),
    atMs: at === undefined ? nowMs : timeOf('--at', at),
    nowMs,
    maxAheadMs: declaration.maxAheadMs,
  })
  if (at !== undefined && file.hasTimeColumn) {
    throw new CliError(
      `${path} has times of its own in column "${contract.timeField}"; leave --at out, or the column`,
    )
  }
  const checking = new Progress('checking', { unit: 'rows', silent: json })
  const { rows, refused } = await file.scan((done) => checking.update(done))
  checking.end(rows)
  const about = { view: name, event: contract.name, rows, refused }
  if (refused.length > 0 && !skipRefused) {
    return print({ outcome: 'refused', ...about, appended: 0, known: 0 }, json)
  }
  const sameness = at !== undefined || file.hasTimeColumn ? 'event' : 'newest of the key'
  const appending = new Progress('loading', { unit: 'rows', silent: json, total: rows })
  let appended = 0
  const target = await openTarget(declaration, contract, options)
  try {
    const load = await StaticLoad.open(file, target.bound, target.log, sameness)
    let batch: object[] = []
    const flush = async () => {
      if (batch.length > 0) await target.append(batch)
      appended += batch.length
      batch = []
      appending.update(appended + load.known)
    }
    for await (const value of load.rows()) {
      if (batch.push(value) === batchRows) await flush()
    }
    await flush()
    appending.end(rows)
    return print({ outcome: 'done', ...about, appended, known: load.known }, json)
  } finally {
    await target.close()
  }
}

function viewOf({ views }: Declaration, name: string): FeatureView {
  const view = views.find((each) => each.name === name)
  const isStatic = (each: FeatureView) => each.freshness === 'static'
  if (view !== undefined && isStatic(view)) return view
  const known = views.filter(isStatic).map((each) => each.name)
  const found =
    view === undefined
      ? `feature view "${name}" does not exist`
      : `feature view "${name}" is ${view.freshness}, and files are loaded into static ones; append its events instead, or declare it with freshness: 'static'`
  throw new CliError(`${found}; static views: ${known.join(', ') || 'none'}`)
}

function sourceOf({ name, sources }: FeatureView, event: string | undefined): Contract<object> {
  const [only] = sources
  const found =
    event === undefined ? sources.length === 1 && only : sources.find((each) => each.name === event)
  if (found) return found as Contract<object>
  throw new CliError(
    `view "${name}" is made of ${sources.map((each) => each.name).join(', ')}; say with --event which of them the rows are`,
  )
}

/** Where rows go: the engine that runs on the folder, or one that is opened for it. */
interface Target {
  readonly log: Parameters<typeof StaticLoad.open>[2]
  readonly bound: BoundContract<object>
  append(values: readonly object[]): Promise<unknown>
  close(): Promise<void>
}

async function openTarget(
  declaration: Declaration,
  contract: Contract<object>,
  { data, topology }: FeaturesLoadOptions,
): Promise<Target> {
  const door = runningDoor(data)
  if (door === undefined) {
    if (topology !== undefined) rememberModule(data, topology)
    refuseClusterState(data)
    const engine = await Engine.open({ topology: declaration, data })
    return {
      log: engine.log,
      bound: engine.assembly.events.get(contract.name)!,
      append: (values) => engine.append(contract.name, values),
      close: () => engine.close(),
    }
  }
  const wiring = await wire({ data, app: declaration.name, now: Date.now, readOnly: true })
  return {
    log: wiring.log,
    bound: await bindContract(contract, wiring.registry),
    append: (values) =>
      callDoor(door, `/v1/events/${encodeURIComponent(contract.name)}`, {
        type: 'application/x-ndjson',
        body: values.map((value) => toJson(value)).join('\n'),
      }),
    close: () => wiring.close(),
  }
}

function print(report: LoadReport, json: boolean): number {
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : textOf(report))
  return report.refused.length === 0 ? 0 : 1
}

function textOf({ outcome, view, event, rows, appended, known, refused }: LoadReport): string {
  const reasons = refused.map(
    ({ reason, count: times, firstRow, detail }) =>
      `  ${count(times)} refused, ${reason}: first in row ${count(firstRow)}: ${detail}\n`,
  )
  const head =
    outcome === 'refused'
      ? `nothing was loaded: rows of ${count(rows)} do not fit; mend them, or leave them out with --skip-refused`
      : `${count(appended)} "${event}" events for view ${view}, ${count(known)} rows were there already`
  return `${head}\n${reasons.join('')}`
}
