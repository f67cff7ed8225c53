import type { BoundContract } from '../state/contracts/codec.ts'
import type { TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { Log } from '../state/log/log.ts'

/** Commits of a task, one behind the other, that are of one topology. */
interface Epoch {
  readonly layout: string
  /** Sequence number of its first commit. */
  readonly from: number
  /** Where each partition of the predictions ended before it. */
  readonly predictions: readonly number[]
}

/**
 * Which topology each commit of a task is of: a task says so on the log when
 * it begins to work for another one, at a start or at a swap.
 */
export class LayoutEpochs {
  readonly #epochs: readonly Epoch[]

  private constructor(epochs: readonly Epoch[]) {
    this.#epochs = epochs
  }

  static async read(log: Log, layouts: BoundContract<TaskLayoutEvent>, task: string): Promise<LayoutEpochs> {
    const { topic } = layouts.contract
    const { start, end } = await log.offsets(topic, 0)
    const epochs: Epoch[] = []
    for (let offset = start; offset < end; ) {
      const batch = await log.read({ topic, partition: 0, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const event = layouts.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        if (event.task !== task) continue
        const { layout, from, predictions } = event
        // Of a log that does not say since when, the first one is since the beginning.
        if (from >= 0) epochs.push({ layout, from, predictions })
        else if (epochs.length === 0) epochs.push({ layout, from: 0, predictions: [] })
      }
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
    return new LayoutEpochs(epochs)
  }

  /** Whether any commit is of this topology. */
  has(layout: string): boolean {
    return this.#epochs.some((epoch) => epoch.layout === layout)
  }

  /** The topology of the commit with this sequence number; undefined where the log does not say. */
  layoutAt(sequence: number): string | undefined {
    return this.#epochs.findLast(({ from }) => from <= sequence)?.layout
  }

  /** The topology of a prediction by its place; undefined where the log does not say. */
  layoutOfPrediction(partition: number, offset: number): string | undefined {
    return this.#epochs.findLast(({ predictions }) => (predictions[partition] ?? 0) <= offset)?.layout
  }
}
