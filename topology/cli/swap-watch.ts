import { readyBackfill, refuseSwap } from '../../replay/backfill-swap.ts'
import type { Engine } from '../runtime/engine.ts'
import { rememberModule } from './data-folder.ts'
import { loadTopology } from './load-topology.ts'
import { count } from './progress.ts'

export interface SwapWatchOptions {
  readonly engine: Engine
  readonly data: string
  readonly acceptFeatureChanges: boolean
  readonly say: (line: string) => void
}

const lookMs = 250

/**
 * Swaps the engine to a backfilled topology when somebody asks for it in its
 * data folder. Returns what ends the watching, after a swap that is under way.
 */
export function watchSwaps({
  engine,
  data,
  acceptFeatureChanges,
  say,
}: SwapWatchOptions): () => Promise<void> {
  let swapping: Promise<void> | undefined
  const stopped = new AbortController()
  const swap = async (module: string) => {
    say(`swapping to ${module}`)
    try {
      const topology = await loadTopology(module, { isFresh: true })
      const { sequence, followed, followedHeld, heldMs } = await engine.swap(topology, {
        acceptFeatureChanges,
        signal: stopped.signal,
      })
      rememberModule(data, module)
      const records = count(followed + followedHeld)
      say(
        `swapped to ${module} at commit ${sequence}: ${records} records followed, held for ${count(heldMs)} ms`,
      )
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      // It is asked again by the next start where this one stops.
      if (!stopped.signal.aborted) refuseSwap(data, reason)
      say(`not swapped: ${reason}`)
    }
  }
  const timer = setInterval(() => {
    if (swapping !== undefined || engine.failure !== undefined) return
    const ready = readyBackfill(data)
    if (!ready?.isAsked || ready.module === undefined) return
    swapping = swap(ready.module).finally(() => {
      swapping = undefined
    })
  }, lookMs)
  return async () => {
    clearInterval(timer)
    stopped.abort()
    await swapping
  }
}
