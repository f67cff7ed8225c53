import { existsSync } from 'node:fs'
import { BackfillFile, type RefusedRows, type TimeUnit } from '../../replay/backfill-file.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import { backfillFile, type FileBackfillReport } from '../runtime/backfill-file.ts'
import { Engine } from '../runtime/engine.ts'
import { CliError } from './cli-error.ts'
import { refuseClusterState, rememberModule, topologyOf } from './data-folder.ts'
import { isoTime } from './log-reader.ts'
import { count, Progress } from './progress.ts'

export interface BackfillFileCommandOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly file: string
  readonly event?: string
  /** `field=column`, several with commas. */
  readonly columns?: string
  readonly timeUnit?: TimeUnit
  readonly skipRefused?: boolean
}

/** `replay backfill --file`: rows of a file as events on the log. Exit code 1 if rows were refused. */
export async function backfillFileCommand(options: BackfillFileCommandOptions): Promise<number> {
  const { data, file: path, json = false, timeUnit, skipRefused = false } = options
  if (!existsSync(path)) throw new CliError(`no file at ${path}`)
  const declaration = await topologyOf(data, options.topology)
  const names = declaration.events.map(({ name }) => name)
  const { event } = options
  const contract = declaration.events.find(({ name }) => name === event)
  if (event === undefined || contract === undefined) {
    throw new CliError(
      `--event says which event the rows are, one of ${names.join(', ')}; got ${event ?? 'none'}`,
    )
  }
  const columns = columnsOf(options.columns)
  const reading = { path, columns, ...(timeUnit === undefined ? {} : { timeUnit }) }
  if (options.dryRun) {
    const progress = new Progress('checking', { unit: 'rows', silent: json })
    const { maxAheadMs } = declaration
    const file = await BackfillFile.open({
      ...reading,
      contract: contract as Contract<object>,
      nowMs: Date.now(),
      maxAheadMs,
    })
    const scan = await file.scan((rows) => progress.update(rows))
    progress.end(scan.rows)
    const text = `${count(scan.accepted)} of ${count(scan.rows)} rows would be "${event}" events${span(scan.fromMs, scan.toMs)}\n${refusedText(scan.refused)}`
    process.stdout.write(json ? `${JSON.stringify(scan)}\n` : text)
    return scan.refused.length === 0 ? 0 : 1
  }
  if (options.topology !== undefined) rememberModule(data, options.topology)
  refuseClusterState(data)
  const engine = await Engine.open({ topology: declaration, data })
  try {
    let progress: Progress | undefined
    let label = ''
    const report = await backfillFile(engine, {
      ...reading,
      event,
      skipRefused,
      onProgress(step, rows, of) {
        if (label !== step) {
          progress = new Progress(step, {
            unit: 'rows',
            silent: json,
            ...(of === undefined ? {} : { total: of }),
          })
        } else progress?.update(rows)
        label = step
      },
    })
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : reportText(report, event))
    return report.refused.length === 0 ? 0 : 1
  } finally {
    await engine.close()
  }
}

function columnsOf(text: string | undefined): Readonly<Record<string, string>> {
  const pairs = (text ?? '').split(',').filter((pair) => pair !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at > 0 && at < pair.length - 1) return [pair.slice(0, at), pair.slice(at + 1)]
      throw new CliError(`--columns takes field=column, several with commas; got "${pair}"`)
    }),
  )
}

function reportText(report: FileBackfillReport, event: string): string {
  const { outcome, rows, events, skipped, refused, fromMs, toMs, processedToMs } = report
  if (outcome === 'refused') {
    return `nothing was brought in: rows of ${count(rows)} do not fit; mend them, say how to read them, or leave them out with --skip-refused\n${refusedText(refused)}`
  }
  const before = skipped > 0 ? `, ${count(Math.min(skipped, rows))} rows were there already` : ''
  const late =
    processedToMs !== null && fromMs !== null && fromMs < processedToMs
      ? `events up to ${isoTime(processedToMs)} are processed already: what lies before them comes late; bring history in before the first run where that matters\n`
      : ''
  return `${count(events)} "${event}" events brought in${span(fromMs, toMs)}${before}\n${late}${refusedText(refused)}`
}

const span = (fromMs: number | null, toMs: number | null): string =>
  fromMs === null || toMs === null ? '' : `, from ${isoTime(fromMs)} to ${isoTime(toMs)}`

const refusedText = (refused: readonly RefusedRows[]): string =>
  refused
    .map(
      (each) =>
        `  ${count(each.count)} refused, ${each.reason}: first in row ${count(each.firstRow)}: ${each.detail}\n`,
    )
    .join('')
