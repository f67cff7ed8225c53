import { EngineError } from '../../contracts/engine-error.ts'
import { AppendSignal } from '../append-signal.ts'
import type { CommitTicket, Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import { sealSection } from '../section.ts'
import { SectionSink } from '../section-sink.ts'
import { checkedTopicSpec, reconcileTopic } from '../topic-catalog.ts'
import type { CatalogEvent } from './catalog-event.ts'
import { Cleaner, type CleaningReport } from './cleaner.ts'
import { lockFolder } from './folder-lock.ts'
import { frameHeaderBytes } from './frame.ts'
import { Journal } from './journal.ts'
import { isDiskError, type LogFiles, nodeFiles, onDisk, syncError } from './log-files.ts'
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
  /** Keys of a compacted partition that a cleaning holds in memory at once. 1 000 000 unless given. */
  readonly cleanerKeys?: number
  /** How long the tombstones of compacted topics stay at least, so that followers see them. A day unless given. */
  readonly tombstoneMs?: number
  /** Told what a cleaning freed. */
  readonly onCleaned?: (report: CleaningReport) => void
  /** Told when freeing space failed, as on a full or damaged disk. Nothing is lost by it, and it is tried again. */
  readonly onCleaningFailed?: (error: unknown) => void
  readonly files?: LogFiles
}

export const embeddedDefaults = {
  segmentBytes: 16 << 20,
  tailBytes: 64 << 20,
  maxRecordBytes: 16 << 20,
  cleanerKeys: 1_000_000,
  tombstoneMs: 86_400_000,
} as const

/** Places inside a segment are 32-bit, and a frame may go beyond the size at which a segment is sealed. */
const largestSegmentBytes = 2 ** 31
const largestCommitBytes = 2 ** 30

