import { type BoundContract, bindContract, bindProjection, schemaIdOf } from '../state/contracts/codec.ts'
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

/** What every reader needs of a prediction and of a label. */
type EssentialPrediction = Pick<PredictionEvent, 'requestId' | 'model'>
type EssentialLabel = Pick<LabelEvent, 'requestId' | 'model'>

export type Decision<
  Prediction extends EssentialPrediction = PredictionEvent,
  Label extends EssentialLabel = LabelEvent,
> =
  | { readonly kind: 'prediction'; readonly atMs: TimestampMs; readonly event: Prediction }
  | { readonly kind: 'label'; readonly atMs: TimestampMs; readonly event: Label }

/** What was answered and what came true, and nothing of how. */
export type Outcome = Decision<
  Pick<PredictionEvent, 'requestId' | 'model' | 'output' | 'features'>,
  Pick<LabelEvent, 'requestId' | 'model' | 'value'>
>
type OutcomePrediction = (Outcome & { readonly kind: 'prediction' })['event']
type OutcomeLabel = (Outcome & { readonly kind: 'label' })['event']

type Reading<Value> = Pick<BoundContract<Value>, 'readValue' | 'isKnown' | 'learn'>

/** Decisions that are handed over at once. */
const batchSize = 1_024

const fetchBytes = 1 << 20

/**
 * The prediction and label events of one model, merged over partitions by the
 * event time at the head of each: a batch of each is in memory, whatever the
 * length of the log.
 */
export class DecisionReader<
  Prediction extends EssentialPrediction = PredictionEvent,
  Label extends EssentialLabel = LabelEvent,
