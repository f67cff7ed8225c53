import { existsSync } from 'node:fs'
import {
  type BackfillEstimate,
  type BackfillReport,
  backfill,
  estimateBackfill,
} from '../../replay/backfill.ts'
import { discardBackfill, markReady, shadowFolder, unmarkReady } from '../../replay/backfill-swap.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { wire } from '../runtime/wire.ts'
import { requireData, topologyOf } from './data-folder.ts'
import { count, Progress, seconds } from './progress.ts'

export interface BackfillCommandOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly follow?: boolean
  readonly cancel?: boolean
}

/**
 * `replay backfill`: the state of a changed declaration, folded beside the
 * live engine and taken at the next start. Exit code 1 if it was interrupted.
 */
export async function backfillCommand(options: BackfillCommandOptions): Promise<number> {
  const { data, json = false, dryRun = false, follow = false } = options
  requireData(data)
  if (options.cancel) {
    // One that is running holds its state, which says so here.
    if (existsSync(shadowFolder(data)))
      await (await openRocksdbDatabase({ path: shadowFolder(data) })).close()
    const found = discardBackfill(data)
    process.stdout.write(
      json
        ? `${JSON.stringify({ cancelled: found })}\n`
        : found
          ? 'backfill removed\n'
          : 'there is no backfill\n',
    )
    return 0
  }
  const declaration = await topologyOf(data, options.topology)
  const wiring = await wire({ data, now: Date.now, readOnly: true })
  const { log, registry } = wiring
  const elapsedMs = () => performance.now()
  try {
    if (dryRun) {
      const database = await wiring.scratch()
      const estimate = await estimateBackfill({ declaration, log, registry, database, elapsedMs })
      process.stdout.write(json ? `${JSON.stringify(estimate)}\n` : estimateText(estimate))
      return 0
    }
    const stopped = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())
    unmarkReady(data)
    const database = await openRocksdbDatabase({ path: shadowFolder(data) })
    let report: BackfillReport
    try {
      let progress: Progress | undefined
      report = await backfill({
        declaration,
        log,
        registry,
        database,
        elapsedMs,
        follow,
        signal: stopped.signal,
        onProgress(done) {
          progress ??= new Progress('backfilling', { unit: 'records', total: done.total, silent: json })
          progress.update(done.records)
        },
      })
    } finally {
      await database.close()
    }
    if (report.outcome === 'unchanged') discardBackfill(data)
    if (report.outcome === 'ready') markReady(data, report.layout)
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : reportText(report, options))
    return report.outcome === 'interrupted' ? 1 : 0
  } finally {
    await wiring.close()
  }
}

function reportText(report: BackfillReport, { data, topology }: BackfillCommandOptions): string {
  const { outcome, records, total, recordsPerSecond, late, dropped, refused, unread } = report
  const counts = `${count(records)} of ${count(total)} records folded (${count(recordsPerSecond)}/s), late ${count(late)}, dropped ${count(dropped)}, refused ${count(refused)}\n`
  if (outcome === 'unchanged') return 'nothing to backfill: the state is that of this topology already\n'
  if (outcome === 'interrupted') {
    return `${counts}interrupted: run it again to go on, or with --cancel to give it up\n`
  }
  const rest =
    unread > 0
      ? `${count(unread)} records of events that the engine did not read so far are processed after the start\n`
      : ''
  return `${counts}${rest}ready: it becomes the state when the engine starts next with this topology (headwater run ${topology ?? '<topology>'} --data ${data})\n`
}

function estimateText({
  records,
  commits,
  sampled,
  recordsPerSecond,
  estimatedMs,
  isNeeded,
  unread,
}: BackfillEstimate): string {
  if (!isNeeded) return 'nothing to backfill: the state is that of this topology already\n'
  const rest = unread > 0 ? `${count(unread)} more are read for the first time after the start\n` : ''
  return `${count(records)} records in ${count(commits)} commits would be folded: about ${seconds(estimatedMs)} at ${count(recordsPerSecond)} records/s (of ${count(sampled)} sampled)\n${rest}`
}
