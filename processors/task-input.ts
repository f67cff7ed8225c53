import { type BoundContract, schemaIdOf } from '../state/contracts/codec.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { RecordBatch, RecordHeader } from '../state/log/record-batch.ts'
import type { StreamRecord } from './operator.ts'
import type { PartitionFeed } from './partition-feed.ts'
import { readBatch } from './task-input-read.ts'

/** A decoded record. Key and headers are decoded when somebody asks. */
export class TaskRecord implements StreamRecord<unknown, object> {
  readonly input: TaskInput
  readonly offset: number
  readonly timestampMs: TimestampMs
  readonly value: object
  readonly #batch: RecordBatch
  readonly #index: number

  constructor(
    input: TaskInput,
    offset: number,
    timestampMs: TimestampMs,
    value: object,
    batch: RecordBatch,
    index: number,
  ) {
    this.input = input
    this.offset = offset
    this.timestampMs = timestampMs
    this.value = value
    this.#batch = batch
    this.#index = index
  }

  get topic(): string {
    return this.input.topic
  }

  get partition(): number {
    return this.input.partition
  }

  get key(): unknown {
    return this.input.contract.contract.keyOf(this.value)
  }

  get headers(): readonly RecordHeader[] {
    return this.#batch.headers(this.#index)
  }

  /** The same record with its bytes, for the dead letters. */
  refused(reason: string, detail: string): RefusedRecord {
    return refusal(this.input, this.#batch, this.#index, this.offset, reason, detail)
  }
}

/** A record that was refused, with everything that a dead letter tells. */
export interface RefusedRecord {
  readonly input: TaskInput
  readonly offset: number
  readonly timestampMs: TimestampMs
  readonly reason: string
  readonly detail: string
  readonly schemaId: number | null
  readonly keyBytes: Uint8Array | null
  readonly valueBytes: Uint8Array | null
}

export interface TaskInputSpec {
  /** Place among the task's inputs, and in its positions. */
  readonly index: number
  readonly topic: string
  readonly partition: number
  /** Order among inputs at equal event times: smaller first. */
  readonly rank: number
  readonly contract: BoundContract<object>
  /** How far past the moment of its append an event's time may lie. */
  readonly maxAheadMs: DurationMs
  /** Where the partition is several inputs: who reads it for all of them. */
  readonly feed?: PartitionFeed
  /** The task whose records of such a partition this input has; absent: those of nobody else's. */
  readonly writer?: string
}

const takenAtMost = 4_096

/**
 * One topic partition of a task, or what one writer put there: fetches, decodes and checks records ahead of
 * the merge. `head` is the next one; it may be a refused record, which keeps
 * its place in the order.
 */
export class TaskInput {
  readonly index: number
  readonly topic: string
  readonly partition: number
  readonly rank: number
  readonly contract: BoundContract<object>
  readonly writer: string | undefined
  readonly feed: PartitionFeed | undefined
  readonly #maxAheadMs: DurationMs
  readonly #log: Log
  #records: (TaskRecord | RefusedRecord)[] = []
  #next = 0
  /** Where the next fetch starts. */
  #fetchOffset = 0
  /** Next offset once all fetched records are consumed: past gaps of compaction too. */
  #position = 0

  constructor(spec: TaskInputSpec, log: Log) {
    this.index = spec.index
    this.topic = spec.topic
    this.partition = spec.partition
    this.rank = spec.rank
    this.contract = spec.contract
    this.writer = spec.writer
    this.feed = spec.feed
    this.#maxAheadMs = spec.maxAheadMs
    this.#log = log
  }

  /** As layouts and positions call it: `topic[partition]`, and with `@task` what that task wrote there. */
  get name(): string {
    const { topic, partition, writer } = this
    return writer === undefined ? `${topic}[${partition}]` : `${topic}[${partition}]@${writer}`
  }

  /** Everything below this offset was fetched. */
  get scannedTo(): number {
    return this.#fetchOffset
  }

  /** Next offset to be processed. */
  get position(): number {
    return this.#position
  }

  get head(): TaskRecord | RefusedRecord | undefined {
    return this.#records[this.#next]
  }

  /** Records that are fetched and not taken. */
  get buffered(): number {
    return this.#records.length - this.#next
  }

  seek(offset: number): void {
    this.#records = []
    this.#next = 0
    this.#fetchOffset = offset
    this.#position = offset
    this.feed?.rewind()
  }

