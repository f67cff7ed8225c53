import { type BackfillReport, backfill } from '../../replay/backfill.ts'
import { shadowParts } from '../../replay/backfill-swap.ts'
import type { PartOrder, PartTold } from '../runtime/backfill-processes.ts'
import { openStateFolder, wire } from '../runtime/wire.ts'
import { loadTopology } from './load-topology.ts'

/*
 * A process that folds one part of a backfill. It is told which by a message,
 * answers with its progress and its report, and ends when it is told to, or
 * when the one that told it is gone.
 */

const stopped = new AbortController()
const tell = (told: PartTold) => process.connected && process.send?.(told)
// A ^C in a terminal reaches every process: the one that started this ends it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
process.on('disconnect', () => stopped.abort())
process.on('message', (message: PartOrder | 'stop') => {
  if (message === 'stop') stopped.abort()
  else void work(message)
})

async function work(order: PartOrder): Promise<void> {
  let last: PartTold
  try {
    last = { report: await folded(order) }
  } catch (error) {
    last = { failure: error instanceof Error ? error.message : String(error) }
  }
  if (process.connected) process.send?.(last, () => process.disconnect())
}

async function folded({ module, data, part, follow, checkpointEvents }: PartOrder): Promise<BackfillReport> {
  const declaration = await loadTopology(module)
  const { log, registry, close } = await wire({ data, now: Date.now, readOnly: true })
  const database = await openStateFolder(shadowParts(data, part.of)[part.number]!)
  try {
    return await backfill({
      declaration,
      log,
      registry,
      database,
      part,
      follow,
      ...(checkpointEvents === undefined ? {} : { checkpointEvents }),
      signal: stopped.signal,
      elapsedMs: () => performance.now(),
      onProgress: (progress) => tell({ progress }),
    })
  } finally {
    await database.close()
    await close()
  }
}
