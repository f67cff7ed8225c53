import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import type { TimestampMs } from '../state/contracts/units.ts'
import { packValue, unpackValue } from '../state/store/value-encoding.ts'
import { unfinishedName, unwritable } from './table-file.ts'

/** A row that waits for its time. */
export interface WaitingRow {
  readonly queryMs: TimestampMs
  /** Place in the input. */
  readonly index: number
  /** What names its entities, in the order of the fields. */
  readonly values: readonly unknown[]
}

const bufferBytes = 1 << 16
const headBytes = 20

/**
 * Rows sorted by time, ties in input order: sorted runs on the disk, merged
 * as they are read. A run's rows and a buffer of each run are in memory.
 */
export class SortedRows {
  readonly #path: string
  readonly #runRows: number
  #pending: WaitingRow[] = []
  readonly #runs: string[] = []
  #readers: RunReader[] = []

  /** `runRows` are sorted in memory at once. */
  constructor(path: string, runRows = 1 << 17) {
    this.#path = path
    this.#runRows = runRows
  }

  add(row: WaitingRow): void {
    this.#pending.push(row)
    if (this.#pending.length >= this.#runRows) this.#spill()
  }

  /** No more rows come. */
  sorted(): void {
    this.#spill()
    this.#readers = this.#runs.map((path) => new RunReader(path)).filter(({ head }) => head !== undefined)
    this.#readers.sort(byHead)
  }

  get head(): WaitingRow | undefined {
    return this.#readers[0]?.head
  }

  take(): WaitingRow {
    const [reader] = this.#readers as [RunReader]
    const row = reader.head!
    reader.advance()
    if (reader.head === undefined) this.#readers.shift()
    else if (this.#readers[1] !== undefined && byHead(this.#readers[1], reader) < 0) {
      this.#readers.shift()
      const place = this.#readers.findIndex((other) => byHead(reader, other) < 0)
      this.#readers.splice(place < 0 ? this.#readers.length : place, 0, reader)
    }
    return row
  }

  close(): void {
    for (const reader of this.#readers) reader.close()
    for (const path of this.#runs) rmSync(path, { force: true })
  }

  #spill(): void {
    if (this.#pending.length === 0) return
    const rows = this.#pending.sort((one, other) => one.queryMs - other.queryMs || one.index - other.index)
    this.#pending = []
    const path = unfinishedName(this.#path, `run-${this.#runs.length}`)
    this.#runs.push(path)
    try {
      const fd = openSync(path, 'w')
      try {
        let parts: Buffer[] = []
        let size = 0
        for (const { queryMs, index, values } of rows) {
          const packed = packValue(values)
          const head = Buffer.allocUnsafe(headBytes)
          head.writeDoubleLE(queryMs, 0)
          head.writeDoubleLE(index, 8)
          head.writeUInt32LE(packed.length, 16)
          parts.push(head, packed)
          size += headBytes + packed.length
          if (size >= 1 << 20) {
            writeAll(fd, Buffer.concat(parts))
            parts = []
            size = 0
          }
        }
        writeAll(fd, Buffer.concat(parts))
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      throw unwritable(path, 'written', error)
    }
  }
}

function writeAll(fd: number, bytes: Uint8Array, position?: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(fd, bytes, at, bytes.length - at, position === undefined ? null : position + at)
  }
}

const byHead = (one: RunReader, other: RunReader): number =>
  one.head!.queryMs - other.head!.queryMs || one.head!.index - other.head!.index

class RunReader {
  head: WaitingRow | undefined
  readonly #fd: number
  #buffer = Buffer.alloc(0)
  #at = 0
  #isClosed = false

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.advance()
  }

  advance(): void {
    if (!this.#need(headBytes)) {
      this.head = undefined
      this.close()
      return
    }
    const queryMs = this.#buffer.readDoubleLE(this.#at)
    const index = this.#buffer.readDoubleLE(this.#at + 8)
    const length = this.#buffer.readUInt32LE(this.#at + 16)
    this.#at += headBytes
    this.#need(length)
    const values = unpackValue(this.#buffer.subarray(this.#at, this.#at + length)) as readonly unknown[]
    this.#at += length
    this.head = { queryMs, index, values }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    closeSync(this.#fd)
  }

  #need(bytes: number): boolean {
    while (this.#buffer.length - this.#at < bytes) {
      const more = Buffer.allocUnsafe(Math.max(bufferBytes, bytes))
      const read = readSync(this.#fd, more, 0, more.length, null)
      if (read === 0) return false
      this.#buffer = Buffer.concat([this.#buffer.subarray(this.#at), more.subarray(0, read)])
      this.#at = 0
    }
    return true
  }
}

const answersAtOnce = 4_096

/** Vectors by row number, on the disk; rows without one read as undefined. */
export class AnswerFile {
  readonly #path: string
  readonly #width: number
  readonly #fd: number
  /** Answers of consecutive rows, each with a 1 ahead of it: a hole in the file reads as 0. */
  readonly #buffer: Float64Array
  #from = 0
  #count = 0

  constructor(path: string, width: number) {
    this.#path = unfinishedName(path, 'answers')
    this.#width = width + 1
    this.#buffer = new Float64Array(this.#width * answersAtOnce)
    try {
      this.#fd = openSync(this.#path, 'w+')
    } catch (error) {
      throw unwritable(this.#path, 'opened', error)
    }
  }

  put(index: number, vector: Float64Array): void {
    if (index !== this.#from + this.#count || this.#count === answersAtOnce) this.#flush(index)
    const at = this.#count++ * this.#width
    this.#buffer[at] = 1
    this.#buffer.set(vector, at + 1)
  }

  /** Vectors of so many rows from one on, each with 1 ahead of it, or 0 where there is none. */
  read(from: number, count: number): Float64Array {
    this.#flush(0)
    const values = new Float64Array(count * this.#width)
    const bytes = Buffer.from(values.buffer)
    const start = from * this.#width * 8
    for (let at = 0; at < bytes.length; ) {
      const read = readSync(this.#fd, bytes, at, bytes.length - at, start + at)
      if (read === 0) break
      at += read
    }
    return values
  }

  close(): void {
    closeSync(this.#fd)
    rmSync(this.#path, { force: true })
  }

  #flush(next: number): void {
    if (this.#count > 0) {
      const bytes = Buffer.from(this.#buffer.buffer, 0, this.#count * this.#width * 8)
      try {
        writeAll(this.#fd, bytes, this.#from * this.#width * 8)
      } catch (error) {
        throw unwritable(this.#path, 'written', error)
      }
    }
    this.#from = next
    this.#count = 0
  }
}
