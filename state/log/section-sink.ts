import { ByteWriter } from '../contracts/byte-writer.ts'
import { EngineError } from '../contracts/engine-error.ts'
import type { RecordHeader } from './record-batch.ts'
import type { RecordSink } from './record-sink.ts'
import {
  sectionHeaderBytes,
  sectionKinds,
  timestampLimitMs,
  writeRecordFields,
  writeSectionHeader,
} from './section.ts'
import type { TopicCatalog, TopicPartition } from './topic-catalog.ts'

const keptBytes = 8 << 20

/** The records of one topic partition that wait for the commit. Its memory is used again and again. */
export class OpenSection {
  readonly held: TopicPartition
  fields: ByteWriter = new ByteWriter(64)
  data: ByteWriter = new ByteWriter(256)
  count = 0
  firstTimestampMs = 0
  lastTimestampMs = 0
  maxTimestampMs = 0

  constructor(held: TopicPartition) {
    this.held = held
  }

  get byteLength(): number {
    return sectionHeaderBytes + this.fields.length + this.data.length
  }

  /** Copies the section to `at`, where its `byteLength` bytes must fit; the checksum is left to the caller. */
  writeTo(target: Buffer, at: number, appendedAtMs: number): void {
    const { held, fields, data, count } = this
    const dataAt = at + sectionHeaderBytes + fields.length
    fields.bytes.copy(target, at + sectionHeaderBytes, 0, fields.length)
    data.bytes.copy(target, dataAt, 0, data.length)
    writeSectionHeader(target, at, {
      kind: sectionKinds.records,
      byteLength: this.byteLength,
      topicId: held.topic.id,
      partition: held.partition,
      count,
      span: count,
      fieldBytes: fields.length,
      baseOffset: held.end,
      firstTimestampMs: this.firstTimestampMs,
      maxTimestampMs: this.maxTimestampMs,
      appendedAtMs,
    })
  }

  /** Makes the section, which lies at `position` of `segment` now, part of its topic partition. */
  publish(segment: number, position: number, firstOffsets: Map<string, bigint>): void {
    const { held, count } = this
    firstOffsets.set(held.key, BigInt(held.end))
    held.index.push(segment, position, this.byteLength, count, held.end, this.maxTimestampMs)
    held.end += count
  }

  clear(): void {
    this.count = 0
    this.fields.reset()
    this.data.reset()
    // One huge commit must not keep its memory for good.
    if (this.fields.bytes.length > keptBytes) this.fields = new ByteWriter(64)
    if (this.data.bytes.length > keptBytes) this.data = new ByteWriter(256)
  }
}

const notBegun = -1

/** The sink of the adapters that keep sections: memory and embedded. */
export class SectionSink implements RecordSink {
  count = 0
  sizeBytes = 0
  /** Those that hold records, in the order of their first record. */
  readonly sections: OpenSection[] = []
  readonly #catalog: TopicCatalog
  readonly #maxRecordBytes: number
  #catalogVersion = -1
  readonly #byTopic = new Map<string, (OpenSection | undefined)[]>()
  #lastTopic: string | undefined
  #lastPartitions: (OpenSection | undefined)[] = []
  #open: OpenSection | undefined
  #timestampMs = 0
  #start = 0
  #valueStart = notBegun

  constructor(catalog: TopicCatalog, maxRecordBytes: number) {
    this.#catalog = catalog
    this.#maxRecordBytes = maxRecordBytes
  }

