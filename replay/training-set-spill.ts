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
/** Rows that are packed and unpacked at once. */
const blockRows = 512
/** Count of a block's rows, and bytes of their values. */
const headBytes = 8

/**
 * Rows sorted by time, ties in input order: sorted runs on the disk, merged
 * as they are read. A run's rows and a buffer of each run are in memory.
 */
export class SortedRows {
  readonly #path: string
  readonly #runRows: number
  /** By column: an object a row would be moved about by the garbage collector. */
  #times: number[] = []
  #indices: number[] = []
  #values: unknown[][] = []
  #isSorted = true
  readonly #runs: string[] = []
  #readers: RunReader[] = []

  /** `runRows` are sorted in memory at once. */
  constructor(path: string, runRows = 1 << 17) {
    this.#path = path
    this.#runRows = runRows
  }

  /** The row and its values are the caller's again. Rows come in the order of their indices. */
  add({ queryMs, index, values }: WaitingRow): void {
    const count = this.#times.length
    if (count > 0 && queryMs < this.#times[count - 1]!) this.#isSorted = false
    this.#times.push(queryMs)
    this.#indices.push(index)
    for (let place = 0; place < values.length; place++) {
      const column = this.#values[place]
      if (column === undefined) this.#values[place] = [values[place]]
      else column.push(values[place])
    }
    if (count + 1 >= this.#runRows) this.#spill()
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
    const times = this.#times
    const count = times.length
    if (count === 0) return
    const order = Uint32Array.from({ length: count }, (_, row) => row)
    // The rows came in the order of their indices.
    if (!this.#isSorted) order.sort((one, other) => times[one]! - times[other]! || one - other)
    const path = unfinishedName(this.#path, `run-${this.#runs.length}`)
    this.#runs.push(path)
    try {
      const fd = openSync(path, 'w')
      try {
        for (let from = 0; from < count; from += blockRows) {
          writeAll(fd, this.#block(order.subarray(from, from + blockRows)))
        }
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      throw unwritable(path, 'written', error)
    }
    this.#times = []
    this.#indices = []
    this.#values = []
    this.#isSorted = true
  }

  /** `[ count | bytes of values | times … | indices … | values by column ]` of rows in an order. */
  #block(order: Uint32Array): Buffer {
    const count = order.length
    const numbers = new Float64Array(2 * count)
    for (let row = 0; row < count; row++) {
      numbers[row] = this.#times[order[row]!]!
      numbers[count + row] = this.#indices[order[row]!]!
    }
    const packed = packValue(this.#values.map((column) => Array.from(order, (row) => column[row])))
    const head = Buffer.allocUnsafe(headBytes)
    head.writeUInt32LE(count, 0)
    head.writeUInt32LE(packed.length, 4)
    return Buffer.concat([head, Buffer.from(numbers.buffer), packed])
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
  #count = 0
  #row = 0
  #numbers = new Float64Array(0)
  #values: readonly (readonly unknown[])[] = []
  #isClosed = false

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.advance()
  }

  advance(): void {
    if (this.#row === this.#count && !this.#fill()) {
      this.head = undefined
      this.close()
      return
    }
    const row = this.#row++
    const columns = this.#values
    const values = new Array<unknown>(columns.length)
    for (let place = 0; place < columns.length; place++) values[place] = columns[place]![row]
    this.head = { queryMs: this.#numbers[row]!, index: this.#numbers[this.#count + row]!, values }
  }

  /** The next block; false behind the last. */
  #fill(): boolean {
    if (!this.#need(headBytes)) return false
    const count = this.#buffer.readUInt32LE(this.#at)
    const length = this.#buffer.readUInt32LE(this.#at + 4)
    const start = headBytes + 16 * count
    this.#need(start + length)
    const at = this.#at
    this.#numbers = new Float64Array(2 * count)
    new Uint8Array(this.#numbers.buffer).set(this.#buffer.subarray(at + headBytes, at + start))
    this.#values = unpackValue(
      this.#buffer.subarray(at + start, at + start + length),
    ) as readonly (readonly unknown[])[]
    this.#at += start + length
    this.#count = count
    this.#row = 0
    return true
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
    const buffer = this.#buffer
    const at = this.#count++ * this.#width
    buffer[at] = 1
    // A vector is short: the loop is faster than a call that copies.
    for (let place = 1; place < this.#width; place++) buffer[at + place] = vector[place - 1]!
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
