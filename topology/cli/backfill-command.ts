import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { BackfillEstimate } from '../../replay/backfill.ts'
import { readyBackfill, swapFailure, swappedTo } from '../../replay/backfill-swap.ts'
import {
  cancelBackfill,
  type FolderBackfillReport,
  folderBackfill,
  folderBackfillEstimate,
} from '../runtime/folder-replay.ts'
import { CliError } from './cli-error.ts'
import { rememberedModule, requireData, runningDoor, topologyOf } from './data-folder.ts'
import { count, Progress, seconds } from './progress.ts'

export interface BackfillCommandOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
  readonly dryRun?: boolean
  readonly follow?: boolean
  readonly cancel?: boolean
  readonly swap?: boolean
  /** Most processes at once. */
  readonly threads?: number
}

/** What became of asking a running engine to take it. */
type SwapOutcome =
  | { readonly outcome: 'swapped'; readonly commit: number }
  | { readonly outcome: 'at-next-start' | 'still-asked' }

const lookMs = 100

/**
 * `replay backfill`: the state of a changed declaration, folded beside the
 * live engine, and taken by it, or at the next start. Exit code 1 if it was
 * interrupted, cancelled or not taken.
 */
export async function backfillCommand(options: BackfillCommandOptions): Promise<number> {
  const { data, json = false, dryRun = false, follow = false, swap = false } = options
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
  let progress: { readonly line: Progress; readonly before: number } | undefined
  const running = rememberedModule(data)
  const module = options.topology === undefined ? running : resolve(options.topology)
  const report = await folderBackfill({
    topology,
    data,
    follow,
    threads: options.threads ?? availableParallelism(),
    ...(module === undefined ? {} : { module }),
    ...(running === undefined ? {} : { replaced: running }),
    ...(swap ? { isAsked: true } : {}),
    signal: stopped.signal,
    onProgress({ records, total }) {
      // There is a rate from the second time on.
      if (progress !== undefined) {
        progress.line.update(records - progress.before)
        return
      }
      const line = new Progress('backfilling', { unit: 'records', total: total - records, silent: json })
      progress = { line, before: records }
    },
  })
  const asked = swap && report.outcome === 'ready' ? await swapped(data, report, stopped.signal) : undefined
  process.stdout.write(
    json
      ? `${JSON.stringify(asked === undefined ? report : { ...report, swap: asked })}\n`
      : reportText(report, asked, options),
  )
  return report.outcome === 'ready' || report.outcome === 'unchanged' ? 0 : 1
}

/** Waits until the running engine has taken it. @throws CliError with its reason where it does not */
async function swapped(
  data: string,
  { layout }: FolderBackfillReport,
  stopped: AbortSignal,
): Promise<SwapOutcome> {
  while (!stopped.aborted) {
    const { layout: live, sequence } = swappedTo(data) ?? {}
    if (live === layout && sequence !== undefined && readyBackfill(data) === undefined) {
      return { outcome: 'swapped', commit: sequence }
    }
    const failure = swapFailure(data)
    if (failure !== undefined) throw new CliError(`${failure}; the backfill stays ready for the next start`)
    if (runningDoor(data) === undefined) return { outcome: 'at-next-start' }
    await pause(lookMs, undefined, { signal: stopped }).catch(() => {})
  }
  return { outcome: 'still-asked' }
}

function reportText(
  report: FolderBackfillReport,
  swap: SwapOutcome | undefined,
  { data, topology }: BackfillCommandOptions,
): string {
  const { outcome, records, total, recordsPerSecond, late, dropped, refused, unread } = report
  const counts = `${count(records)} of ${count(total)} records folded (${count(recordsPerSecond)}/s), late ${count(late)}, dropped ${count(dropped)}, refused ${count(refused)}\n`
  const only = viewsText(report.views)
  if (outcome === 'unchanged') return 'nothing to backfill: the state is that of this topology already\n'
  if (outcome === 'cancelled') return `${counts}cancelled: what was folded is removed\n`
  if (outcome === 'interrupted') {
    return `${counts}${only}interrupted: run it again to go on, or with --cancel to give it up\n`
  }
  const rest =
    unread > 0
      ? `${count(unread)} records of events that the engine did not read so far are processed afterwards\n`
      : ''
  return `${counts}${only}${rest}${takenText(swap, `headwater run ${topology ?? '<topology>'} --data ${data}`)}\n`
}

function takenText(swap: SwapOutcome | undefined, command: string): string {
  if (swap?.outcome === 'swapped')
    return `swapped: the running engine goes on with it from commit ${swap.commit}`
  if (swap?.outcome === 'at-next-start') {
    return `ready: no engine runs on this folder, the next start takes it (${command})`
  }
  if (swap?.outcome === 'still-asked') {
    return 'ready: the running engine is still asked to take it; --cancel takes that back'
  }
  return `ready: the engine takes it when it starts next with this topology (${command}); --swap asks one that runs`
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
