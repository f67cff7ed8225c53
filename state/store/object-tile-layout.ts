import type { ByteWriter } from '../contracts/byte-writer.ts'
import type { DurationMs, TimestampMs } from '../contracts/units.ts'

/** What one tile folds: the states of all aggregates that share it, as a list in a fixed order. */
export interface ObjectTileLayout {
  /** Names windows, aggregates and inputs: state of another id means something else. */
  readonly id: string
  /** Length of a tile, aligned to the epoch. `Infinity`: one tile for all time. 0: the raw events answer. */
  readonly hopMs: DurationMs
  /** Longest window that is read; `Infinity` keeps for ever. */
  readonly retentionMs: DurationMs
  /** How far behind the key's newest event a read or a write may be and still be exact. */
  readonly disorderMs: DurationMs
  init(): TileStates
  /** Changes `states` in place. */
  add(states: TileStates, inputs: readonly unknown[], atMs: TimestampMs): void
  /**
   * Takes the oldest of the events that `states` holds out again, in place, so
   * that what is left has the bits of a fold without it. False where the
   * states do not say what is left: they are of no use then.
   */
  forgetOldest?(states: TileStates, inputs: readonly unknown[], atMs: TimestampMs): boolean
  /** Leaves both alone. */
  merge(older: TileStates, newer: TileStates): TileStates
  /** Equal states write equal bytes. */
  write(states: TileStates, out: ByteWriter): void
  read(bytes: Uint8Array): TileStates
}

export type TileStates = unknown[]