  begin(topic: string, partition: number, timestampMs: number): ByteWriter {
    if (this.#open !== undefined) throw new TypeError('the record before was neither ended nor cancelled')
    if (!(Number.isInteger(timestampMs) && Math.abs(timestampMs) <= timestampLimitMs)) {
      throw new RangeError(`an event time must be a whole number of milliseconds, got ${timestampMs}`)
    }
    if (topic !== this.#lastTopic || this.#catalogVersion !== this.#catalog.version) this.#turnTo(topic)
    const section = this.#lastPartitions[partition] ?? this.#addSection(topic, partition)
    this.#open = section
    this.#timestampMs = timestampMs
    this.#start = section.data.length
    this.#valueStart = notBegun
    return section.data
  }

  beginValue(): void {
    if (this.#open === undefined) throw new TypeError('no record was begun')
    this.#valueStart = this.#open.data.length
  }

  end(headers?: readonly RecordHeader[]): void {
    const section = this.#open
    if (section === undefined) throw new TypeError('no record was begun')
    const { data } = section
    const keyEnd = this.#valueStart === notBegun ? data.length : this.#valueStart
    const valueEnd = data.length
    const headerBytes = headers === undefined || headers.length === 0 ? -1 : writeHeaders(data, headers)
    const sizeBytes = data.length - this.#start
    if (sizeBytes > this.#maxRecordBytes) {
      this.cancel()
      const topic = section.held.topic.spec.name
      throw new EngineError('record-too-large', { topic, sizeBytes, limitBytes: this.#maxRecordBytes })
    }
    this.#append(section, keyEnd - this.#start, valueEnd - keyEnd, headerBytes)
    this.#open = undefined
    this.count++
    this.sizeBytes += sizeBytes
  }

  cancel(): void {
    if (this.#open === undefined) return
    this.#open.data.length = this.#start
    this.#open = undefined
  }

  clear(): void {
    this.cancel()
    for (const section of this.sections) section.clear()
    this.sections.length = 0
    this.count = 0
    this.sizeBytes = 0
  }

  /** @throws EngineError `topic-unknown` when a topic was deleted since its records were begun */
  checkTopics(): void {
    if (this.#open !== undefined) throw new TypeError('a record is begun and not ended')
    for (const { held } of this.sections) {
      const { id, spec } = held.topic
      if (this.#catalog.findById(id) === undefined) this.#catalog.topic(spec.name)
      if (this.#catalog.findById(id) === undefined) {
        throw new EngineError('topic-unknown', {
          topic: `${spec.name} (deleted and created again)`,
          known: [spec.name],
        })
      }
    }
  }

  #append(section: OpenSection, keyBytes: number, valueBytes: number, headerBytes: number): void {
    const timestampMs = this.#timestampMs
    if (section.count === 0) {
      this.sections.push(section)
      section.firstTimestampMs = timestampMs
      section.lastTimestampMs = timestampMs
      section.maxTimestampMs = timestampMs
    } else if (timestampMs > section.maxTimestampMs) {
      section.maxTimestampMs = timestampMs
    }
    const parts = {
      // A record with nothing written for its key or its value has none.
      keyBytes: keyBytes === 0 ? -1 : keyBytes,
      valueBytes: valueBytes === 0 ? -1 : valueBytes,
      headerBytes,
    }
    writeRecordFields(section.fields, 0, timestampMs - section.lastTimestampMs, parts)
    section.lastTimestampMs = timestampMs
    section.count++
  }

  /** Topics may have gone and come again under their name, so the sections are looked up anew then. */
  #turnTo(topic: string): void {
    if (this.#catalogVersion !== this.#catalog.version) {
      this.#catalogVersion = this.#catalog.version
      this.#lastTopic = undefined
      for (const [name, sections] of this.#byTopic) {
        const found = this.#catalog.find(name)
        if (sections.some((section) => section !== undefined && section.held.topic !== found)) {
          this.#byTopic.delete(name)
        }
      }
    }
    let partitions = this.#byTopic.get(topic)
    if (partitions === undefined) {
      this.#catalog.topic(topic)
      partitions = []
      this.#byTopic.set(topic, partitions)
    }
    this.#lastTopic = topic
    this.#lastPartitions = partitions
  }

  #addSection(topic: string, partition: number): OpenSection {
    const section = new OpenSection(this.#catalog.partition(topic, partition))
    this.#lastPartitions[partition] = section
    return section
  }
}

/** A count, then name and value of each, with their lengths before them. Returns the bytes written. */
function writeHeaders(data: ByteWriter, headers: readonly RecordHeader[]): number {
  const start = data.length
  data.varint(headers.length)
  for (const { name, value } of headers) {
    data.string(name)
    data.varint(value.length)
    data.raw(value)
  }
  return data.length - start
}