  /** Takes a record that the feed has read; what was fetched before, in another reading, is left out. */
  deal(batch: RecordBatch, index: number): void {
    const offset = Number(batch.baseOffset) + batch.offsetDeltas[index]!
    if (offset < this.#fetchOffset) return
    if (this.#next === this.#records.length) {
      this.#records = []
      this.#next = 0
    }
    this.#records.push(this.#decode(batch, index))
  }

  /** The feed has read everything below this offset. */
  scanned(offset: number): void {
    this.#fetchOffset = Math.max(this.#fetchOffset, offset)
    this.#position = this.head?.offset ?? this.#fetchOffset
  }

  /** Takes the head; call only when there is one. */
  take(): TaskRecord | RefusedRecord {
    const record = this.#records[this.#next++]!
    // A feed adds to what is not taken yet, so there need not be an end to it.
    if (this.#next >= takenAtMost && this.feed !== undefined) {
      this.#records = this.#records.slice(this.#next)
      this.#next = 0
    }
    this.#position = this.#next < this.#records.length ? this.head!.offset : this.#fetchOffset
    return record
  }

  /** Fetches more if nothing is buffered. Resolves to whether there is a head now. */
  async fill(maxRecords: number): Promise<boolean> {
    if (this.feed !== undefined) {
      await this.feed.fill(maxRecords)
      return this.#next < this.#records.length
    }
    if (this.#next < this.#records.length) return true
    const { batch } = await readBatch(this.#log, this.topic, this.partition, this.#fetchOffset, maxRecords)
    await this.learnSchemas(batch)
    const records: (TaskRecord | RefusedRecord)[] = new Array(batch.count)
    for (let index = 0; index < batch.count; index++) records[index] = this.#decode(batch, index)
    this.#records = records
    this.#next = 0
    this.#fetchOffset = Number(batch.nextOffset)
    // A gap before the first record is passed by now: a batch of the log may end in it.
    this.#position = records[0]?.offset ?? this.#fetchOffset
    return batch.count > 0
  }

  /** The same, to find what there is below an offset: other writers' records do not count. */
  async fillTo(end: number, maxRecords: number): Promise<void> {
    const { feed } = this
    if (feed === undefined) await this.fill(maxRecords)
    else while (this.buffered === 0 && this.scannedTo < end && (await feed.readOn(maxRecords)));
  }

  /** One record, wherever it lies; what is buffered stays. Undefined where there is none. */
  async readAt(offset: number): Promise<TaskRecord | RefusedRecord | undefined> {
    const { topic, partition } = this
    const at = { topic, partition, offset: BigInt(offset) }
    const batch = await this.#log.read({ ...at, maxBytes: 1, maxRecords: 1 })
    if (batch.count === 0) return undefined
    await this.learnSchemas(batch)
    const record = this.#decode(batch, 0)
    return record.offset === offset ? record : undefined
  }

  /** Makes sure that the writer schema of every record is known before the synchronous part. */
  async learnSchemas(batch: RecordBatch): Promise<void> {
    const { bytes, valueStart, valueEnd } = batch
    const failed = new Set<number>()
    for (let index = 0; index < batch.count; index++) {
      const start = valueStart[index]!
      if (start < 0 || this.contract.isKnown(bytes, start, valueEnd[index]!)) continue
      if (valueEnd[index]! - start < 5) continue
      const id = bytes.readUInt32BE(start + 1)
      if (failed.has(id)) continue
      if (!(await this.contract.learn(id))) failed.add(id)
    }
  }

  #decode(batch: RecordBatch, index: number): TaskRecord | RefusedRecord {
    const offset = Number(batch.baseOffset) + batch.offsetDeltas[index]!
    const start = batch.valueStart[index]!
    if (start < 0) return this.#refuse(batch, index, offset, 'tombstone', 'an event stream has no tombstones')
    let value: object
    try {
      value = this.contract.readValue(batch.bytes, start, batch.valueEnd[index]!)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      return this.#refuse(batch, index, offset, error.code, error.message)
    }
    const { contract } = this.contract
    const atMs = contract.timeOf(value)
    const latestMs = batch.appendedAtMs[index]! + this.#maxAheadMs
    if (!(atMs >= 0)) {
      return this.#refuse(batch, index, offset, 'time-before-epoch', `event time ${atMs} is before 1970`)
    }
    if (atMs > latestMs) {
      return this.#refuse(
        batch,
        index,
        offset,
        'time-in-the-future',
        `event time ${atMs} is more than ${this.#maxAheadMs} ms after its append; is it in microseconds?`,
      )
    }
    if (contract.keyFields.length > 0 && contract.keyOf(value) === null) {
      return this.#refuse(batch, index, offset, 'null-key', `key ${contract.keyFields.join(', ')} is null`)
    }
    return new TaskRecord(this, offset, atMs, value, batch, index)
  }

  #refuse(batch: RecordBatch, index: number, offset: number, reason: string, detail: string): RefusedRecord {
    return refusal(this, batch, index, offset, reason, detail)
  }
}

function refusal(
  input: TaskInput,
  batch: RecordBatch,
  index: number,
  offset: number,
  reason: string,
  detail: string,
): RefusedRecord {
  const slice = (start: number, end: number) =>
    start < 0 ? null : Uint8Array.prototype.slice.call(batch.bytes, start, end)
  const valueBytes = slice(batch.valueStart[index]!, batch.valueEnd[index]!)
  const schemaId = valueBytes === null ? -1 : schemaIdOf(Buffer.from(valueBytes), 0, valueBytes.length)
  return {
    input,
    offset,
    timestampMs: batch.timestampsMs[index]!,
    reason,
    detail,
    schemaId: schemaId < 0 ? null : schemaId,
    keyBytes: slice(batch.keyStart[index]!, batch.keyEnd[index]!),
    valueBytes,
  }
}
