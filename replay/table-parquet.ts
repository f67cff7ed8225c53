import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { ByteSink, ColumnType, ColumnValues, TableColumn, TableWriter } from './table-column.ts'

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

/** Parquet: a row group for each `write`, typed columns with statistics, Snappy. */
export class ParquetTable implements TableWriter {
  readonly #columns: readonly TableColumn[]
  readonly #writer: ParquetWriter

  constructor(sink: ByteSink, columns: readonly TableColumn[]) {
    this.#columns = columns
    this.#writer = new ParquetWriter({
      writer: new SinkWriter(sink),
      schema: [{ name: 'root', num_children: columns.length }, ...columns.flatMap(schemaOf)],
      createdBy: 'headwater',
    })
  }

  write(columns: readonly ColumnValues[]): void {
    const rows = columns[0]?.length ?? 0
    if (rows === 0) return
    this.#writer.write({
      columnData: this.#columns.map(({ name, type }, index) => ({
        name,
        data: physical(type, columns[index]!),
        // Measured values rarely repeat; a dictionary of them costs time and no bytes less.
        ...(type === 'double' ? { encoding: 'PLAIN' as const } : {}),
      })),
      rowGroupSize: rows,
    })
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

function physical(type: ColumnType, values: ColumnValues): unknown[] | Float64Array {
  // Without a null the numbers are written as they lie.
  if (values instanceof Float64Array) {
    return values.some(Number.isNaN)
      ? Array.from(values, (value) => (Number.isNaN(value) ? null : value))
      : values
  }
  if (type === 'long') return values.map(int64)
  if (type === 'longs') return values.map((list) => (list as readonly number[] | null)?.map(int64) ?? null)
  if (type === 'timestamp') return values.map((ms) => (ms === null ? null : new Date(ms as number)))
  return values as unknown[]
}
