import type { BackfillFile, BackfillFileOptions, FileScan, RefusedRows } from '../../replay/backfill-file.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Engine } from './engine.ts'

export interface FileBackfillOptions
  extends Pick<BackfillFileOptions, 'path' | 'format' | 'columns' | 'timeUnit'> {
  /** Name of the event that each row is. */
  readonly event: string
  /** Bring the good rows in although others are refused. Default: then none is brought in. */
  readonly skipRefused?: boolean
  readonly onProgress?: (step: 'checking' | 'bringing in', rows: number, of: number | undefined) => void
}

export interface FileBackfillReport {
  /** `refused`: rows do not fit, and nothing was written. */
  readonly outcome: 'done' | 'refused'
  readonly rows: number
  /** Events that this run put on the log. */
  readonly events: number
  /** Rows that an earlier run had brought in already. */
  readonly skipped: number
  readonly refused: readonly RefusedRows[]
  readonly fromMs: TimestampMs | null
  readonly toMs: TimestampMs | null
  /** Greatest event time that was processed before; rows before it come late. Null where nothing was. */
  readonly processedToMs: TimestampMs | null
}

/**
 * Brings history that predates the log in from a file: each row becomes an
 * event with its own event time, once, however often the run is killed and
 * begun again. The file is checked as a whole before the first row is written.
 *
 * @throws EngineError `event-unknown`, `table-unreadable`
 */
export async function backfillFile(
  engine: Engine,
  options: FileBackfillOptions,
): Promise<FileBackfillReport> {
  const { event, skipRefused = false, onProgress = () => {} } = options
  const { assembly, declaration, importer } = engine
  const bound = assembly.events.get(event)
  if (bound === undefined)
    throw new EngineError('event-unknown', { event, known: [...assembly.events.keys()] })
  const { contract } = bound
  const { BackfillFile } = await import('../../replay/backfill-file.ts')
  const file = await BackfillFile.open({
    ...options,
    contract,
    nowMs: engine.now(),
    maxAheadMs: declaration.maxAheadMs,
  })
  const scan: FileScan = await file.scan((rows) => onProgress('checking', rows, undefined))
  const { rows, refused, fromMs, toMs } = scan
  const { streamTimeMs } = assembly.graph
  const processedToMs = Number.isFinite(streamTimeMs) ? streamTimeMs : null
  const common = { rows, refused, fromMs, toMs, processedToMs }
  if (refused.length > 0 && !skipRefused) return { outcome: 'refused', events: 0, skipped: 0, ...common }
  const { events, skipped } = await importer.run(await file.name(), eventsOf(file, event), (done) =>
    onProgress('bringing in', done.rows, rows),
  )
  return { outcome: 'done', events, skipped, ...common }
}

/** A refused row is a row of no events, so that the rows keep their numbers. */
async function* eventsOf(
  file: BackfillFile,
  event: string,
): AsyncGenerator<readonly (readonly [string, object])[]> {
  for await (const { value } of file.rows()) yield value === undefined ? [] : [[event, value]]
}