> {
  readonly #log: Log
  readonly #model: string
  readonly #topics: { readonly prediction: string; readonly label: string }
  readonly #prediction: Reading<Prediction>
  readonly #label: Reading<Label>

  private constructor(
    log: Log,
    model: string,
    topics: { readonly prediction: string; readonly label: string },
    read: { readonly prediction: Reading<Prediction>; readonly label: Reading<Label> },
  ) {
    this.#log = log
    this.#model = model
    this.#topics = topics
    this.#prediction = read.prediction
    this.#label = read.label
  }

  static async open(app: string, model: string, log: Log, registry: SchemaRegistry): Promise<DecisionReader> {
    const { prediction, label } = engineContracts(app)
    const topics = { prediction: prediction.topic, label: label.topic }
    return new DecisionReader(log, model, topics, {
      prediction: await bindContract(prediction, registry),
      label: await bindContract(label, registry),
    })
  }

  /** Reads features, outputs and labels alone, at a fraction of the cost. */
  static openOutcomes(
    app: string,
    model: string,
    log: Log,
    registry: SchemaRegistry,
  ): DecisionReader<OutcomePrediction, OutcomeLabel> {
    const { prediction, label } = engineContracts(app)
    const topics = { prediction: prediction.topic, label: label.topic }
    return new DecisionReader(log, model, topics, {
      prediction: bindProjection(prediction, ['requestId', 'model', 'output', 'features'], registry),
      label: bindProjection(label, ['requestId', 'model', 'value'], registry),
    })
  }

  /** Events in the range, predictions from so much earlier: their labels may be in it. */
  async *read(range: TimeRange, earlierMs: number): AsyncGenerator<Decision<Prediction, Label>> {
    for await (const batch of this.readBatches(range, earlierMs)) yield* batch
  }

  /** The same, many at a time: a turn of the event loop an event would cost more than to read it. */
  async *readBatches(
    { fromMs, toMs }: TimeRange,
    earlierMs: number,
  ): AsyncGenerator<readonly Decision<Prediction, Label>[]> {
    const cursors: DecisionCursor<Prediction, Label>[] = []
    for (const [topic, reading, kind, since] of [
      [this.#topics.prediction, this.#prediction, 'prediction', fromMs - earlierMs],
      [this.#topics.label, this.#label, 'label', fromMs],
    ] as const) {
      for (const partition of await this.#partitions(topic)) {
        const offset = await this.#log.offsetForTime(topic, partition, Math.max(0, since))
        const source = { log: this.#log, model: this.#model, reading, kind, topic, partition }
        cursors.push(
          new DecisionCursor<Prediction, Label>(source as CursorSource<Prediction | Label>, offset),
        )
      }
    }
    for (const cursor of cursors) await cursor.advance()
    let batch: Decision<Prediction, Label>[] = []
    for (;;) {
      let first: DecisionCursor<Prediction, Label> | undefined
      // Predictions come first in the list, and so at equal times.
      for (const cursor of cursors) {
        if (cursor.head !== undefined && !(first?.head && first.head.atMs <= cursor.head.atMs)) first = cursor
      }
      if (first?.head === undefined) break
      if (first.head.atMs < toMs) batch.push(first.head)
      if (batch.length >= batchSize) {
        yield batch
        batch = []
      }
      if (!first.advanceBuffered()) await first.advance()
    }
    if (batch.length > 0) yield batch
  }

  /** From the earliest prediction at the head of a partition to just behind the latest at an end; undefined if there is none. */
  async extent(): Promise<TimeRange | undefined> {
    const topic = this.#topics.prediction
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

  /** Whether any label is on the log, of this model or another. */
  async hasLabels(): Promise<boolean> {
    const topic = this.#topics.label
    for (const partition of await this.#partitions(topic)) {
      const { start, end } = await this.#log.offsets(topic, partition)
      if (start < end) return true
    }
    return false
  }

  async #partitions(name: string): Promise<number[]> {
    const topics = await this.#log.topics()
    const found = topics.find((topic) => topic.name === name)
    return Array.from({ length: found?.partitions ?? 0 }, (_, partition) => partition)
  }
}

interface CursorSource<Value> {
  readonly log: Log
  readonly model: string
  readonly reading: Reading<Value>
  readonly kind: Decision['kind']
  readonly topic: string
  readonly partition: number
}

class DecisionCursor<Prediction extends EssentialPrediction, Label extends EssentialLabel> {
  /** Undefined at the end. */
  head: Decision<Prediction, Label> | undefined
  readonly #source: CursorSource<Prediction | Label>
  #offset: bigint
  #end: bigint | undefined
  #batch: RecordBatch | undefined
  #index = 0

  constructor(source: CursorSource<Prediction | Label>, offset: bigint) {
    this.#source = source
    this.#offset = offset
  }

  /** Goes to the next event of the model as far as that is read already; false where it is not. */
  advanceBuffered(): boolean {
    const { reading, kind, model } = this.#source
    const batch = this.#batch
    if (batch === undefined) return false
    const { bytes, valueStart, valueEnd, timestampsMs, count } = batch
    for (; this.#index < count; this.#index++) {
      const index = this.#index
      const start = valueStart[index]!
      if (start < 0) continue
      const end = valueEnd[index]!
      if (!reading.isKnown(bytes, start, end)) return false
      const event = reading.readValue(bytes, start, end)
      if (event.model !== model) continue
      this.head = { kind, atMs: timestampsMs[index]!, event } as Decision<Prediction, Label>
      this.#index++
      return true
    }
    return false
  }

  /** Goes to the next event of the model, up to the end as it was at first. */
  async advance(): Promise<void> {
    const { log, reading, topic, partition } = this.#source
    this.#end ??= (await log.offsets(topic, partition)).end
    while (!this.advanceBuffered()) {
      const batch = this.#batch
      if (batch !== undefined && this.#index < batch.count) {
        const start = batch.valueStart[this.#index]!
        const id = schemaIdOf(batch.bytes, start, batch.valueEnd[this.#index]!)
        // What cannot be learnt is read all the same: that says what is wrong with it.
        if (!(await reading.learn(id))) reading.readValue(batch.bytes, start, batch.valueEnd[this.#index]!)
        continue
      }
      this.head = undefined
      if (this.#offset >= this.#end) return
      this.#batch = await log.read({ topic, partition, offset: this.#offset, maxBytes: fetchBytes })
      if (this.#batch.nextOffset === this.#offset) return
      this.#offset = this.#batch.nextOffset
      this.#index = 0
    }
  }
}
