import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart } from '../../state/store/state-store.ts'

/** A window whose end has come. */
export interface EndedWindow<Cell> {
  readonly startMs: TimestampMs
  readonly endMs: TimestampMs
  readonly cell: Cell
}

/**
 * What an aligned stage keeps of the open windows of its keys. The stage says
 * when results come out; where states lie, and how windows that have ended are
 * found, is said here.
 */
export interface WindowCells<Input, Output, Cell> {
  /** The form of a record's key that the others take. */
  pack(key: unknown): KeyPart
  /** Folds an input into a window, new if there is none yet. */
  add(key: KeyPart, startMs: TimestampMs, input: Input, atMs: TimestampMs): Cell
  keyOf(cell: Cell): unknown
  answer(cell: Cell, endMs: TimestampMs): Output | null
  latestMs(cell: Cell): TimestampMs
  /** Records so far. */
  count(cell: Cell): number
  /** Starts the fold over; the records stay counted. */
  purge(cell: Cell): void
  /** Given out when its end had come. */
  isFired(cell: Cell): boolean
  fire(cell: Cell): void
  /** Notes that the window is to be given out at the end of the batch; false if that was noted already. */
  await(cell: Cell): boolean
  /** Forgets that. */
  settle(cell: Cell): void
  /** Windows that end after `afterMs` and at or before `upToMs`, by window, then by key; of `key` alone where keys close by their own time. */
  ended(key: KeyPart, afterMs: TimestampMs, upToMs: TimestampMs): Iterable<EndedWindow<Cell>>
  /** Lets go of those that end at or before `upToMs`. */
  remove(key: KeyPart, upToMs: TimestampMs): void
  /** End of the oldest window of all; Infinity without windows. */
  earliestEndMs(): TimestampMs
}
