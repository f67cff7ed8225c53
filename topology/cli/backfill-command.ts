import type { BackfillEstimate, BackfillReport } from '../../replay/backfill.ts'
import { cancelBackfill, folderBackfill, folderBackfillEstimate } from '../runtime/folder-replay.ts'
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
    const cancelled = await cancelBackfill(data)
    const text = cancelled ? 'backfill removed\n' : 'there is no backfill\n'
    process.stdout.write(json ? `${JSON.stringify({ cancelled })}\n` : text)
    return 0
  }
  const topology = await topologyOf(data, options.topology)
  if (dryRun) {
    const estimate = await folderBackfillEstimate({ topology, data })
    process.stdout.write(json ? `${JSON.stringify(estimate)}\n` : estimateText(estimate))
    return 0
  }
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())
  let progress: Progress | undefined
  const report = await folderBackfill({
    topology,
    data,
    follow,
    signal: stopped.signal,
    onProgress({ records, total }) {
      // There is a rate from the second time on.
      if (progress !== undefined) progress.update(records)
      else progress = new Progress('backfilling', { unit: 'records', total, silent: json })
    },
  })
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : reportText(report, options))
  return report.outcome === 'interrupted' ? 1 : 0
}

function reportText(report: BackfillReport, { data, topology }: BackfillCommandOptions): string {
  const { outcome, records, total, recordsPerSecond, late, dropped, refused, unread } = report
  const counts = `${count(records)} of ${count(total)} records folded (${count(recordsPerSecond)}/s), late ${count(late)}, dropped ${count(dropped)}, refused ${count(refused)}\n`
  const only = viewsText(report.views)
  if (outcome === 'unchanged') return 'nothing to backfill: the state is that of this topology already\n'
  if (outcome === 'interrupted') {
    return `${counts}${only}interrupted: run it again to go on, or with --cancel to give it up\n`
  }
  const rest =
    unread > 0
      ? `${count(unread)} records of events that the engine did not read so far are processed after the start\n`
      : ''
  return `${counts}${only}${rest}ready: the engine takes it when it starts next with this topology (headwater run ${topology ?? '<topology>'} --data ${data})\n`
}

function estimateText({
  records,
  commits,
  sampled,
  recordsPerSecond,
  estimatedMs,
  isNeeded,
  unread,
  views,
}: BackfillEstimate): string {
  if (!isNeeded) return 'nothing to backfill: the state is that of this topology already\n'
  const rest = unread > 0 ? `${count(unread)} more are read for the first time after the start\n` : ''
  return `${count(records)} records in ${count(commits)} commits would be folded: about ${seconds(estimatedMs)} at ${count(recordsPerSecond)} records/s (of ${count(sampled)} sampled)\n${viewsText(views)}${rest}`
}

const viewsText = (views: readonly string[] | undefined): string =>
  views === undefined
    ? ''
    : `new are the views ${views.join(', ')} alone: only their events are read, and the state that is there stays\n`
