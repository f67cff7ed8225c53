import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { type LearnerState, refuseSnapshot, type StatePage } from '../learner.ts'
import { readRuns, writeRuns } from './double-runs.ts'
import { openSnapshot, startSnapshot } from './snapshot-header.ts'

/** A page is 2^9 doubles, 4 KiB. */
export const pageShift = 9
const pageCells = 1 << pageShift

/** What a learner writes to `touched[cell >> pageShift]` when it changes a cell. */
export const pageTouched = 3
const unsaved = 1
const everTouched = 2

/**
 * State of a fixed number of doubles, all zero at first: weights, sums of
 * squared gradients, means. A learner reads and writes `cells` directly and
 * marks the page of each cell that it changes; nothing is allocated.
 *
 * A snapshot is the learner's name and the runs of non-zero cells, with the
 * cells counted through the whole array:
 *
 *     [ 'HWC1' | name: string | cells: varint | runs of page | … ]
 */
export class CellState implements LearnerState {
  readonly cells: Float64Array
  /** One mark for each page of `cells`. */
  readonly touched: Uint8Array
  readonly #name: string

  constructor(name: string, cellCount: number) {
    this.#name = name
    this.cells = new Float64Array(cellCount)
    this.touched = new Uint8Array(Math.ceil(cellCount / pageCells))
  }

  get dirtyBytes(): number {
    let pages = 0
    for (const mark of this.touched) pages += mark & unsaved
    return pages * pageCells * 8
  }

  /** Marks the pages of `cells[from … to)`, for steps that change a whole region. */
  touch(from: number, to: number): void {
    for (let page = from >> pageShift; page <= (to - 1) >> pageShift; page++) this.touched[page] = pageTouched
  }

  save(): StatePage[] {
    const out = new ByteWriter(256)
    const pages: StatePage[] = []
    for (let page = 0; page < this.touched.length; page++) {
      if ((this.touched[page]! & unsaved) === 0) continue
      this.touched[page] = everTouched
      out.reset()
      writeRuns(this.cells, page << pageShift, this.#endOf(page), out)
      pages.push({ page, bytes: out.take() })
    }
    return pages
  }

  restore(pages: Iterable<StatePage>): void {
    this.#guard(() => {
      for (const { page, bytes } of pages) this.#read(page, bytes, everTouched)
    })
  }

  snapshot(): Uint8Array {
    const out = new ByteWriter(1024)
    startSnapshot(out, magic, this.#name)
    out.varint(this.cells.length)
    const runs = new ByteWriter(1024)
    for (let page = 0; page < this.touched.length; page++) {
      if (this.touched[page] === 0) continue
      runs.reset()
      writeRuns(this.cells, page << pageShift, this.#endOf(page), runs)
      if (runs.length === 0) continue
      out.varint(page)
      out.varint(runs.length)
      out.raw(runs.view())
    }
    return out.take()
  }

  load(snapshot: Uint8Array): void {
    this.#guard(() => {
      const cursor = openSnapshot(snapshot, magic, this.#name)
      const cellCount = cursor.varint()
      if (cellCount !== this.cells.length) throw new RangeError(`the snapshot has ${cellCount} cells`)
      for (let page = 0; page < this.touched.length; page++) {
        if (this.touched[page] === 0) continue
        this.cells.fill(0, page << pageShift, this.#endOf(page))
        this.touched[page] = pageTouched
      }
      while (!cursor.isAtEnd) this.#read(cursor.varint(), cursor.take(cursor.varint()), pageTouched)
    })
  }

  #endOf(page: number): number {
    return Math.min((page + 1) << pageShift, this.cells.length)
  }

  #read(page: number, bytes: Uint8Array, mark: number): void {
    if (!(page >= 0 && page < this.touched.length)) throw new RangeError(`it has no page ${page}`)
    readRuns(bytes, this.cells, page << pageShift, this.#endOf(page))
    this.touched[page] = mark
  }

  #guard(read: () => void): void {
    try {
      read()
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      refuseSnapshot(this.#name, cause.message)
    }
  }
}

const magic = 'HWC1'
