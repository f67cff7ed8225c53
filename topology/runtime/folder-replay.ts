import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Declaration } from '../../models/declaration.ts'
import {
  type BackfillEstimate,
  type BackfillOptions,
  type BackfillReport,
  backfill,
  backfillParts,
  estimateBackfill,
} from '../../replay/backfill.ts'
import { mergeViews } from '../../replay/backfill-merge.ts'
import {
  askToCancel,
  discardBackfill,
  isCancelled,
  liveFolder,
  makeLive,
  markReady,
  type ReadyBackfill,
  readyBackfill,
  shadowFolder,
  shadowParts,
  unmarkReady,
  viewsToMerge,
} from '../../replay/backfill-swap.ts'
import { type QualityReport, type QualityReportOptions, qualityReport } from '../../replay/quality.ts'
import { shareOfPlaces } from '../../replay/recorded-tasks.ts'
import { type ReplayRange, timesOfRange } from '../../replay/replay-range.ts'
import { ViewRegistry } from '../../replay/view-registry.ts'
import { isEngineError } from '../../state/contracts/engine-error.ts'
import type { Database } from '../../state/store/database.ts'
import { foldInProcesses } from './backfill-processes.ts'
import { openStateFolder, type Wiring, wire } from './wire.ts'
import type { KafkaWiring } from './wire-kafka.ts'

/** A log that is there: of a data folder, or of an application on a cluster. */
export interface LogPlace {
  /** Folder of the log and the state; an engine may be running there. */
  readonly data?: string
  readonly kafka?: KafkaWiring
}

interface OfFolder {
  readonly topology: Declaration
  /** Folder of the log and the state; an engine may be running there. */
  readonly data: string
}

const elapsedMs = () => performance.now()

/** The feature views that engines have put on the log of a folder, beside a running one or without. */
export async function folderViews({ topology, data }: OfFolder): Promise<ViewRegistry> {
  const wiring = await wire({ data, app: topology.name, now: Date.now, readOnly: true })
  try {
    return await ViewRegistry.read(topology.name, wiring.log, wiring.registry)
  } finally {
    await wiring.close()
  }
}

/**
 * Judges the log of a data folder or a cluster by a topology's expectations,
 * beside a running engine or without one. Writes nothing. Of the places of
 * `between` their event times count.
 */
export async function folderQuality({
  topology: declaration,
  data,
  kafka,
  between = {},
  ...options
}: Pick<OfFolder, 'topology'> &
  LogPlace & { readonly between?: ReplayRange } & Pick<
    QualityReportOptions,
    'worst' | 'range' | 'onProgress' | 'onFailure'
  >): Promise<QualityReport> {
  const place = { ...(data === undefined ? {} : { data }), ...(kafka === undefined ? {} : { kafka }) }
  const wiring = await wire({ ...place, app: declaration.name, now: Date.now, readOnly: true })
  try {
    const { log, registry } = wiring
    const isMeant = ({ expectations }: Declaration) => expectations.length > 0
    const share = await shareOfPlaces(between, declaration, log, { isMeant })
    const source = { app: declaration.name, log, registry, share }
    const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY } = await timesOfRange(
      between,
      source,
    )
    const isWhole = between.from === undefined && between.to === undefined
    return await qualityReport({
      declaration,
      log,
      registry,
      database: await wiring.scratch(),
      scratch: wiring.scratch,
      ...(isWhole ? {} : { range: { fromMs, toMs } }),
      ...options,
    })
  } finally {
    await wiring.close()
  }
}

/** How often a backfill looks whether somebody cancels it, ms. */
const cancelLookMs = 200

/** What became of a backfill of a folder. */
export type FolderBackfillReport = Omit<BackfillReport, 'outcome'> & {
  readonly outcome: BackfillReport['outcome'] | 'cancelled'
}

/**
 * Folds a changed topology over the log of a data folder into a folder of its
 * own there, beside a running engine or without one. Once it is `ready`, the
 * next engine that opens the folder with this topology takes it as its state;
 * `isAsked` asks one that runs to take it at once, from the `module` at this
 * path, in place of the one at `replaced`.
 */
