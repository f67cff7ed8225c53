import { EngineError } from '../../contracts/engine-error.ts'
import { AppendSignal } from '../append-signal.ts'
import type { CommitTicket, Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import type { RecordSink } from '../record-sink.ts'
import { sealSection } from '../section.ts'
import { SectionSink } from '../section-sink.ts'
import { checkedTopicSpec, reconcileTopic } from '../topic-catalog.ts'
import type { CatalogEvent } from './catalog-event.ts'
import { lockFolder } from './folder-lock.ts'
import { frameHeaderBytes } from './frame.ts'
import { Journal } from './journal.ts'
import { type LogFiles, nodeFiles, onDisk } from './log-files.ts'
import { openLogReader } from './log-reader.ts'
import { LogView } from './log-view.ts'
import { recover, type TornTail } from './recovery.ts'
import { applyRetention } from './retention.ts'
import { SyncLoop } from './sync-loop.ts'

export interface EmbeddedLogOptions {
  /** Folder of the segment files; made when it is not there. */
  readonly path: string
  /** Wall clock in ms: when records were appended. */
  readonly now: () => number
  /** Reads beside the writer, in this process or another, and follows what it appends. Writes nothing. */
  readonly readOnly?: boolean
  /** A segment that has this many bytes is sealed and the next one begun. 64 MiB unless given. */
  readonly segmentBytes?: number
  /** The latest frames kept in memory for those who read close behind. 64 MiB unless given. */
  readonly tailBytes?: number
  /** Longest record, key and headers included. 16 MiB unless given. */
  readonly maxRecordBytes?: number
  /** Told when the opening cut off a frame that was never written whole. */
  readonly onTornTail?: (torn: TornTail) => void
  readonly files?: LogFiles
}

export const embeddedDefaults = {
  segmentBytes: 64 << 20,
  tailBytes: 64 << 20,
  maxRecordBytes: 16 << 20,
} as const

/**
 * The durable log of one process: frames in segment files. One commit is one
 * frame, so it is on the log whole or not at all; fdatasync runs in a loop
 * beside the writing and covers all commits made before it began.
 *
 * @throws EngineError `log-locked`, `log-damaged`, `log-newer-format`, `log-disk`
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log> {
  const { path, now, readOnly = false, files = nodeFiles } = options
  const { segmentBytes, tailBytes, maxRecordBytes } = { ...embeddedDefaults, ...options }
  if (readOnly) return openLogReader({ path, files, now })
  onDisk(path, 'create', () => files.makeFolder(path))
  const unlock = lockFolder(path, now())
  const journal = new Journal({ path, files, segmentBytes, tailBytes, now })
  try {
    const torn = recover(journal, true)
    if (torn !== undefined) options.onTornTail?.(torn)
    return new EmbeddedLog(journal, maxRecordBytes, unlock)
  } catch (error) {
    journal.close()
    unlock()
    throw error
  }
}

class EmbeddedLog implements Log {
  readonly #journal: Journal
  readonly #maxRecordBytes: number
  readonly #unlock: () => void
  readonly #view: LogView
  readonly #sync: SyncLoop
  readonly #appended = new AppendSignal()
  readonly #writers = new Map<string, EmbeddedWriter>()
  /** Segment that was written to when retention was looked at last. */
  #retainedAt: number
  #closing: Promise<void> | undefined

  constructor(journal: Journal, maxRecordBytes: number, unlock: () => void) {
    this.#journal = journal
    this.#maxRecordBytes = maxRecordBytes
    this.#unlock = unlock
    this.#retainedAt = journal.active.number
    this.#view = new LogView(
      () => journal,
      () => {},
    )
    this.#sync = new SyncLoop(journal.path, async () => {
      // A segment that is sealed meanwhile was synced by that; its file must stay open until this is done.
      const { segment, file } = journal.acquire(journal.active.number)
      try {
        await journal.files.syncLater(file)
      } finally {
        segment.release()
      }
    })
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    this.#checkOpen()
    const wanted = checkedTopicSpec(spec)
    const { catalog } = this.#journal
    const found = catalog.find(wanted.name)
    if (found === undefined) return this.#record({ event: 'created', id: catalog.nextId, spec: wanted })
    if (reconcileTopic(found.spec, wanted) === 'same') return
    await this.#record({ event: 'changed', id: found.id, spec: wanted })
  }

  async deleteTopic(name: string): Promise<void> {
    this.#checkOpen()
    await this.#record({ event: 'deleted', id: this.#journal.catalog.topic(name).id })
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.#checkOpen()
    return this.#view.topics()
  }

  async offsets(topic: string, partition: number): Promise<OffsetRange> {
    this.#checkOpen()
    return this.#view.offsets(topic, partition)
  }

  async offsetForTime(topic: string, partition: number, atMs: number): Promise<bigint> {
    this.#checkOpen()
    return this.#view.offsetForTime(topic, partition, atMs)
  }

  async read(request: ReadRequest): Promise<RecordBatch> {
    this.#checkOpen()
    return this.#view.read(request)
  }

  async appended(signal: AbortSignal): Promise<void> {
    this.#checkOpen()
    await this.#appended.wait(signal)
  }

  async writer(id: string): Promise<LogWriter> {
    this.#checkOpen()
    this.#writers.get(id)?.fence()
    const sink = new SectionSink(this.#journal.catalog, this.#maxRecordBytes)
    const writer = new EmbeddedWriter(id, this.#journal.path, sink, () => this.#append(sink))
    this.#writers.set(id, writer)
    return writer
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#appended.notify()
    try {
      // Whoever waits for a commit learns of a failed sync from its ticket.
      await this.#sync.drain().catch(() => {})
    } finally {
      this.#journal.close()
      this.#unlock()
    }
  }

  #append(sink: SectionSink): CommitTicket {
    this.#checkOpen()
    if (this.#sync.failure !== undefined) throw this.#sync.failure
    sink.checkTopics()
    const { sections } = sink
    const firstOffsets = new Map<string, bigint>()
    if (sections.length === 0) return { firstOffsets, durable: this.#sync.drain() }
    let bodyBytes = 0
    for (const section of sections) bodyBytes += section.byteLength
    const place = this.#journal.append(bodyBytes, sections.length, (bytes, at, appendedAtMs) => {
      let next = at
      for (const section of sections) {
        section.writeTo(bytes, next, appendedAtMs)
        sealSection(bytes, next, section.byteLength)
        next += section.byteLength
      }
    })
    let position = place.position + frameHeaderBytes
    for (const section of sections) {
      const { held, byteLength, count, maxTimestampMs } = section
      this.#journal.noteSection(
        held.topic.id,
        held.partition,
        position,
        byteLength,
        count,
        held.end,
        maxTimestampMs,
      )
      section.publish(place.segment, position, firstOffsets)
      position += byteLength
    }
    sink.clear()
    this.#appended.notify()
    const durable = this.#sync.request(frameHeaderBytes + bodyBytes)
    this.#retainIfRolled()
    return { firstOffsets, durable }
  }

  /** Retention is looked at once for each segment: it frees whole segments anyway. */
  #retainIfRolled(): void {
    const { number } = this.#journal.active
    if (number === this.#retainedAt) return
    this.#retainedAt = number
    applyRetention(this.#journal)
  }

  async #record(event: CatalogEvent): Promise<void> {
    if (this.#sync.failure !== undefined) throw this.#sync.failure
    this.#journal.appendEvent(event)
    await this.#sync.request(0)
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new EngineError('log-closed', { path: this.#journal.path })
  }
}

class EmbeddedWriter implements LogWriter {
  readonly sink: RecordSink
  readonly #id: string
  readonly #path: string
  readonly #append: () => CommitTicket
  #state: 'open' | 'fenced' | 'closed' = 'open'

  constructor(id: string, path: string, sink: RecordSink, append: () => CommitTicket) {
    this.#id = id
    this.#path = path
    this.sink = sink
    this.#append = append
  }

  fence(): void {
    if (this.#state === 'open') this.#state = 'fenced'
  }

  commit(): CommitTicket {
    if (this.#state === 'fenced') throw new EngineError('writer-fenced', { writer: this.#id })
    if (this.#state === 'closed') throw new EngineError('log-closed', { path: this.#path })
    return this.#append()
  }

  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed'
    this.sink.clear()
  }
}
