import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import { assemble, type RecoveryProgress } from './assembly.ts'
import { readingFor } from './log-reading.ts'
import { foldLog, readHorizon, withTail } from './training-set-fold.ts'

/** A model, by its name or as the only one of its declaration. @throws EngineError `model-unknown` */
export function modelOf({ models }: Declaration, name: string | undefined): Model {
  const found =
    name === undefined && models.length === 1 ? models[0] : models.find((each) => each.name === name)
  if (found !== undefined) return found
  throw new EngineError('model-unknown', { model: name ?? '', known: models.map((each) => each.name) })
}

export interface CandidateOptions {
  /** What would have run: it reads the events that are on the log. */
  readonly declaration: Declaration
  readonly model?: string
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  /** An empty database to fold into. */
  readonly database: Database
  readonly onProgress?: (progress: RecoveryProgress) => void
}

/**
 * What another model would have answered: its declaration folds the log in the
 * recorded order, each request is predicted before its label is learned, and
 * nothing is written. By request id. Events that no one of several tasks has
 * read together are taken in the order of their times.
 */
export async function candidatePredictions(options: CandidateOptions): Promise<ReadonlyMap<string, number>> {
  const { log, onProgress } = options
  const model = modelOf(options.declaration, options.model)
  const { declaration, order } = await readingFor(options.declaration, { model }, options)
  const outputs = new Map<string, number>()
  const assembly = await assemble({
    declaration,
    log,
    writer: options.writer,
    registry: options.registry,
    database: options.database,
    onPrediction(prediction) {
      if (prediction.model === model.name) outputs.set(prediction.requestId, prediction.output)
    },
  })
  assembly.outputs.muted = true
  if (order === 'recorded') await assembly.recover(onProgress)
  else {
    const horizon = await withTail(await readHorizon(assembly, log), assembly, log)
    await foldLog(assembly, { log, horizon, onBatch() {}, ...(onProgress ? { onProgress } : {}) })
  }
  return outputs
}
