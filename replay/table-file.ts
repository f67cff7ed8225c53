import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { EngineError } from '../state/contracts/engine-error.ts'
import { AvroTable } from './table-avro.ts'
import type { ByteSink, ColumnValues, TableColumn, TableFormat, TableWriter } from './table-column.ts'
import { ParquetTable } from './table-parquet.ts'
import { CsvTable, NdjsonTable } from './table-text.ts'

/** Files of a run that has not ended carry its process id: `<name>.<pid>.<what>`. */
export const unfinishedName = (path: string, what: string): string =>
  `${resolve(path)}.${process.pid}.${what}`

/** Removes what runs that were killed left beside `path`; those that still run keep theirs. */
export function sweepUnfinished(path: string): void {
  const folder = dirname(resolve(path))
  const prefix = `${basename(path)}.`
  let names: readonly string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    throw unwritable(path, 'opened', error)
  }
  for (const name of names) {
    if (!name.startsWith(prefix)) continue
    const pid = Number(
      /^(\d+)\.(?:part|provenance|rows|answers|run-\d+)$/.exec(name.slice(prefix.length))?.[1],
    )
    if (pid > 0 && pid !== process.pid && !isRunning(pid)) rmSync(join(folder, name), { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

export const unwritable = (
  path: string,
  operation: string,
  error: unknown,
): EngineError<'table-unwritable'> =>
  new EngineError(
    'table-unwritable',
    { path: resolve(path), operation, detail: error instanceof Error ? error.message : String(error) },
    { cause: error },
  )

/**
 * A table under a name that shows it is not whole yet; `finish` makes it
 * durable and gives it its own name, `abort` removes it. A reader of the final
 * name sees the old file or the whole new one, never a part.
 */
export class TableFile {
  /** Bytes written so far. */
  bytes = 0
  readonly path: string
  #partial: string
  readonly #format: TableFormat
  readonly #table: TableWriter
  /** Its header is written last, before rows that lie in a file of their own until then. */
  readonly #avro: AvroTable | undefined
  #fd: number

  constructor(path: string, format: TableFormat, columns: readonly TableColumn[]) {
    this.path = resolve(path)
    this.#format = format
    this.#partial = unfinishedName(path, format === 'avro' ? 'rows' : 'part')
    try {
      this.#fd = openSync(this.#partial, 'w')
    } catch (error) {
      throw unwritable(path, 'opened', error)
    }
    const sink: ByteSink = { write: (bytes) => this.#append(bytes) }
    this.#avro = format === 'avro' ? new AvroTable(sink, columns) : undefined
    if (this.#avro !== undefined) this.#table = this.#avro
    else if (format === 'parquet') this.#table = new ParquetTable(sink, columns)
    else if (format === 'csv') this.#table = new CsvTable(sink, columns)
    else this.#table = new NdjsonTable(sink, columns)
  }

  write(columns: readonly ColumnValues[]): void {
    this.#table.write(columns)
  }

  /** Text formats have no place for metadata: theirs goes to `<name>.provenance.json` beside it. */
  finish(metadata: Readonly<Record<string, string>>): void {
    this.#table.finish(metadata)
    if (this.#avro !== undefined) this.#putBehind(this.#avro.header(metadata))
    try {
      fsyncSync(this.#fd)
      closeSync(this.#fd)
      this.#fd = -1
      if (this.#format === 'csv' || this.#format === 'ndjson') {
        const beside = `${this.path}.provenance.json`
        const partial = unfinishedName(this.path, 'provenance')
        writeFileSync(partial, `${JSON.stringify(metadata, undefined, 2)}\n`)
        renameSync(partial, beside)
      }
      renameSync(this.#partial, this.path)
    } catch (error) {
      throw unwritable(this.path, 'written', error)
    }
    syncFolder(dirname(this.path))
  }

  abort(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
    rmSync(this.#partial, { force: true })
  }

  /** Goes on in a new file that begins with the header and then holds all that was written. */
  #putBehind(header: Uint8Array): void {
    const rows = this.#partial
    try {
      closeSync(this.#fd)
      this.#partial = unfinishedName(this.path, 'part')
      this.#fd = openSync(this.#partial, 'w')
      const source = openSync(rows, 'r')
      try {
        this.bytes = 0
        this.#append(header)
        const piece = Buffer.allocUnsafe(1 << 20)
        for (let count = readSync(source, piece); count > 0; count = readSync(source, piece)) {
          this.#append(piece.subarray(0, count))
        }
      } finally {
        closeSync(source)
      }
    } catch (error) {
      throw error instanceof EngineError ? error : unwritable(this.path, 'written', error)
    } finally {
      rmSync(rows, { force: true })
    }
  }

  #append(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at)
    } catch (error) {
      throw unwritable(this.path, 'written', error)
    }
    this.bytes += bytes.length
  }
}

/** The new name is durable too, where the file system lets a folder be synced. */
function syncFolder(folder: string): void {
  try {
    const fd = openSync(folder, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch {
    // Some file systems refuse this, and the file itself is on the disk by now.
  }
}
