import { ByteWriter } from '../../contracts/byte-writer.ts'
import { crc32c } from '../crc32c.ts'
import type { OpenSection } from '../section-sink.ts'
import { appendedHeader, batchAt, batchAttributes, batchHeaderBytes } from './batch-format.ts'
import { writeInt64 } from './wire.ts'

/** Who writes: the broker refuses batches of a producer that was fenced, and repeated ones. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly epoch: number
}

/** One record batch, ready to be sent but for its producer and sequence. */
export class EncodedBatch {
  readonly bytes: Buffer
  readonly count: number
  /** Where the broker put its first record; -1 until then. */
  firstOffset = -1

  constructor(bytes: Buffer, count: number) {
    this.bytes = bytes
    this.count = count
  }
}

const appendedNameBytes = Buffer.from(appendedHeader)
/** Name, value and their lengths of the header that tells the append time. */
const appendedHeaderBytes = 1 + appendedNameBytes.length + 1 + 8

/** Where the section is read: shared, since encoding never waits. */
const cursor = { fields: 0 }

/**
 * The records of a section as batches of at most about `maxBytes` each; a
 * longer record has one for itself.
 */
export function encodeSection(section: OpenSection, maxBytes: number, nowMs: number): EncodedBatch[] {
  const batches: EncodedBatch[] = []
  const fields = section.fields.bytes
  const data = section.data.bytes
  const out = new ByteWriter(Math.min(maxBytes, section.byteLength + 12 * section.count) + batchHeaderBytes)
  let open = new OpenBatch(out, section.firstTimestampMs)
  let timestampMs = section.firstTimestampMs
  let dataAt = 0
  cursor.fields = 0
  for (let index = 0; index < section.count; index++) {
    timestampMs += readZigZag(fields)
    const keyField = readCount(fields)
    const keyBytes = (keyField >>> 1) - 1
    const valueBytes = readCount(fields) - 1
    const headerBytes = (keyField & 1) === 1 ? readCount(fields) : 0
    const bodyBytes = Math.max(keyBytes, 0) + Math.max(valueBytes, 0) + headerBytes
    if (open.count > 0 && out.length + bodyBytes + 64 > maxBytes) {
      batches.push(open.finish())
      open = new OpenBatch(out, timestampMs)
    }
    open.add(timestampMs, data, dataAt, keyBytes, valueBytes, headerBytes, nowMs)
    dataAt += bodyBytes
  }
  batches.push(open.finish())
  return batches
}

/** Puts the producer and the sequence into the batch, and the checksum, which covers them. */
export function sealBatch({ bytes }: EncodedBatch, producer: ProducerIdentity, baseSequence: number): void {
  writeInt64(bytes, producer.producerId, batchAt.producerId)
  bytes.writeInt16BE(producer.epoch, batchAt.producerEpoch)
  bytes.writeInt32BE(baseSequence, batchAt.baseSequence)
  bytes.writeUInt32BE(crc32c(bytes, batchAt.attributes, bytes.length), batchAt.checksum)
}

class OpenBatch {
  count = 0
  readonly #out: ByteWriter
  readonly #baseTimestampMs: number
  #maxTimestampMs: number

  constructor(out: ByteWriter, baseTimestampMs: number) {
    this.#out = out
    this.#baseTimestampMs = baseTimestampMs
    this.#maxTimestampMs = baseTimestampMs
    out.reset()
    out.reserve(batchHeaderBytes)
    out.length = batchHeaderBytes
  }

  add(
    timestampMs: number,
    data: Buffer,
    dataAt: number,
    keyBytes: number,
    valueBytes: number,
    headerBytes: number,
    nowMs: number,
  ): void {
    const out = this.#out
    const timestampDelta = timestampMs - this.#baseTimestampMs
    const offsetDelta = this.count
    const isAhead = timestampMs > nowMs
    const valueAt = dataAt + Math.max(keyBytes, 0)
    const headersAt = valueAt + Math.max(valueBytes, 0)
    const headersEnd = headersAt + headerBytes
    const headerCount = headerBytes === 0 ? 0 : readCountAt(data, headersAt) >>> 1
    const headersBody = headerBytes === 0 ? headersEnd : headersAt + zigZagBytes(headerCount)
    const writtenCount = headerCount + (isAhead ? 1 : 0)
    const length =
      1 +
      zigZagBytes(timestampDelta) +
      zigZagBytes(offsetDelta) +
      zigZagBytes(keyBytes) +
      (headersAt - dataAt) +
      zigZagBytes(valueBytes) +
      zigZagBytes(writtenCount) +
      (headersEnd - headersBody) +
      (isAhead ? appendedHeaderBytes : 0)
    out.varint(length)
    out.byte(0)
    out.varint(timestampDelta)
    out.varint(offsetDelta)
    out.varint(keyBytes)
    if (keyBytes > 0) out.raw(data, dataAt, valueAt)
    out.varint(valueBytes)
    if (valueBytes > 0) out.raw(data, valueAt, headersAt)
    out.varint(writtenCount)
    if (headersEnd > headersBody) out.raw(data, headersBody, headersEnd)
    if (isAhead) this.#addAppended(nowMs)
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
    this.count++
  }

  finish(): EncodedBatch {
    const bytes = this.#out.take()
    writeInt64(bytes, 0, 0)
    bytes.writeInt32BE(bytes.length - batchAt.leaderEpoch, batchAt.length)
    bytes.writeInt32BE(-1, batchAt.leaderEpoch)
    bytes[batchAt.version] = 2
    bytes.writeInt16BE(batchAttributes.transactional, batchAt.attributes)
    bytes.writeInt32BE(this.count - 1, batchAt.lastOffsetDelta)
    writeInt64(bytes, this.#baseTimestampMs, batchAt.baseTimestamp)
    writeInt64(bytes, this.#maxTimestampMs, batchAt.maxTimestamp)
    bytes.writeInt32BE(this.count, batchAt.count)
    return new EncodedBatch(bytes, this.count)
  }

  #addAppended(nowMs: number): void {
    const out = this.#out
    out.varint(appendedNameBytes.length)
    out.raw(appendedNameBytes)
    out.varint(8)
    out.double(nowMs)
  }
}

function readCount(bytes: Buffer): number {
  let value = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[cursor.fields++]!
    value |= (byte & 0x7f) << shift
    if (byte <= 0x7f) return value >>> 0
  }
}

function readCountAt(bytes: Buffer, start: number): number {
  let value = 0
  let at = start
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    if (byte <= 0x7f) return value >>> 0
  }
}

/** Exact over the whole range that the difference of two event times has. */
function readZigZag(bytes: Buffer): number {
  const first = bytes[cursor.fields++]!
  let half = (first & 0x7f) >>> 1
  let more = first > 0x7f
  for (let scale = 64; more; scale *= 128) {
    const byte = bytes[cursor.fields++]!
    half += (byte & 0x7f) * scale
    more = byte > 0x7f
  }
  return first & 1 ? -half - 1 : half
}

function zigZagBytes(value: number): number {
  let rest = value < 0 ? -value - 1 : value
  let size = 1
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) size++
  return size
}
