import { EngineError } from '../../contracts/engine-error.ts'
import { AppendSignal } from '../append-signal.ts'
import { ColumnBatch, emptyBatch } from '../column-batch.ts'
import type { CommitTicket, Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import { checkReadLimits, planRead } from '../section-read.ts'
import { SectionSink } from '../section-sink.ts'
import { firstRecordAt } from '../section-time.ts'
import { checkedTopicSpec, heldOffset, reconcileTopic, TopicCatalog } from '../topic-catalog.ts'

export interface MemoryLogOptions {
  /** Gives `appendedAtMs`; by default every append happens at 0, so that a test sees the same each time. */
  readonly now?: () => number
  /** Longest record, key and headers included. */
  readonly maxRecordBytes?: number
}

const path = 'memory'
const chunkBytes = 1 << 20

/**
 * The log of tests and of throw-away runs: the same sections as the embedded
 * log's, in chunks of memory. Every commit is durable at once. It keeps all
 * that is written: retention and compaction are permissions, not duties.
 */
export function openMemoryLog(options: MemoryLogOptions = {}): Log {
  return new MemoryLog(options.now ?? (() => 0), options.maxRecordBytes ?? 16 << 20)
}

class MemoryLog implements Log {
  readonly #now: () => number
  readonly #maxRecordBytes: number
  readonly #catalog = new TopicCatalog()
  readonly #chunks: Buffer[] = []
  /** Bytes used of the last chunk. */
  #used = 0
  readonly #appended = new AppendSignal()
  readonly #writers = new Map<string, MemoryWriter>()
  #isClosed = false

  constructor(now: () => number, maxRecordBytes: number) {
    this.#now = now
    this.#maxRecordBytes = maxRecordBytes
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    this.#checkOpen()
    const wanted = checkedTopicSpec(spec)
    const found = this.#catalog.find(wanted.name)
    if (found === undefined) this.#catalog.add(this.#catalog.nextId, wanted)
    else if (reconcileTopic(found.spec, wanted) === 'retention-differs') this.#catalog.update(found, wanted)
  }

  async deleteTopic(name: string): Promise<void> {
    this.#checkOpen()
    this.#catalog.remove(this.#catalog.topic(name))
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.#checkOpen()
    return this.#catalog.all().map(({ spec }) => spec)
  }

  async offsets(topic: string, partition: number): Promise<OffsetRange> {
    this.#checkOpen()
    const { start, end } = this.#catalog.partition(topic, partition)
    return { start: BigInt(start), end: BigInt(end) }
  }

  async offsetForTime(topic: string, partition: number, atMs: number): Promise<bigint> {
    this.#checkOpen()
    const held = this.#catalog.partition(topic, partition)
    const { index } = held
    for (let row = index.first; row < index.length; row++) {
      if (!(index.maxTimestamps[row]! >= atMs)) continue
      const bytes = this.#chunks[index.segments[row]!]!
      const found = firstRecordAt(bytes, index.positions[row]!, held.start, atMs)
      if (found !== undefined) return BigInt(found)
    }
    return BigInt(held.end)
  }

  async read(request: ReadRequest): Promise<RecordBatch> {
    this.#checkOpen()
    checkReadLimits(request)
    const held = this.#catalog.partition(request.topic, request.partition)
    const offset = heldOffset(held, request.offset)
    const plan = planRead(held, offset, request, isSameChunk)
    if (plan === undefined) return emptyBatch(request, held.end)
    const segment = plan.segments[0]!
    const batch = new ColumnBatch(request, this.#chunks[segment]!, plan.capacity)
    let next: number | undefined = plan.nextOffset
    for (const position of plan.positions) {
      if (!batch.isOpen) {
        // Sections of the plan that did not fit are the next read's.
        next = undefined
        break
      }
      batch.addSection(position, offset, segment, position, held.resume)
    }
    held.resume = batch.resume
    return batch.finish(next)
  }

  async appended(signal: AbortSignal): Promise<void> {
    this.#checkOpen()
    await this.#appended.wait(signal)
  }

  async writer(id: string): Promise<LogWriter> {
    this.#checkOpen()
    this.#writers.get(id)?.fence()
    const newSink = () => new SectionSink(this.#catalog, this.#maxRecordBytes)
    const writer = new MemoryWriter(id, newSink, (sink) => this.#append(sink))
    this.#writers.set(id, writer)
    return writer
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#appended.notify()
  }

  #append(sink: SectionSink): CommitTicket {
    this.#checkOpen()
    const firstOffsets = new Map<string, bigint>()
    sink.checkTopics()
    let sizeBytes = 0
    for (const section of sink.sections) sizeBytes += section.byteLength
    let at = this.#reserve(sizeBytes)
    const segment = this.#chunks.length - 1
    const appendedAtMs = this.#now()
    for (const section of sink.sections) {
      section.writeTo(this.#chunks[segment]!, at, appendedAtMs)
      section.publish(segment, at, firstOffsets)
      at += section.byteLength
    }
    sink.clear()
    this.#appended.notify()
    return { firstOffsets, durable: Promise.resolve() }
  }

  #reserve(sizeBytes: number): number {
    const last = this.#chunks.at(-1)
    if (last === undefined || this.#used + sizeBytes > last.length) {
      this.#chunks.push(Buffer.allocUnsafeSlow(Math.max(chunkBytes, sizeBytes)))
      this.#used = 0
    }
    const at = this.#used
    this.#used += sizeBytes
    return at
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new EngineError('log-closed', { path })
  }
}

const isSameChunk: Parameters<typeof planRead>[3] = ({ segments }, first, row) =>
  segments[first] === segments[row]

class MemoryWriter implements LogWriter {
  readonly sink: SectionSink
  readonly #id: string
  readonly #newSink: () => SectionSink
  readonly #append: (sink: SectionSink) => CommitTicket
  #state: 'open' | 'fenced' | 'closed' = 'open'

  constructor(id: string, newSink: () => SectionSink, append: (sink: SectionSink) => CommitTicket) {
    this.#id = id
    this.#newSink = newSink
    this.sink = newSink()
    this.#append = append
  }

  fence(): void {
    if (this.#state === 'open') this.#state = 'fenced'
  }

  commit(): CommitTicket {
    return this.#commit(this.sink)
  }

  beside(): LogWriter {
    const sink = this.#newSink()
    return {
      sink,
      commit: () => this.#commit(sink),
      beside: () => this.beside(),
      close: async () => sink.clear(),
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed'
    this.sink.clear()
  }

  #commit(sink: SectionSink): CommitTicket {
    if (this.#state === 'fenced') throw new EngineError('writer-fenced', { writer: this.#id })
    if (this.#state === 'closed') throw new EngineError('log-closed', { path })
    return this.#append(sink)
  }
}
