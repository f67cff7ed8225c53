/**
 * Where state lives between runs: an ordered map from (space, key bytes) to
 * value bytes, written in atomic batches. Spaces are disjoint key ranges, one
 * a store. Every adapter passes `test/conformance/database.suite.ts`.
 */
export interface Database {
  /** Values in the order of the keys; undefined where there is none. One call for all, each read at some moment of it. */
  getMany(space: string, keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  /** Entries of a space in key order (bytes compared unsigned), in chunks; a snapshot of the moment of the call. */
  scan(space: string, range?: KeyRange): AsyncIterable<readonly DatabaseEntry[]>
  /** All or nothing, across spaces. Keys and values are given up: they must not change afterwards. */
  write(batch: readonly DatabaseWrite[]): Promise<void>
  /** Removes every entry of a space. */
  clear(space: string): Promise<void>
  close(): Promise<void>
}

export interface KeyRange {
  /** First key wanted. */
  readonly from?: Uint8Array
  /** First key not wanted. */
  readonly to?: Uint8Array
}

export interface DatabaseEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface DatabaseWrite {
  readonly space: string
  readonly key: Uint8Array
  /** Absent: the key is deleted. */
  readonly value?: Uint8Array
}
