import type { ColumnChunk, SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { ByteSink, ColumnType, ColumnValues, TableColumn, TableWriter } from './table-column.ts'
import { TextPages } from './text-pages.ts'
import { WordPages } from './word-pages.ts'

/** hyparquet's writer over a sink: what is encoded leaves the memory by the megabyte. */
class SinkWriter extends ByteWriter {
  readonly #sink: ByteSink

  constructor(sink: ByteSink) {
    super(1 << 16)
    this.#sink = sink
  }

  override ensure(size: number): void {
    if (this.index >= 1 << 20) this.flush()
    super.ensure(size)
  }

  flush(): void {
    this.#sink.write(new Uint8Array(this.buffer, 0, this.index))
    this.index = 0
  }

  override finish(): void {
    this.flush()
  }
}

/** Parquet: a row group for each `write`, typed columns with statistics; texts by Snappy, numbers by dictionary. */
export class ParquetTable implements TableWriter {
  readonly #columns: readonly TableColumn[]
  readonly #sink: SinkWriter
  readonly #writer: ParquetWriter
  readonly #words = new WordPages()
  readonly #texts: TextPages

  constructor(sink: ByteSink, columns: readonly TableColumn[]) {
    this.#columns = columns
    this.#sink = new SinkWriter(sink)
    this.#writer = new ParquetWriter({
      writer: this.#sink,
      schema: [{ name: 'root', num_children: columns.length }, ...columns.flatMap(schemaOf)],
      createdBy: 'headwater',
    })
    this.#texts = new TextPages(this.#writer.compressors.SNAPPY)
  }

  write(columns: readonly ColumnValues[]): void {
    const rows = columns[0]?.length ?? 0
    if (rows === 0) return
    const start = this.#sink.offset
    const chunks = this.#columns.flatMap((column, index) => this.#chunksOf(column, columns[index]!, rows))
    const writer = this.#writer
    writer.num_rows += BigInt(rows)
    writer.row_groups.push({
      columns: chunks,
      num_rows: BigInt(rows),
      total_byte_size: chunks.reduce(
        (sum, chunk) => sum + (chunk.meta_data?.total_uncompressed_size ?? 0n),
        0n,
      ),
      total_compressed_size: BigInt(this.#sink.offset - start),
    })
    this.#sink.flush()
  }

  #chunksOf({ name, type }: TableColumn, values: ColumnValues, rows: number): readonly ColumnChunk[] {
    const numbers =
      type === 'string' || type === 'boolean' || type === 'longs' ? undefined : numbersOf(values)
    if (numbers !== undefined) {
      return [this.#words.write(this.#sink, name, type === 'double' ? 'DOUBLE' : 'INT64', numbers)]
    }
    if (type === 'string') return [this.#texts.write(this.#sink, name, values as readonly unknown[])]
    // The library writes groups only: one of this column alone, whose chunk then joins the others'.
    const writer = this.#writer
    writer.write({ columnData: [{ name, data: physical(type, values) }], rowGroupSize: rows })
    writer.num_rows -= BigInt(rows)
    return writer.row_groups.pop()!.columns
  }

  finish(metadata: Readonly<Record<string, string>>): void {
    this.#writer.kvMetadata = Object.entries(metadata).map(([key, value]) => ({ key, value }))
    this.#writer.finish()
  }
}

function schemaOf({ name, type }: TableColumn): SchemaElement[] {
  const optional = { name, repetition_type: 'OPTIONAL' } as const
  switch (type) {
    case 'string':
      return [{ ...optional, type: 'BYTE_ARRAY', converted_type: 'UTF8' }]
    case 'double':
      return [{ ...optional, type: 'DOUBLE' }]
    case 'long':
      return [{ ...optional, type: 'INT64' }]
    case 'boolean':
      return [{ ...optional, type: 'BOOLEAN' }]
    case 'timestamp':
      return [{ ...optional, type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' }]
    case 'longs':
      return [
        { ...optional, converted_type: 'LIST', num_children: 1 },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', repetition_type: 'REQUIRED', type: 'INT64' },
      ]
  }
}

const int64 = (value: unknown): bigint | null =>
  value === null || value === undefined ? null : BigInt(value as number | bigint)

/** NaN for null; undefined where a number is too large for a double to hold it exactly. */
function numbersOf(values: ColumnValues): Float64Array | undefined {
  if (values instanceof Float64Array) return values
  const numbers = new Float64Array(values.length)
  for (let row = 0; row < numbers.length; row++) {
    const value = values[row]
    if (value === null || value === undefined) numbers[row] = Number.NaN
    else if (typeof value === 'number') numbers[row] = value
    else {
      numbers[row] = Number(value)
      if (!Number.isSafeInteger(numbers[row])) return undefined
    }
  }
  return numbers
}

function physical(type: ColumnType, values: ColumnValues): unknown[] {
  if (type === 'long' || type === 'timestamp') return Array.from(values, int64)
  if (type === 'longs')
    return Array.from(values, (list) => (list as readonly number[] | null)?.map(int64) ?? null)
  return values as unknown[]
}
