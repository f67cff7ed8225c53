/**
 * Where the sections of one topic partition lie, in offset order: columns
 * that grow, since a log of small commits has millions of rows and an object
 * a row would cost ten times as much.
 */
export class SectionIndex {
  /** Rows from `first` to `length - 1` are live; those before were cut off by retention. */
  first = 0
  length = 0
  /** Which segment (or piece of memory) holds the section. */
  segments: Uint32Array = new Uint32Array(0)
  positions: Uint32Array = new Uint32Array(0)
  byteLengths: Uint32Array = new Uint32Array(0)
  counts: Uint32Array = new Uint32Array(0)
  baseOffsets: Float64Array = new Float64Array(0)
  /** Greatest event time in the section. */
  maxTimestamps: Float64Array = new Float64Array(0)

  push(
    segment: number,
    position: number,
    byteLength: number,
    count: number,
    baseOffset: number,
    maxTimestampMs: number,
  ): void {
    const row = this.length
    if (row === this.segments.length) this.#grow(Math.max(8, row * 2))
    this.segments[row] = segment
    this.positions[row] = position
    this.byteLengths[row] = byteLength
    this.counts[row] = count
    this.baseOffsets[row] = baseOffset
    this.maxTimestamps[row] = maxTimestampMs
    this.length = row + 1
  }

  /** The live row that holds `offset`, or would hold it: the last one with a base at or before it. */
  rowOf(offset: number): number {
    let low = this.first
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.baseOffsets[middle]! <= offset) low = middle + 1
      else high = middle
    }
    return Math.max(this.first, low - 1)
  }

  /** Cuts off the rows before `row`; their memory goes once they are the greater part. */
  dropBefore(row: number): void {
    this.first = Math.max(this.first, row)
    if (this.first < 1024 || this.first < this.length / 2) return
    this.#move(this.first, this.length, Math.max(8, (this.length - this.first) * 2))
    this.length -= this.first
    this.first = 0
  }

  /** Puts the rows of `other` in the place of rows `[from, to)`. */
  replace(from: number, to: number, other: SectionIndex): void {
    const tail = new SectionIndex()
    tail.appendRows(this, to, this.length)
    this.length = from
    this.first = Math.min(this.first, from)
    this.appendRows(other, other.first, other.length)
    this.appendRows(tail, 0, tail.length)
  }

  appendRows(other: SectionIndex, from: number, to: number): void {
    for (let row = from; row < to; row++) {
      this.push(
        other.segments[row]!,
        other.positions[row]!,
        other.byteLengths[row]!,
        other.counts[row]!,
        other.baseOffsets[row]!,
        other.maxTimestamps[row]!,
      )
    }
  }

  #grow(capacity: number): void {
    this.#move(0, this.length, capacity)
  }

  #move(from: number, to: number, capacity: number): void {
    const { segments, positions, byteLengths, counts, baseOffsets, maxTimestamps } = this
    this.segments = new Uint32Array(capacity)
    this.segments.set(segments.subarray(from, to))
    this.positions = new Uint32Array(capacity)
    this.positions.set(positions.subarray(from, to))
    this.byteLengths = new Uint32Array(capacity)
    this.byteLengths.set(byteLengths.subarray(from, to))
    this.counts = new Uint32Array(capacity)
    this.counts.set(counts.subarray(from, to))
    this.baseOffsets = new Float64Array(capacity)
    this.baseOffsets.set(baseOffsets.subarray(from, to))
    this.maxTimestamps = new Float64Array(capacity)
    this.maxTimestamps.set(maxTimestamps.subarray(from, to))
  }
}
