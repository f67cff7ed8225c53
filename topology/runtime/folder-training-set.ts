import type { Declaration } from '../../models/declaration.ts'
import { shareOfModelPlaces, shareOfPlaces } from '../../replay/recorded-tasks.ts'
import { findRange, type ReplayRange, timesOfRange } from '../../replay/replay-range.ts'
import type { TrainingSetOptions, TrainingSetReport } from '../../replay/training-set.ts'
import { wire } from './wire.ts'
import type { KafkaWiring } from './wire-kafka.ts'

export interface FolderTrainingSetOptions
  extends Omit<TrainingSetOptions, 'declaration' | 'log' | 'writer' | 'registry' | 'database'> {
  readonly topology: Declaration
  /** Folder of the log and the state; an engine may be running there. */
  readonly data?: string
  /** A cluster's log in its place; it is only read. */
  readonly kafka?: KafkaWiring
  /** Places of the log: which predictions are rows. With `labels` their event times count. */
  readonly between?: ReplayRange
}

/**
 * Writes a table of labels and features, folded from the log of a data folder or
 * a cluster by the code that serves the features; see the command `replay training-set`
 * for its modes. The fold's state lies in a temporary folder meanwhile.
 *
 * The file is written beside its name and renamed when it is whole and on the
 * disk. The same log, topology and options give the same bytes.
 *
 * @throws EngineError `model-unknown`, `event-unknown`, `table-unreadable`, `table-unwritable`, `training-set-refused`
 */
export async function trainingSet({
  topology: declaration,
  data,
  kafka,
  between = {},
  ...options
}: FolderTrainingSetOptions): Promise<TrainingSetReport> {
  // Tables are a replay's business: an engine that serves starts without them.
  const { trainingSet: trainingSetOf } = await import('../../replay/training-set.ts')
  const place = { ...(data === undefined ? {} : { data }), ...(kafka === undefined ? {} : { kafka }) }
  const wiring = await wire({ ...place, app: declaration.name, now: Date.now, readOnly: true })
  try {
    const { models } = declaration
    const model = options.model === undefined ? models[0] : models.find(({ name }) => name === options.model)
    const isOfModel = options.labels === undefined || options.model !== undefined
    const share =
      isOfModel && model !== undefined
        ? await shareOfModelPlaces(between, declaration, model, wiring)
        : await shareOfPlaces(between, declaration, wiring.log, { isMeant: () => true })
    const source = { app: declaration.name, ...wiring, share }
    const range = await (options.labels === undefined ? findRange : timesOfRange)(between, source)
    return await trainingSetOf({
      declaration,
      ...wiring,
      database: await wiring.scratch(),
      ...options,
      ...range,
    })
  } finally {
    await wiring.close()
  }
}
