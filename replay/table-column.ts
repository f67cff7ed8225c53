/** What a column of a training set holds; null wherever there is no value. */
export type ColumnType = 'string' | 'double' | 'long' | 'boolean' | 'timestamp' | 'longs'

export interface TableColumn {
  readonly name: string
  readonly type: ColumnType
}

/**
 * Values of one column, one a row. Doubles are numbers or null, or in a
 * Float64Array with NaN for null; longs are whole numbers or bigints,
 * timestamps are ms since 1970, `longs` is a list of longs. They are the
 * caller's again when `write` returns.
 */
export type ColumnValues = readonly unknown[] | Float64Array

/** Rows go in by groups; a group is all that is in memory. */
export interface TableWriter {
  write(columns: readonly ColumnValues[]): void
  /** What says where the rows come from, as text by name; the file is whole after it. */
  finish(metadata: Readonly<Record<string, string>>): void
}

/** Bytes of a file, in order. */
export interface ByteSink {
  write(bytes: Uint8Array): void
}

/** What a table is written as. */
export type TableFormat = 'parquet' | 'avro' | 'csv' | 'ndjson'

/** Rows of a table in their order, by column; numbers of a timestamp column are ms since 1970. */
export interface TableChunk {
  readonly count: number
  readonly columns: ReadonlyMap<string, readonly unknown[]>
}

/** What is wanted of a table's rows. */
export interface ChunkOptions {
  /** Only these columns; all unless given. */
  readonly names?: readonly string[]
  /** Text of a column that is known to be one of whole numbers may come as numbers. */
  readonly asTyped?: boolean
}

export interface TableReader {
  /** In the order of the file. */
  readonly names: readonly string[]
  /** A column's type: known from the schema, or from the values of all chunks read so far. */
  typeOf(name: string): ColumnType
  /** Reads from the beginning, each time it is asked. */
  chunks(options?: ChunkOptions): AsyncIterable<TableChunk>
}
