/**
 * A stretch of one segment that is in memory: byte `at` of `bytes` is byte
 * `from + at` of the file.
 */
export interface TailChunk {
  readonly segment: number
  readonly from: number
  /** First position that is not in it. */
  to: number
  readonly bytes: Buffer
}

const chunkBytes = 1 << 20

/**
 * The latest frames. Commits are assembled here and written from here, and
 * whoever reads close behind the writer gets views of the same memory: no
 * copy and no file access. Memory that was given out is never written again.
 */
export class TailChunks {
  readonly #limitBytes: number
  #chunks: TailChunk[] = []
  #totalBytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** A chunk with room for `count` bytes at `position` of the segment; `to` moves when they are written. */
  reserve(segment: number, position: number, count: number): TailChunk {
    const last = this.#chunks.at(-1)
    if (last !== undefined && last.segment === segment && last.to === position) {
      if (position - last.from + count <= last.bytes.length) return last
    }
    const bytes = Buffer.allocUnsafeSlow(Math.max(chunkBytes, count))
    const chunk = { segment, from: position, to: position, bytes }
    this.#chunks.push(chunk)
    this.#totalBytes += bytes.length
    while (this.#chunks.length > 1 && this.#totalBytes > this.#limitBytes) {
      this.#totalBytes -= this.#chunks.shift()!.bytes.length
    }
    return chunk
  }

  find(segment: number, position: number): TailChunk | undefined {
    for (let at = this.#chunks.length - 1; at >= 0; at--) {
      const chunk = this.#chunks[at]!
      if (chunk.segment === segment && position >= chunk.from && position < chunk.to) return chunk
      if (chunk.segment < segment) return undefined
    }
    return undefined
  }

  /** Forgets a segment whose file is another one now. */
  drop(segment: number): void {
    this.#chunks = this.#chunks.filter((chunk) => chunk.segment !== segment)
    this.#totalBytes = this.#chunks.reduce((total, { bytes }) => total + bytes.length, 0)
  }
}
