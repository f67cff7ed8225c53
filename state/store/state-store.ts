import type { Database, DatabaseWrite } from './database.ts'

/**
 * Named state of one processor: read and written synchronously while a batch
 * runs, moved to the database by checkpoints. It is a write-back cache over
 * one space of the database.
 */
export interface StateStore {
  /** Also the name of its space in the database. */
  readonly name: string
  /** Loads what must be resident before the first record. */
  restore(database: Database): Promise<void>
  /** Changes since the last `collect` that would be lost without a checkpoint, roughly, in bytes. */
  readonly dirtyBytes: number
  /** Appends every change since the last `collect`. The same state always gives the same bytes. */
  collect(into: DatabaseWrite[]): void
  /**
   * Appends at most `limit` of these changes, for a checkpoint that is made
   * little by little while nobody waits: what changes again comes again, and
   * the later write of a key wins. For stores whose changes are many and small.
   */
  collectSome?(into: DatabaseWrite[], limit: number): void
  /** Forgets everything, as if new. */
  clear(): void
}

/** One part of an ordered key. Order: null < false < true < numbers (with bigint) < strings by UTF-8 bytes. */
export type KeyPart = string | number | bigint | boolean | null

/** Compared part by part; a shorter key that is a prefix comes first. */
export type OrderedKey = readonly KeyPart[]

/** Sorted state of any shape: what windows, joins, timers and buffers are built of. Resident as a whole. */
export interface OrderedStore<Value> extends StateStore {
  readonly size: number
  get(key: OrderedKey): Value | undefined
  /** The value is given up; to change it later, put it again. */
  put(key: OrderedKey, value: Value): void
  delete(key: OrderedKey): void
  /** Entries with `from <= key < to`, in order; a missing bound is open. Safe against changes while it runs. */
  range(from?: OrderedKey, to?: OrderedKey): IterableIterator<readonly [OrderedKey, Value]>
}
