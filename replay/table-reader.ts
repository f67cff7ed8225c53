import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import * as zlib from 'node:zlib'
import {
  asyncBufferFromFile,
  type Compressors,
  type ParquetScan,
  parquetScan,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet'
import { EngineError } from '../state/contracts/engine-error.ts'
import type {
  ChunkOptions,
  ColumnType,
  TableChunk,
  TableColumn,
  TableFormat,
  TableReader,
} from './table-column.ts'
import { csvTable, ndjsonTable } from './table-reader-text.ts'

export const chunkRows = 20_000

/** @throws EngineError `table-unreadable` */
export async function openTable(path: string, format: TableFormat): Promise<TableReader> {
  try {
    if (format === 'avro') throw new RangeError('Avro files are written here, and not read')
    if (format === 'csv') return await csvTable(path)
    if (format === 'ndjson') return await ndjsonTable(path)
    return await ParquetReader.open(path)
  } catch (error) {
    throw unreadable(path, error)
  }
}

const unreadable = (path: string, error: unknown): EngineError<'table-unreadable'> =>
  error instanceof EngineError
    ? (error as EngineError<'table-unreadable'>)
    : new EngineError(
        'table-unreadable',
        {
          path: resolve(path),
          found: error instanceof Error ? error.message : String(error),
          expected: 'a whole Parquet file, CSV with a header, or one JSON object a line',
        },
        { cause: error },
      )

/** SHA-256 of a file, in hex. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  } catch (error) {
    throw unreadable(path, error)
  }
  return hash.digest('hex')
}

const bytesOf = (buffer: Buffer): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)

/** Node has it since 22.15. */
const { zstdDecompressSync: unpackZstd } = zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Buffer }

/** What Node can unpack itself, beside hyparquet's own Snappy. */
const compressors: Compressors = {
  GZIP: (input) => bytesOf(zlib.gunzipSync(input)),
  BROTLI: (input) => bytesOf(zlib.brotliDecompressSync(input)),
  ...(unpackZstd ? { ZSTD: (input: Uint8Array) => bytesOf(unpackZstd(input)) } : {}),
}

/** Times as ms, with what is finer than a millisecond as its fraction. */
const parsers = {
  timestampFromMilliseconds: Number,
  timestampFromMicroseconds: (micros: bigint) => Number(micros) / 1e3,
  timestampFromNanoseconds: (nanos: bigint) => Number(nanos) / 1e6,
  dateFromDays: (days: number) => days * 86_400_000,
}

class ParquetReader implements TableReader {
  readonly names: readonly string[]
  readonly #path: string
  readonly #scan: ParquetScan
  readonly #types: ReadonlyMap<string, ColumnType>

  private constructor(path: string, scan: ParquetScan) {
    this.#path = path
    this.#scan = scan
    const { children } = parquetSchema(scan.metadata)
    this.names = children.map(({ element }) => element.name)
    this.#types = new Map(children.map((child) => [child.element.name, parquetType(child)]))
  }

  static async open(path: string): Promise<ParquetReader> {
    const file = await asyncBufferFromFile(path)
    return new ParquetReader(path, await parquetScan({ file, compressors, parsers }))
  }

  typeOf(name: string): ColumnType {
    return this.#types.get(name) ?? 'string'
  }

  async *chunks({ names = this.names }: ChunkOptions = {}): AsyncGenerator<TableChunk> {
    for (const { rowStart, rowEnd } of this.#scan.ranges) {
      const columns = new Map<string, ArrayLike<unknown>>()
      try {
        for (const column of names) {
          columns.set(column, await this.#scan.readColumn({ column, rowStart, rowEnd }))
        }
      } catch (error) {
        throw unreadable(this.#path, error)
      }
      const rows = rowEnd - rowStart
      for (let from = 0; from < rows; from += chunkRows) {
        const to = Math.min(rows, from + chunkRows)
        const part = [...columns].map(([name, values]): [string, readonly unknown[]] => [
          name,
          Array.from({ length: to - from }, (_, index) => values[from + index] ?? null),
        ])
        yield { count: to - from, columns: new Map(part) }
      }
    }
  }
}

function parquetType({ element, children }: SchemaTree): ColumnType {
  if (children.length > 0) return 'string'
  const { type, converted_type: converted = '', logical_type: logical } = element
  if (/^(TIMESTAMP|DATE)/.test(converted) || logical?.type === 'TIMESTAMP' || type === 'INT96') {
    return 'timestamp'
  }
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return 'double'
  if (type === 'BOOLEAN') return 'boolean'
  if (type === 'INT32' || type === 'INT64') return 'long'
  return type === 'FLOAT' || type === 'DOUBLE' ? 'double' : 'string'
}

/** A value as its column holds it; what does not fit a column of text is written as JSON. */
export function columnValue(type: ColumnType, value: unknown): unknown {
  if (value === null || value === undefined) return null
  switch (type) {
    case 'double': {
      const number = Number(value)
      return Number.isNaN(number) || value === '' ? null : number
    }
    case 'long':
      // Of at most 15 digits all are exact in a double.
      return typeof value === 'string' ? (value.length <= 15 ? Number(value) : BigInt(value)) : value
    case 'boolean':
      return value === true || value === 'true'
    case 'timestamp': {
      const ms = value instanceof Date ? value.getTime() : Number(value)
      return Number.isNaN(ms) ? null : Math.floor(ms)
    }
    default:
      if (typeof value === 'string') return value
      if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
      return typeof value === 'object' ? textOf(value) : String(value)
  }
}

const textOf = (value: object): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part))

/** The columns of a table as they are written again. */
export const columnsOfTable = (table: TableReader): readonly TableColumn[] =>
  table.names.map((name) => ({ name, type: table.typeOf(name) }))
