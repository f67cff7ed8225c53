import { type BoundContract, bindContract, schemaIdOf } from '../state/contracts/codec.ts'
import {
  engineContracts,
  type LabelEvent,
  type PredictionEvent,
} from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'
import { partitionTimes } from './partition-times.ts'

/** Half-open: `fromMs` is in, `toMs` is not. */
export interface TimeRange {
  readonly fromMs: TimestampMs
  readonly toMs: TimestampMs
}

export type Decision =
  | { readonly kind: 'prediction'; readonly atMs: TimestampMs; readonly event: PredictionEvent }
  | { readonly kind: 'label'; readonly atMs: TimestampMs; readonly event: LabelEvent }

const fetchBytes = 1 << 20

/**
 * The prediction and label events of one model, merged over partitions by the
 * event time at the head of each: a batch of each is in memory, whatever the
 * length of the log.
 */
export class DecisionReader {
  readonly #log: Log
  readonly #model: string
  readonly #prediction: BoundContract<PredictionEvent>
  readonly #label: BoundContract<LabelEvent>

  private constructor(
    log: Log,
    model: string,
    bound: { prediction: BoundContract<PredictionEvent>; label: BoundContract<LabelEvent> },
  ) {
    this.#log = log
    this.#model = model
    this.#prediction = bound.prediction
    this.#label = bound.label
  }

  static async open(app: string, model: string, log: Log, registry: SchemaRegistry): Promise<DecisionReader> {
    const contracts = engineContracts(app)
    const prediction = await bindContract(contracts.prediction, registry)
    const label = await bindContract(contracts.label, registry)
    return new DecisionReader(log, model, { prediction, label })
  }

  /** Events in the range, predictions from so much earlier: their labels may be in it. */
  async *read({ fromMs, toMs }: TimeRange, earlierMs: number): AsyncGenerator<Decision> {
    const cursors: DecisionCursor[] = []
    for (const [bound, kind, since] of [
      [this.#prediction, 'prediction', fromMs - earlierMs],
      [this.#label, 'label', fromMs],
    ] as const) {
      for (const partition of await this.#partitions(bound.contract.topic)) {
        const { topic } = bound.contract
        const offset = await this.#log.offsetForTime(topic, partition, Math.max(0, since))
        cursors.push(new DecisionCursor({ log: this.#log, bound, kind, topic, partition }, offset))
      }
    }
    for (const cursor of cursors) await cursor.advance(this.#model)
    for (;;) {
      let first: DecisionCursor | undefined
      // Predictions come first in the list, and so at equal times.
      for (const cursor of cursors) {
        if (cursor.head !== undefined && !(first?.head && first.head.atMs <= cursor.head.atMs)) first = cursor
      }
      if (first?.head === undefined) return
      if (first.head.atMs < toMs) yield first.head
      await first.advance(this.#model)
    }
  }

  /** From the earliest prediction at the head of a partition to just behind the latest at an end; undefined if there is none. */
  async extent(): Promise<TimeRange | undefined> {
    const { topic } = this.#prediction.contract
    let fromMs = Infinity
    let toMs = -Infinity
    for (const partition of await this.#partitions(topic)) {
      const times = await partitionTimes(this.#log, topic, partition)
      if (times === undefined) continue
      fromMs = Math.min(fromMs, times.firstMs, times.lastMs)
      toMs = Math.max(toMs, times.firstMs + 1, times.lastMs + 1)
    }
    return fromMs < toMs ? { fromMs, toMs } : undefined
  }

  async #partitions(name: string): Promise<number[]> {
    const topics = await this.#log.topics()
    const found = topics.find((topic) => topic.name === name)
    return Array.from({ length: found?.partitions ?? 0 }, (_, partition) => partition)
  }
}

interface CursorSource {
  readonly log: Log
  readonly bound: BoundContract<PredictionEvent> | BoundContract<LabelEvent>
  readonly kind: Decision['kind']
  readonly topic: string
  readonly partition: number
}

class DecisionCursor {
  /** Undefined at the end. */
  head: Decision | undefined
  readonly #source: CursorSource
  #offset: bigint
  #end: bigint | undefined
  #batch: RecordBatch | undefined
  #index = 0

  constructor(source: CursorSource, offset: bigint) {
    this.#source = source
    this.#offset = offset
  }

  /** Goes to the next event of the model, up to the end as it was at first. */
  async advance(model: string): Promise<void> {
    const { log, bound, kind, topic, partition } = this.#source
    this.#end ??= (await log.offsets(topic, partition)).end
    for (;;) {
      while (this.#batch === undefined || this.#index >= this.#batch.count) {
        this.head = undefined
        if (this.#offset >= this.#end) return
        this.#batch = await log.read({ topic, partition, offset: this.#offset, maxBytes: fetchBytes })
        if (this.#batch.nextOffset === this.#offset) return
        this.#offset = this.#batch.nextOffset
        this.#index = 0
      }
      const { bytes, valueStart, valueEnd, timestampsMs } = this.#batch
      const index = this.#index++
      const [start, end] = [valueStart[index]!, valueEnd[index]!]
      if (start < 0) continue
      if (!bound.isKnown(bytes, start, end)) await bound.learn(schemaIdOf(bytes, start, end))
      const event = bound.readValue(bytes, start, end)
      if (event.model !== model) continue
      this.head = { kind, atMs: timestampsMs[index]!, event } as Decision
      return
    }
  }
}