export async function folderBackfill({
  topology: declaration,
  data,
  module,
  replaced,
  isAsked,
  signal,
  threads = 1,
  ...options
}: OfFolder & {
  /** Most processes that fold at once, where views alone are new; more than one need the `module`. */
  readonly threads?: number
} & Pick<ReadyBackfill, 'module' | 'replaced' | 'isAsked'> &
  Pick<
    BackfillOptions,
    'signal' | 'follow' | 'checkpointEvents' | 'onProgress'
  >): Promise<FolderBackfillReport> {
  const { log, registry, close } = await wire({ data, now: Date.now, readOnly: true })
  const cancelled = new AbortController()
  const look = setInterval(() => isCancelled(data) && cancelled.abort(), cancelLookMs)
  const signals = [cancelled.signal, ...(signal === undefined ? [] : [signal])]
  try {
    unmarkReady(data)
    const ended = AbortSignal.any(signals)
    const most = module === undefined ? 1 : threads
    const parts = most > 1 ? await backfillParts({ declaration, log, registry }, most) : 1
    let report: BackfillReport
    if (parts > 1) {
      const { follow = false, ...rest } = options
      report = await foldInProcesses({ ...rest, follow, module: module!, data, parts, signal: ended })
    } else {
      const database = await openStateFolder(shadowFolder(data))
      try {
        report = await backfill({
          declaration,
          log,
          registry,
          database,
          elapsedMs,
          signal: ended,
          ...options,
        })
      } finally {
        await database.close()
      }
    }
    if (isCancelled(data)) {
      discardBackfill(data)
      return { ...report, outcome: 'cancelled' }
    }
    if (report.outcome === 'unchanged') discardBackfill(data)
    if (report.outcome === 'ready') {
      const { layout, views } = report
      markReady(data, {
        layout,
        ...(views && { views }),
        ...(parts > 1 && { parts }),
        ...(module && { module }),
        ...(replaced && { replaced }),
        ...(isAsked && { isAsked }),
      })
    }
    return report
  } finally {
    clearInterval(look)
    await close()
  }
}

/** Puts views that were backfilled beside the state of an engine that starts with them. Returns whether there were any. */
export async function mergeBackfill(
  data: string,
  declaration: Declaration,
  { log, registry, database }: Wiring,
): Promise<boolean> {
  const added = await viewsToMerge(data, declaration)
  const ready = readyBackfill(data)
  if (added === undefined || ready === undefined) return false
  const shadows: Database[] = []
  let isMerged: boolean
  try {
    for (const path of shadowParts(data, ready.parts)) shadows.push(await openStateFolder(path))
    isMerged = await mergeViews({ declaration, added, log, registry, database, shadows })
  } finally {
    for (const shadow of shadows) await shadow.close()
  }
  if (isMerged) makeLive(data, ready)
  // Where it does not fit, the state is of another fold, and this shadow fits none that comes.
  discardBackfill(data)
  return isMerged
}

/** How much there is to backfill in a data folder and how long it takes, by folding a part of it and keeping nothing. */
export async function folderBackfillEstimate({
  topology: declaration,
  data,
}: OfFolder): Promise<BackfillEstimate> {
  const wiring = await wire({ data, now: Date.now, readOnly: true })
  try {
    const { log, registry } = wiring
    return await estimateBackfill({ declaration, log, registry, database: await wiring.scratch(), elapsedMs })
  } finally {
    await wiring.close()
  }
}

/** How long a backfill that was asked to end may take to do so, ms. */
const endWithinMs = 30_000

/**
 * Gives the backfill of a data folder up: one that runs ends, one that is
 * finished is not taken any more. Returns whether there was one that was not
 * the live state yet.
 *
 * @throws EngineError `store-locked` where one that runs does not end
 */
export async function cancelBackfill(data: string): Promise<boolean> {
  const live = liveFolder(data)
  const found = askToCancel(data)
  for (const startedMs = elapsedMs(); ; ) {
    const shadow = shadowFolder(data)
    if (!existsSync(shadow)) break
    try {
      const parts = readdirSync(shadow).filter((name) => name.startsWith('part-'))
      // Whoever works on it holds its state.
      for (const path of parts.length > 0 ? parts.map((part) => join(shadow, part)) : [shadow]) {
        await (await openStateFolder(path)).close()
      }
      break
    } catch (error) {
      if (!isEngineError(error, 'store-locked') || elapsedMs() - startedMs > endWithinMs) throw error
      await pause(cancelLookMs)
    }
  }
  discardBackfill(data)
  return found && liveFolder(data) === live
}