/**
 * The durable log of one process: frames in segment files. One commit is one
 * frame, so it is on the log whole or not at all; fdatasync runs in a loop
 * beside the writing and covers all commits made before it began.
 *
 * @throws EngineError `log-locked`, `log-damaged`, `log-newer-format`, `log-disk`
 * @throws RangeError for a size that is not a whole number in its range
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log> {
  const { path, now, readOnly = false, files = nodeFiles } = options
  const tuning = checkedTuning(options)
  const { segmentBytes, tailBytes } = tuning
  if (readOnly) return openLogReader({ path, files, now })
  onDisk(path, 'create', () => files.makeFolder(path))
  const unlock = lockFolder(path, now())
  const journal = new Journal({ path, files, segmentBytes, tailBytes, now })
  try {
    const torn = recover(journal, true)
    if (torn !== undefined) options.onTornTail?.(torn)
    return new EmbeddedLog(journal, { ...options, ...tuning }, unlock)
  } catch (error) {
    journal.close()
    unlock()
    throw error
  }
}

type Tuning = { readonly [Name in keyof typeof embeddedDefaults]: number }

function checkedTuning(options: EmbeddedLogOptions): Tuning {
  const tuning = {
    segmentBytes: options.segmentBytes ?? embeddedDefaults.segmentBytes,
    tailBytes: options.tailBytes ?? embeddedDefaults.tailBytes,
    maxRecordBytes: options.maxRecordBytes ?? embeddedDefaults.maxRecordBytes,
    cleanerKeys: options.cleanerKeys ?? embeddedDefaults.cleanerKeys,
    tombstoneMs: options.tombstoneMs ?? embeddedDefaults.tombstoneMs,
  }
  const ranges: { readonly [Name in keyof Tuning]: readonly [number, number] } = {
    segmentBytes: [1, largestSegmentBytes],
    tailBytes: [0, Number.MAX_SAFE_INTEGER],
    maxRecordBytes: [1, largestCommitBytes / 2],
    cleanerKeys: [1, 2 ** 24],
    tombstoneMs: [0, Number.MAX_SAFE_INTEGER],
  }
  for (const name of Object.keys(ranges) as (keyof Tuning)[]) {
    const [least, most] = ranges[name]
    if (Number.isSafeInteger(tuning[name]) && tuning[name] >= least && tuning[name] <= most) continue
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}, got ${tuning[name]}`)
  }
  return tuning
}

class EmbeddedLog implements Log {
  readonly #journal: Journal
  readonly #maxRecordBytes: number
  readonly #unlock: () => void
  readonly #view: LogView
  readonly #sync: SyncLoop
  readonly #appended = new AppendSignal()
  readonly #writers = new Map<string, EmbeddedWriter>()
  readonly #cleaner: Cleaner
  readonly #onCleaningFailed: ((error: unknown) => void) | undefined
  /** Segment that was written to when retention was looked at last. */
  #retainedAt: number
  /** Last frame when the log was opened: a log that was only looked at is closed as it was. */
  readonly #openedAt: number
  #closing: Promise<void> | undefined

  constructor(journal: Journal, options: EmbeddedLogOptions & Tuning, unlock: () => void) {
    const { maxRecordBytes, segmentBytes, cleanerKeys, tombstoneMs, now, onCleaned, onCleaningFailed } =
      options
    this.#journal = journal
    this.#maxRecordBytes = maxRecordBytes
    this.#unlock = unlock
    this.#retainedAt = journal.active.number
    this.#openedAt = journal.sequence
    this.#onCleaningFailed = onCleaningFailed
    this.#cleaner = new Cleaner(journal, {
      segmentBytes,
      keys: cleanerKeys,
      tombstoneMs,
      now,
      ...(onCleaned === undefined ? {} : { onCleaned }),
      ...(onCleaningFailed === undefined ? {} : { onFailure: onCleaningFailed }),
    })
    this.#view = new LogView(
      () => journal,
      () => {},
    )
    this.#sync = new SyncLoop(journal.path, () => this.#syncActive())
  }

  async #syncActive(): Promise<void> {
    const journal = this.#journal
    if (journal.failure !== undefined) throw journal.failure
    const { sequence } = journal
    // A segment that is sealed meanwhile was synced by that; its file must stay open until this is done.
    const { segment, file } = journal.acquire(journal.active.number)
    try {
      await journal.files.syncLater(file)
    } catch (error) {
      journal.failure ??= syncError(segment.path, error)
    } finally {
      segment.release()
    }
    // The system tells a failed write once: to this sync, or to the one that was sealing the segment meanwhile.
    if (journal.failure !== undefined) throw journal.failure
    journal.durableSequence = Math.max(journal.durableSequence, sequence)
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
    this.#freeSpace()
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
    const newSink = () => new SectionSink(this.#journal.catalog, this.#maxRecordBytes)
    const writer = new EmbeddedWriter(id, this.#journal.path, newSink, (sink) => this.#append(sink))
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
      await this.#cleaner.stop()
      this.#markClosed()
    } finally {
      this.#journal.close()
      this.#unlock()
    }
  }

  /** After this frame, whatever is wrong before it is damage and not the end of a power cut. */
  #markClosed(): void {
    const journal = this.#journal
    if (journal.failure !== undefined || journal.sequence === this.#openedAt) return
    try {
      journal.appendEvent({ event: 'closed' })
    } catch (error) {
      // A disk that is full takes nothing from what was written before.
      if (!isDiskError(error)) throw error
    }
  }

  #append(sink: SectionSink): CommitTicket {
    this.#checkOpen()
    if (this.#journal.failure !== undefined) throw this.#journal.failure
    sink.checkTopics()
    const { sections } = sink
    const firstOffsets = new Map<string, bigint>()
    if (sections.length === 0) return { firstOffsets, durable: this.#sync.drain() }
    let bodyBytes = 0
    for (const section of sections) bodyBytes += section.byteLength
    if (bodyBytes > largestCommitBytes) {
      throw new RangeError(`a commit takes up to ${largestCommitBytes} bytes, got ${bodyBytes}`)
    }
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
    // Space is looked after once for each segment, since whole segments are freed.
    if (place.segment !== this.#retainedAt) this.#freeSpace()
    return { firstOffsets, durable }
  }

  /** The records are on the log already, so a failure here is none of the commit that came first. */
  #freeSpace(): void {
    this.#retainedAt = this.#journal.active.number
    try {
      applyRetention(this.#journal)
    } catch (error) {
      if (!isDiskError(error)) throw error
      this.#onCleaningFailed?.(error)
    }
    this.#cleaner.start()
  }

  async #record(event: CatalogEvent): Promise<void> {
    if (this.#journal.failure !== undefined) throw this.#journal.failure
    this.#journal.appendEvent(event)
    await this.#sync.request(0)
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new EngineError('log-closed', { path: this.#journal.path })
  }
}

class EmbeddedWriter implements LogWriter {
  readonly sink: SectionSink
  readonly #id: string
  readonly #path: string
  readonly #newSink: () => SectionSink
  readonly #append: (sink: SectionSink) => CommitTicket
  #state: 'open' | 'fenced' | 'closed' = 'open'

  constructor(
    id: string,
    path: string,
    newSink: () => SectionSink,
    append: (sink: SectionSink) => CommitTicket,
  ) {
    this.#id = id
    this.#path = path
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
    if (this.#state === 'closed') throw new EngineError('log-closed', { path: this.#path })
    return this.#append(sink)
  }
}
