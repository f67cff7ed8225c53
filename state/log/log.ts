import type { TimestampMs } from '../contracts/units.ts'
import type { RecordBatch } from './record-batch.ts'
import type { RecordSink } from './record-sink.ts'

/** How a topic is laid out and how long it keeps what it holds. */
export interface TopicSpec {
  readonly name: string
  /** Number of partitions, from 1; fixed for the life of the topic. */
  readonly partitions: number
  /** Records older than this, against the newest record of the topic, may be dropped. Absent: kept for ever. */
  readonly retentionMs?: number
  /** The oldest records of a partition beyond this size may be dropped. Absent: no bound. */
  readonly retentionBytes?: number
  /** Keep at least the last record of every key; a null value (tombstone) deletes the key. */
  readonly compacted?: boolean
}

export interface OffsetRange {
  /** Oldest offset that can be read. */
  readonly start: bigint
  /** Next offset to be written. */
  readonly end: bigint
}

export interface ReadRequest {
  readonly topic: string
  readonly partition: number
  /** First offset wanted; at the end an empty batch comes back, before `start` an error. */
  readonly offset: bigint
  /** Stops at about this many bytes; at least one record comes back where there is one. */
  readonly maxBytes: number
  readonly maxRecords?: number
}

/** What a commit gives back. */
export interface CommitTicket {
  /** Offset of the first record of each (topic, partition) written: key `topic\0partition`. */
  readonly firstOffsets: ReadonlyMap<string, bigint>
  /** Resolves when the commit would survive a power cut; rejects with the error that prevents it. */
  readonly durable: Promise<void>
}

/**
 * The ground state: named, partitioned, append-only records.
 *
 * Every adapter passes `test/conformance/log.suite.ts`; what the suite does
 * not pin down, callers must not rely on. Offsets are bigint here and may be
 * safe integers inside.
 */
export interface Log {
  /** Creates the topic, or checks that it exists with the same partitions and compaction. */
  createTopic(spec: TopicSpec): Promise<void>
  deleteTopic(name: string): Promise<void>
  topics(): Promise<readonly TopicSpec[]>
  offsets(topic: string, partition: number): Promise<OffsetRange>
  /** The first offset whose event time is at or after `atMs`; the end offset if there is none. */
  offsetForTime(topic: string, partition: number, atMs: TimestampMs): Promise<bigint>
  read(request: ReadRequest): Promise<RecordBatch>
  /** Resolves when any record is appended after the call, or when the signal aborts. */
  appended(signal: AbortSignal): Promise<void>
  /** The one way to write. `id` names the writer for fencing; a newer writer of the same id ends an older one. */
  writer(id: string): Promise<LogWriter>
  close(): Promise<void>
}

/** Appends atomically: either all records of one commit are on the log, or none. */
export interface LogWriter {
  /** An empty sink, reused from commit to commit. */
  readonly sink: RecordSink
  /**
   * Commits what the sink holds and empties it. Resolves when every reader in
   * this process sees the records; `durable` follows. `consumed` are the
   * positions this batch consumed, which Kafka commits in the same transaction.
   */
  commit(consumed?: readonly ConsumedPosition[]): CommitTicket | Promise<CommitTicket>
  /**
   * Another sink of the same writer, for commits that are filled while the
   * first is in use. They are ordered with its commits and fenced with it;
   * closing it drops what its sink holds and leaves the writer open.
   */
  beside(): LogWriter
  close(): Promise<void>
}

export interface ConsumedPosition {
  readonly topic: string
  readonly partition: number
  /** Next offset to read. */
  readonly offset: bigint
}
