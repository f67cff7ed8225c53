import { existsSync } from 'node:fs'
import type { Declaration } from '../../models/declaration.ts'
import {
  type BackfillEstimate,
  type BackfillOptions,
  type BackfillReport,
  backfill,
  estimateBackfill,
} from '../../replay/backfill.ts'
import { mergeViews } from '../../replay/backfill-merge.ts'
import {
  discardBackfill,
  markReady,
  shadowFolder,
  unmarkReady,
  viewsToMerge,
} from '../../replay/backfill-swap.ts'
import { type QualityReport, type QualityReportOptions, qualityReport } from '../../replay/quality.ts'
import { shareOfPlaces } from '../../replay/recorded-tasks.ts'
import { type ReplayRange, timesOfRange } from '../../replay/replay-range.ts'
import { ViewRegistry } from '../../replay/view-registry.ts'
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

/**
 * Folds a changed topology over the log of a data folder into `backfill`
 * there, beside a running engine or without one. Once it is `ready`, the next
 * engine that opens the folder with this topology takes it as its state.
 */
export async function folderBackfill({
  topology: declaration,
  data,
  ...options
}: OfFolder &
  Pick<BackfillOptions, 'signal' | 'follow' | 'checkpointEvents' | 'onProgress'>): Promise<BackfillReport> {
  const { log, registry, close } = await wire({ data, now: Date.now, readOnly: true })
  try {
    unmarkReady(data)
    const database = await openStateFolder(shadowFolder(data))
    let report: BackfillReport
    try {
      report = await backfill({ declaration, log, registry, database, elapsedMs, ...options })
    } finally {
      await database.close()
    }
    if (report.outcome === 'unchanged') discardBackfill(data)
    if (report.outcome === 'ready') markReady(data, report)
    return report
  } finally {
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
  if (added === undefined) return false
  const shadow = await openStateFolder(shadowFolder(data))
  let isMerged: boolean
  try {
    isMerged = await mergeViews({ declaration, added, log, registry, database, shadow })
  } finally {
    await shadow.close()
  }
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

/**
 * Gives the backfill of a data folder up. Returns whether there was one.
 *
 * @throws EngineError `store-locked` while one is running
 */
export async function cancelBackfill(data: string): Promise<boolean> {
  const path = shadowFolder(data)
  // One that is running holds its state, which says so here.
  if (existsSync(path)) await (await openStateFolder(path)).close()
  return discardBackfill(data)
}
