import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { StreamRecord } from '../operator.ts'

/** A stretch of event time. Which ends belong to it is said by the kind of window. */
export interface WindowSpan {
  readonly startMs: TimestampMs
  readonly endMs: TimestampMs
}

/** The key of a windowed result. */
export interface Windowed<Key = unknown> extends WindowSpan {
  readonly key: Key
}

/**
 * What a windowed result says about its window.
 *
 * - `update`: what is known so far; more may follow.
 * - `on-time`: the window's end has come, late records may still correct it.
 * - `correction`: a late record changed a window that had been given out.
 * - `final`: the window is closed, nothing follows.
 * - `retraction`: the window is no more, since it was merged into another; the value is null.
 * - `late`: a record came after the close; `late` holds it and the value is null. Only on request.
 */
export type WindowStage = 'update' | 'on-time' | 'correction' | 'final' | 'retraction' | 'late'

/** A result of a window, keyed by key and window. */
export interface WindowResult<Key = unknown, Value = unknown>
  extends StreamRecord<Windowed<Key>, Value | null> {
  readonly stage: WindowStage
  /** The record that came too late, and by how much grace it missed the window. */
  readonly late?: { readonly record: StreamRecord<Key>; readonly latenessMs: DurationMs }
}

/**
 * The event time of a result.
 *
 * - `latest-event`: the greatest event time in the window so far (Kafka Streams).
 * - `last-instant`: the last millisecond that belongs to the window (Flink: end - 1).
 * - `start`: the first one (Quix).
 */
export type ResultTime = 'latest-event' | 'last-instant' | 'start'

/**
 * When results are given out.
 *
 * - `update`: after each record.
 * - `close`: once, when the window closes.
 * - `update-and-close`: early results after each record and a final one.
 * - `end`: when time passes the window's end, and again after each record that comes late but
 *   within grace (Flink's allowed lateness).
 * - `commit`: once for each window that a batch touched, when the batch ends, in the order in
 *   which they were touched first (a cache in front of what follows). Batches are as long as they
 *   happened to be, and a replay meets the same ones.
 * - `everyCount`: after each so many records of the window. With `purge` the window then starts
 *   over from nothing (Flink's purging count trigger). Nothing is given out when it closes.
 */
export type WindowEmit =
  | 'update'
  | 'close'
  | 'update-and-close'
  | 'end'
  | 'commit'
  | { readonly everyCount: number; readonly purge: boolean }

/**
 * Whose time closes windows.
 *
 * - `partition`: stream time of the task. A key that falls silent is closed by the others.
 * - `key`: the greatest event time of the key itself; windows of a key that falls silent stay open
 *   (Quix's default).
 * - `disorderMs`: stream time less the allowed disorder (Flink's bounded out-of-orderness).
 * - `announced`: time moves only by records that say so. `announced` gives the time before which
 *   nothing more is expected, or undefined for an ordinary record; an announcing record is not
 *   counted itself. Flink's watermark w, behind which nothing at or before w is expected, is
 *   announced as w + 1.
 */
export type WindowClosing<In extends StreamRecord = StreamRecord> =
  | 'partition'
  | 'key'
  | { readonly disorderMs: DurationMs }
  | { readonly announced: (record: In) => TimestampMs | undefined }

/** A fold whose state is a few doubles, so that the windows of a stage can share one typed array. */
export interface WindowColumns<Input, Output> {
  /** Names the columns: state of others is not read. */
  readonly id: string
  readonly width: number
  init(cells: Float64Array, at: number): void
  add(cells: Float64Array, at: number, input: Input, atMs: TimestampMs): void
  finish(cells: Float64Array, at: number, queryMs: TimestampMs): Output | null
}

/** A fold of the records of a window. Every `ObjectAggregate` is one; so is a plain object, when its state is plain data. */
export interface WindowFold<Input, State, Output> {
  init(): State
  /** May reuse `state`, which the caller gives up. */
  add(state: State, input: Input, atMs: TimestampMs): State
  /** Leaves both alone. Needed by session windows, which merge. */
  merge?(older: State, newer: State): State
  /** The result; must not be changed by later additions. */
  finish(state: State, queryMs: TimestampMs): Output | null
  /** The same fold over columns, where its state is that. */
  readonly columns?: WindowColumns<Input, Output>
}
