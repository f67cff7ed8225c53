import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EngineError, isEngineError } from '../../contracts/engine-error.ts'
import type { Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import { checkedTopicSpec, reconcileTopic } from '../topic-catalog.ts'
import { Journal } from './journal.ts'
import { type LogFiles, onDisk, readFully } from './log-files.ts'
import { LogView } from './log-view.ts'
import { recover } from './recovery.ts'
import { FrameScan } from './scan.ts'
import { decodeSegmentHeader, Segment, segmentHeaderBytes, segmentName, segmentNumbers } from './segment.ts'
import { SegmentRows } from './segment-index-file.ts'

export interface LogReaderOptions {
  readonly path: string
  readonly files: LogFiles
  readonly now: () => number
}

/** How often a reader that waits looks for more. */
const pollMs = 50
const mostTries = 5

/** Opens a log to read it beside its writer. Nothing is written: a torn tail is passed over, not cut. */
export function openLogReader(options: LogReaderOptions): Log {
  const reader = new LogReader(options)
  reader.refresh()
  return reader
}

class LogReader implements Log {
  readonly #options: LogReaderOptions
  readonly #view: LogView
  #journal: Journal
  #isClosed = false

  constructor(options: LogReaderOptions) {
    this.#options = options
    this.#journal = this.#fresh()
    this.#view = new LogView(
      () => this.#journal,
      () => this.#reopen(),
    )
  }

  /** Checks that the topic is there, as the writer made it. */
  async createTopic(spec: TopicSpec): Promise<void> {
    this.refresh()
    const found = this.#journal.catalog.find(spec.name)
    if (found === undefined) throw this.#readOnly(`create topic "${spec.name}"`)
    reconcileTopic(found.spec, checkedTopicSpec(spec))
  }

  deleteTopic(): Promise<void> {
    return Promise.reject(this.#readOnly('delete a topic'))
  }

  writer(): Promise<LogWriter> {
    return Promise.reject(this.#readOnly('write'))
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.refresh()
    return this.#view.topics()
  }

  async offsets(topic: string, partition: number): Promise<OffsetRange> {
    this.refresh()
    return this.#view.offsets(topic, partition)
  }

  async offsetForTime(topic: string, partition: number, atMs: number): Promise<bigint> {
    this.refresh()
    return this.#view.offsetForTime(topic, partition, atMs)
  }

  async read(request: ReadRequest): Promise<RecordBatch> {
    this.#checkOpen()
    // Behind the known end there is no need to look whether the file grew.
    const held = this.#journal.catalog.find(request.topic)?.partitions[request.partition]
    if (held === undefined || request.offset >= BigInt(held.end)) this.refresh()
    return this.#view.read(request)
  }

  async appended(signal: AbortSignal): Promise<void> {
    this.refresh()
    const { sequence } = this.#journal
    while (!signal.aborted && !this.#isClosed && this.#journal.sequence === sequence) {
      await delay(pollMs, undefined, { signal }).catch(() => {})
      if (!this.#isClosed) this.refresh()
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#journal.close()
  }

  /** Takes in what the writer has appended since. */
  refresh(): void {
    this.#checkOpen()
    if (this.#journal.segments.size === 0) {
      this.#reopen()
      return
    }
    do this.#scanActive()
    while (this.#goToNextSegment())
  }

  #fresh(): Journal {
    const { path, files, now } = this.#options
    return new Journal({ path, files, segmentBytes: 0, tailBytes: 0, now })
  }

  /** The writer replaced or removed a segment: what is known of all of them is read anew. */
  #reopen(): void {
    this.#journal.close()
    for (let tries = 1; ; tries++) {
      const journal = this.#fresh()
      try {
        recover(journal, false)
        this.#journal = journal
        return
      } catch (error) {
        journal.close()
        this.#journal = this.#fresh()
        // A segment may go between the listing and the look into it, and may seem to be missing then.
        const isRace = isEngineError(error, 'log-damaged') || isEngineError(error, 'log-disk')
        if (!isRace || tries === mostTries) throw error
      }
    }
  }

  #scanActive(): void {
    const journal = this.#journal
    const { active, activeFile } = journal
    const sizeBytes = onDisk(active.path, 'read', () => journal.files.sizeBytes(activeFile))
    if (sizeBytes <= active.sizeBytes) return
    const scan = new FrameScan(journal.files, activeFile, active, sizeBytes)
    const end = scan.run(active.sizeBytes, active.lastSequence, (frame) =>
      journal.applyFrame(active, frame, journal.activeRows),
    )
    // What does not fit at the end is a frame that is being written; behind damage there are whole ones.
    if (end.defect === undefined || !scan.isDamage(end, active.lastSequence + 1)) return
    // It may have been half written when it was looked at and followed by others since.
    if (!('defect' in new FrameScan(journal.files, activeFile, active, sizeBytes).frameAt(end.position)))
      return
    throw new EngineError('log-damaged', { path: active.path, position: end.position, detail: end.defect })
  }

  #goToNextSegment(): boolean {
    const journal = this.#journal
    const { files, path: folder, active } = journal
    const path = join(folder, segmentName(active.number + 1))
    let file: number
    try {
      file = files.open(path, 'read')
    } catch {
      // It may have come and gone while nobody looked: then there are later ones.
      const names = onDisk(folder, 'list', () => files.list(folder))
      if (segmentNumbers(names).some((number) => number > active.number)) this.#reopen()
      return false
    }
    const bytes = Buffer.alloc(segmentHeaderBytes)
    const got = readFully(files, file, bytes, 0, segmentHeaderBytes, 0)
    const header = decodeSegmentHeader(bytes.subarray(0, got), path)
    // A header that is not whole yet will be at the next look.
    if (typeof header === 'string') {
      files.close(file)
      return false
    }
    if (header.firstSequence !== active.lastSequence + 1 || header.coveredSequence > 0) {
      files.close(file)
      this.#reopen()
      return false
    }
    const segment = new Segment(files, folder, header, segmentHeaderBytes)
    journal.segments.set(segment.number, segment)
    active.release()
    journal.resume(segment, file, new SegmentRows())
    return true
  }

  #readOnly(operation: string): EngineError {
    return new EngineError('log-read-only', { path: this.#options.path, operation })
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new EngineError('log-closed', { path: this.#options.path })
  }
}
