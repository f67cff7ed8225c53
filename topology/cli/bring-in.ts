import { once } from 'node:events'
import type { Engine } from '../runtime/engine.ts'
import { Progress } from './progress.ts'

/**
 * Imports the declared sources, starts the loops of an application's tasks
 * that run in this process, and waits until everything on the log is
 * processed by them.
 */
export async function bringIn(
  engines: readonly [Engine, ...Engine[]],
  silent: boolean,
  stopped: AbortSignal,
): Promise<{ eventsPerSecond: number }> {
  const [first] = engines
  const { sources } = first.assembly.declaration
  const run = () => {
    for (const engine of engines) engine.run()
  }
  // What was imported before is worked off at once; a first import is there as a whole before it is taken up.
  const imported = await Promise.all(sources.map(({ name }) => first.importer.isComplete(name)))
  if (imported.every((complete) => complete)) run()
  for (const source of sources) {
    const progress = new Progress(`importing ${source.name}`, {
      unit: 'rows',
      silent,
      ...(source.rowCount === undefined ? {} : { total: source.rowCount }),
    })
    const { rows, skipped } = await first.importer.run(source.name, source.rows(), (done) => {
      progress.update(done.rows)
      if (stopped.aborted) throw stopped.reason
    })
    if (skipped < rows) progress.end(rows - skipped)
  }
  const progress = new Progress('processing', { total: await lagOf(engines), unit: 'events', silent })
  const processed = () => engines.reduce((sum, { assembly }) => sum + assembly.task.processed, 0)
  const before = processed()
  const startedMs = performance.now()
  const timer = setInterval(() => progress.update(processed() - before), 200)
  run()
  try {
    if (!stopped.aborted) await Promise.race([caughtUp(engines), once(stopped, 'abort')])
  } finally {
    clearInterval(timer)
  }
  const done = processed() - before
  if (done > 0) progress.end(done)
  return { eventsPerSecond: done / ((performance.now() - startedMs) / 1000) }
}

/** Resolves when no task has anything left: what one writes may be for another. */
async function caughtUp(engines: readonly Engine[]): Promise<void> {
  do await Promise.all(engines.map((engine) => engine.caughtUp()))
  while (engines.length > 1 && (await lagOf(engines)) > 0)
}

async function lagOf(engines: readonly Engine[]): Promise<number> {
  const inputs = await Promise.all(engines.map((engine) => engine.inputs()))
  return inputs.flat().reduce((sum, { lag }) => sum + lag, 0)
}
