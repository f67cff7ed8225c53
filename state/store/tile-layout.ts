import type { DurationMs, TimestampMs } from '../contracts/units.ts'

/** What one row of a tile store folds; compiled from the features that share the rows. */
export interface TileLayout {
  /** Names windows, columns and inputs: state of another id has other columns. */
  readonly id: string
  /**
   * Length of a tile, aligned to the epoch. `Infinity`: one tile for all time.
   * 0: no tiles, the raw events answer.
   */
  readonly hopMs: DurationMs
  /** Longest window that is read; `Infinity` keeps for ever. */
  readonly retentionMs: DurationMs
  /** How far behind the key's newest event a read or a write may be and still be exact. */
  readonly disorderMs: DurationMs
  /** Keep the newest raw event even when it is older than the retention: lookups. */
  readonly keepsLatest: boolean
  /** Events that a tile keeps as they are before it becomes a row: as many as take no more memory than the row. */
  readonly rawsPerTile: number
  /** Doubles of a raw event, its time not counted. */
  readonly inputs: number
  /** Doubles of a row, its header not counted. */
  readonly width: number
  init(cells: Float64Array, at: number): void
  add(cells: Float64Array, at: number, values: Float64Array, valuesAt: number, atMs: TimestampMs): void
  /** Adds raw events, oldest first; event i has its time at `from + i * stride` and its values behind it. */
  addRaws(
    into: Float64Array,
    at: number,
    raws: Float64Array,
    from: number,
    stride: number,
    count: number,
  ): void
  /** Rows oldest first; row i's columns start at `from + i * stride`. */
  mergeRows(
    into: Float64Array,
    at: number,
    rows: Float64Array,
    from: number,
    stride: number,
    count: number,
  ): void
}

/** Doubles before a row's columns: `[ start of tile | newest event in it | columns … ]`. */
export const rowHeader = 2
