import type { ReadRequest } from './log.ts'
import type { RecordBatch, RecordHeader } from './record-batch.ts'
import { sectionHeaderBytes, sectionKinds } from './section.ts'

/** Where the reading of a section stopped, so that the next read need not run over its first records again. */
export interface ResumePoint {
  readonly segment: number
  readonly position: number
  /** Offset before which everything was read. */
  readonly offset: number
  readonly record: number
  readonly fieldsRead: number
  readonly bytesRead: number
  readonly timestampMs: number
}

const noDeltas = new Int32Array(0)
let sharedDeltas = noDeltas

/** 0, 1, 2, …: one table for all batches without gaps. */
function denseDeltas(count: number): Int32Array {
  if (sharedDeltas.length < count) {
    sharedDeltas = Int32Array.from({ length: Math.max(1024, count * 2) }, (_, index) => index)
  }
  return sharedDeltas.subarray(0, count)
}

/** The columns, filled from sections one after the other, and the batch at the end. */
export class ColumnBatch implements RecordBatch {
  readonly topic: string
  readonly partition: number
  count = 0
  baseOffset: bigint
  offsetDeltas: Int32Array = noDeltas
  nextOffset: bigint
  readonly bytes: Buffer
  timestampsMs: Float64Array
  appendedAtMs: Float64Array
  keyStart: Int32Array
  keyEnd: Int32Array
  valueStart: Int32Array
  valueEnd: Int32Array
  /** Where the section that was read last stopped before its end. */
  resume: ResumePoint | undefined
  /** Place of each record's headers in `bytes`, 0 for none; absent while no record has any. */
  #headerStart: Int32Array | undefined
  readonly #capacity: number
  readonly #maxBytes: number
  #sizeBytes = 0
  #first = -1
  #next: number

  constructor(request: ReadRequest, bytes: Buffer, capacity: number) {
    this.topic = request.topic
    this.partition = request.partition
    this.baseOffset = request.offset
    this.nextOffset = request.offset
    this.#next = Number(request.offset)
    this.bytes = bytes
    this.#capacity = capacity
    this.#maxBytes = request.maxBytes
    this.timestampsMs = new Float64Array(capacity)
    this.appendedAtMs = new Float64Array(capacity)
    this.keyStart = new Int32Array(capacity)
    this.keyEnd = new Int32Array(capacity)
    this.valueStart = new Int32Array(capacity)
    this.valueEnd = new Int32Array(capacity)
  }

  /** Whether another section may still add to the batch. */
  get isOpen(): boolean {
    return this.count < this.#capacity && this.#sizeBytes < this.#maxBytes && this.resume === undefined
  }

  /**
   * Adds the records of the section at `at` from offset `from` on. Stops
   * before its end when the batch is full and leaves `resume` then; `segment`
   * and `position` are the section's name in it.
   */
  addSection(at: number, from: number, segment: number, position: number, resume?: ResumePoint): void {
    const { bytes } = this
    const kind = bytes.readUInt16LE(at + 8)
    const baseOffset = bytes.readDoubleLE(at + 32)
    const dataAt = at + sectionHeaderBytes + bytes.readUInt32LE(at + 28)
    const here =
      resume !== undefined &&
      resume.segment === segment &&
      resume.position === position &&
      resume.offset <= from
        ? resume
        : undefined
    place.record = here?.record ?? 0
    place.fields = at + sectionHeaderBytes + (here?.fieldsRead ?? 0)
    place.data = dataAt + (here?.bytesRead ?? 0)
    place.timestampMs = here?.timestampMs ?? bytes.readDoubleLE(at + 40)
    place.offset = here?.offset ?? baseOffset
    const appendedAtMs = bytes.readDoubleLE(at + 56)
    const total = bytes.readUInt32LE(at + 20)
    const done =
      kind === sectionKinds.recordsWithGaps
        ? this.#decode(total, from, appendedAtMs, true)
        : this.#decode(total, from, appendedAtMs, false)
    if (done) {
      this.#next = Math.max(from, baseOffset + bytes.readUInt32LE(at + 24))
      return
    }
    this.#next = place.offset
    this.resume = {
      segment,
      position,
      offset: place.offset,
      record: place.record,
      fieldsRead: place.fields - at - sectionHeaderBytes,
      bytesRead: place.data - dataAt,
      timestampMs: place.timestampMs,
    }
  }

