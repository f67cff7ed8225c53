import type { ReadRequest } from '../log.ts'
import type { RecordBatch, RecordHeader } from '../record-batch.ts'
import { appendedHeader } from './batch-format.ts'
import type { VisibleBatch } from './fetched-batches.ts'

/** Where the reading of a batch stopped: offsets before this one have been given out. */
export interface BatchPlace {
  readonly batch: VisibleBatch
  readonly at: number
  readonly record: number
  readonly offset: number
}

const smallestRecordBytes = 7
const appendedNameBytes = Buffer.from(appendedHeader)

/** The columns over one buffer of fetched batches. */
export class KafkaBatch implements RecordBatch {
  readonly topic: string
  readonly partition: number
  count = 0
  baseOffset: bigint
  offsetDeltas: Int32Array
  nextOffset: bigint
  readonly bytes: Buffer
  timestampsMs: Float64Array
  appendedAtMs: Float64Array
  keyStart: Int32Array
  keyEnd: Int32Array
  valueStart: Int32Array
  valueEnd: Int32Array
  /** Where the last batch stopped before its end, the reader's limits being reached. */
  place: BatchPlace | undefined
  /** Of each record where its headers begin, 0 for none; absent while no record has any. */
  #headerStart: Int32Array | undefined
  readonly #capacity: number
  readonly #maxBytes: number
  #sizeBytes = 0
  #first = -1

  /** `count` records are the most that can come. */
  constructor(request: ReadRequest, bytes: Buffer, count: number) {
    const { topic, partition, offset, maxBytes, maxRecords = Number.POSITIVE_INFINITY } = request
    const capacity = Math.min(count, maxRecords, Math.ceil(maxBytes / smallestRecordBytes) + 1)
    this.topic = topic
    this.partition = partition
    this.baseOffset = offset
    this.nextOffset = offset
    this.bytes = bytes
    this.#capacity = capacity
    this.#maxBytes = maxBytes
    this.offsetDeltas = new Int32Array(capacity)
    this.timestampsMs = new Float64Array(capacity)
    this.appendedAtMs = new Float64Array(capacity)
    this.keyStart = new Int32Array(capacity)
    this.keyEnd = new Int32Array(capacity)
    this.valueStart = new Int32Array(capacity)
    this.valueEnd = new Int32Array(capacity)
  }

  /** Adds the records of `batch` from offset `from` on; false when the limits are reached before its end. */
  add(batch: VisibleBatch, from: number, place?: BatchPlace): boolean {
    const resumed = place !== undefined && place.batch === batch && place.offset <= from ? place : undefined
    const { bytes } = this
    const { baseOffset, baseTimestampMs, count: total } = batch
    cursor.at = resumed?.at ?? batch.at
    for (let record = resumed?.record ?? 0; record < total; record++) {
      const start = cursor.at
      const length = readNumber(bytes)
      const end = cursor.at + length
      cursor.at++
      const timestampMs = baseTimestampMs + readNumber(bytes)
      const offset = baseOffset + readNumber(bytes)
      if (offset >= from) {
        const delta = this.#first < 0 ? 0 : offset - this.#first
        const isFull =
          this.count === this.#capacity || (this.count > 0 && this.#sizeBytes + end - start > this.#maxBytes)
        if (isFull || delta > 0x7fffffff) {
          this.place = { batch, at: start, record, offset }
          this.nextOffset = BigInt(offset)
          return false
        }
        if (this.#first < 0) this.#first = offset
        this.#sizeBytes += end - start
        this.offsetDeltas[this.count] = delta
        this.#addRecord(batch.hasBrokerTime ? batch.maxTimestampMs : timestampMs)
      }
      cursor.at = end
    }
    this.nextOffset = BigInt(batch.nextOffset)
    return true
  }

  /** Closes the columns; `next` is where to read on when all batches were added to their end. */
  finish(next?: number): this {
    const { count } = this
    if (next !== undefined) this.nextOffset = BigInt(next)
    if (this.#first >= 0) this.baseOffset = BigInt(this.#first)
    if (count < this.#capacity) {
      this.offsetDeltas = this.offsetDeltas.subarray(0, count)
      this.timestampsMs = this.timestampsMs.subarray(0, count)
      this.appendedAtMs = this.appendedAtMs.subarray(0, count)
      this.keyStart = this.keyStart.subarray(0, count)
      this.keyEnd = this.keyEnd.subarray(0, count)
      this.valueStart = this.valueStart.subarray(0, count)
      this.valueEnd = this.valueEnd.subarray(0, count)
    }
    return this
  }

  headers(index: number): readonly RecordHeader[] {
    if (!(index >= 0 && index < this.count)) {
      throw new RangeError(`record ${index} is not in a batch of ${this.count}`)
    }
    const start = this.#headerStart?.[index] ?? 0
    if (start === 0) return []
    cursor.at = start
    const headers: RecordHeader[] = []
    for (let left = readNumber(this.bytes); left > 0; left--) {
      const name = readPart(this.bytes)
      const value = readPart(this.bytes)
      if (!appendedNameBytes.equals(name)) headers.push({ name: name.toString('utf8'), value })
    }
    return headers
  }

  /** The key, the value and the headers of the record that `cursor` stands in. */
  #addRecord(timestampMs: number): void {
    const { bytes, count } = this
    const keyBytes = readNumber(bytes)
    this.keyStart[count] = keyBytes < 0 ? -1 : cursor.at
    cursor.at += Math.max(keyBytes, 0)
    this.keyEnd[count] = keyBytes < 0 ? -1 : cursor.at
    const valueBytes = readNumber(bytes)
    this.valueStart[count] = valueBytes < 0 ? -1 : cursor.at
    cursor.at += Math.max(valueBytes, 0)
    this.valueEnd[count] = valueBytes < 0 ? -1 : cursor.at
    this.timestampsMs[count] = timestampMs
    this.appendedAtMs[count] = timestampMs
    this.count++
    if (bytes[cursor.at] === 0) return
    this.#headerStart ??= new Int32Array(this.#capacity)
    this.#headerStart[count] = cursor.at
    for (let left = readNumber(bytes); left > 0; left--) {
      const isAppended = appendedNameBytes.equals(readPart(bytes))
      const value = readPart(bytes)
      if (isAppended && value.length === 8) this.appendedAtMs[count] = value.readDoubleLE()
    }
  }
}

/** Where the records are read: shared, since decoding never waits. */
const cursor = { at: 0 }

/** A zig-zag varint; exact up to 2^53 on both sides. */
function readNumber(bytes: Buffer): number {
  const first = bytes[cursor.at++]!
  if (first <= 0x7f) return (first >>> 1) ^ -(first & 1)
  let half = (first & 0x7f) >>> 1
  for (let scale = 64; ; scale *= 128) {
    const byte = bytes[cursor.at++]!
    half += (byte & 0x7f) * scale
    if (byte <= 0x7f) break
  }
  return first & 1 ? -half - 1 : half
}

/** Bytes with their length before them; a null reads as empty. */
function readPart(bytes: Buffer): Buffer {
  const size = Math.max(readNumber(bytes), 0)
  cursor.at += size
  return bytes.subarray(cursor.at - size, cursor.at)
}