  /** Closes the columns. `next` is where the following section begins, which may be past a gap. */
  finish(next?: number): this {
    const { count } = this
    if (next !== undefined && this.resume === undefined) this.#next = Math.max(this.#next, next)
    this.nextOffset = BigInt(this.#next)
    if (this.#first >= 0) this.baseOffset = BigInt(this.#first)
    if (this.offsetDeltas === noDeltas) this.offsetDeltas = denseDeltas(count)
    else this.offsetDeltas = this.offsetDeltas.subarray(0, count)
    if (count < this.#capacity) this.#trim(count)
    return this
  }

  headers(index: number): readonly RecordHeader[] {
    if (!(index >= 0 && index < this.count)) {
      throw new RangeError(`record ${index} is not in a batch of ${this.count}`)
    }
    const start = this.#headerStart?.[index] ?? 0
    return start === 0 ? [] : readHeaders(this.bytes, start)
  }

  /** Returns whether the section was read to its end. */
  #decode(total: number, from: number, appendedAtMs: number, hasGaps: boolean): boolean {
    const { bytes, timestampsMs, keyStart, keyEnd, valueStart, valueEnd } = this
    const maxBytes = this.#maxBytes
    const firstCount = this.count
    let { record, fields, data, timestampMs, offset } = place
    let { count } = this
    let sizeBytes = this.#sizeBytes
    let last = offset - 1
    const start = Math.max(from, offset)
    const hasDeltas =
      hasGaps || this.offsetDeltas !== noDeltas || (this.#first >= 0 && start - this.#first !== count)
    let done = true
    for (; record < total; record++) {
      // The state before this record, to come back to if it does not fit.
      const fieldsBefore = fields
      const timestampBefore = timestampMs
      if (hasGaps) {
        let gap = bytes[fields++]!
        if (gap > 0x7f) {
          gap = readCount(bytes, fields - 1)
          fields = countEnd
        }
        offset = last + gap
      }
      const delta = bytes[fields++]!
      if (delta <= 0x7f) timestampMs += (delta >>> 1) ^ -(delta & 1)
      else {
        timestampMs += readDelta(bytes, fields - 1)
        fields = countEnd
      }
      let keyField = bytes[fields++]!
      if (keyField > 0x7f) {
        keyField = readCount(bytes, fields - 1)
        fields = countEnd
      }
      let valueField = bytes[fields++]!
      if (valueField > 0x7f) {
        valueField = readCount(bytes, fields - 1)
        fields = countEnd
      }
      const keyBytes = (keyField >>> 1) - 1
      const valueAt = keyBytes > 0 ? data + keyBytes : data
      const valueStop = valueField > 0 ? valueAt + valueField - 1 : valueAt
      let dataEnd = valueStop
      if ((keyField & 1) !== 0) {
        dataEnd += readCount(bytes, fields)
        fields = countEnd
      }
      if (offset >= from) {
        const recordBytes = dataEnd - data + fields - fieldsBefore
        if (
          count === this.#capacity ||
          (count > 0 && sizeBytes + recordBytes > maxBytes) ||
          (hasDeltas && !this.#setDelta(count, offset))
        ) {
          fields = fieldsBefore
          timestampMs = timestampBefore
          done = false
          break
        }
        if (this.#first < 0) this.#first = offset
        sizeBytes += recordBytes
        timestampsMs[count] = timestampMs
        keyStart[count] = keyBytes >= 0 ? data : -1
        keyEnd[count] = keyBytes >= 0 ? valueAt : -1
        valueStart[count] = valueField > 0 ? valueAt : -1
        valueEnd[count] = valueField > 0 ? valueStop : -1
        if (dataEnd > valueStop) this.#setHeaders(count, valueStop)
        count++
      }
      data = dataEnd
      last = offset
      offset++
    }
    this.appendedAtMs.fill(appendedAtMs, firstCount, count)
    this.count = count
    this.#sizeBytes = sizeBytes
    place.record = record
    place.fields = fields
    place.data = data
    place.timestampMs = timestampMs
    place.offset = hasGaps ? last + 1 : offset
    return done
  }

  /** False when the offset is too far from the first one for the column. */
  #setDelta(index: number, offset: number): boolean {
    const delta = this.#first < 0 ? 0 : offset - this.#first
    if (delta > 0x7fffffff) return false
    if (this.offsetDeltas === noDeltas) {
      if (delta === index) return true
      this.offsetDeltas = new Int32Array(this.#capacity)
      for (let before = 0; before < index; before++) this.offsetDeltas[before] = before
    }
    this.offsetDeltas[index] = delta
    return true
  }

  #setHeaders(index: number, start: number): void {
    this.#headerStart ??= new Int32Array(this.#capacity)
    this.#headerStart[index] = start
  }

  #trim(count: number): void {
    this.timestampsMs = this.timestampsMs.subarray(0, count)
    this.appendedAtMs = this.appendedAtMs.subarray(0, count)
    this.keyStart = this.keyStart.subarray(0, count)
    this.keyEnd = this.keyEnd.subarray(0, count)
    this.valueStart = this.valueStart.subarray(0, count)
    this.valueEnd = this.valueEnd.subarray(0, count)
  }
}

/** Where in a section the decoder stands: shared, since decoding never waits. */
const place = { record: 0, fields: 0, data: 0, timestampMs: 0, offset: 0 }

/** Where the number that was read last ended. */
let countEnd = 0

function readCount(bytes: Buffer, start: number): number {
  let at = start
  let value = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    if (byte <= 0x7f) break
  }
  countEnd = at
  return value >>> 0
}

/** A zig-zag varint beyond one byte; exact over the whole range of safe integers. */
function readDelta(bytes: Buffer, start: number): number {
  let at = start
  const first = bytes[at++]!
  let half = (first & 0x7f) >>> 1
  for (let scale = 64; ; scale *= 128) {
    const byte = bytes[at++]!
    half += (byte & 0x7f) * scale
    if (byte <= 0x7f) break
  }
  countEnd = at
  return first & 1 ? -half - 1 : half
}

function readHeaders(bytes: Buffer, start: number): readonly RecordHeader[] {
  const count = zigzagCount(bytes, start)
  const headers: RecordHeader[] = []
  for (let index = 0; index < count; index++) {
    const nameBytes = zigzagCount(bytes, countEnd)
    const nameStart = countEnd
    const name = bytes.toString('utf8', nameStart, nameStart + nameBytes)
    const valueBytes = zigzagCount(bytes, nameStart + nameBytes)
    const valueStart = countEnd
    headers.push({ name, value: bytes.subarray(valueStart, valueStart + valueBytes) })
    countEnd = valueStart + valueBytes
  }
  return headers
}

const zigzagCount = (bytes: Buffer, start: number): number => readCount(bytes, start) >>> 1

/** The batch of a read that finds nothing: at the end, or past a gap that reaches to `next`. */
export function emptyBatch(request: ReadRequest, next: number): RecordBatch {
  return new ColumnBatch(request, Buffer.alloc(0), 0).finish(next)
}
