import type { ColumnChunk } from 'hyparquet'
import type { ByteWriter } from 'hyparquet-writer'
import {
  chunkOf,
  levelsOf,
  mostDistinct,
  packedIndices,
  seldomRepeats,
  writeData,
  writeDictionary,
} from './parquet-page.ts'

/**
 * Encodes columns of 8-byte values, a page for each: as a dictionary and
 * indices where values repeat, as they lie where they do not. Not compressed:
 * what repeats is small by then, and what does not repeat, sums and means, no
 * compressor makes smaller.
 *
 * Source: Apache Parquet format 2.10, "Encodings" and "Data Pages".
 */
export class WordPages {
  #doubles = new Float64Array(0)
  #words = new Int32Array(0)
  #present = new Uint8Array(0)
  #indices = new Uint32Array(0)
  readonly #dictionary = new Int32Array(2 * mostDistinct)
  /** Open addressing: an entry is 1 + its place in the dictionary, and belongs to the column that `#round` counts. */
  readonly #table = new Int32Array(4 * mostDistinct)
  readonly #rounds = new Uint32Array(4 * mostDistinct)
  #round = 0

  /** Writes a column of doubles or whole numbers, NaN for null, as an optional field. */
  write(out: ByteWriter, name: string, kind: 'DOUBLE' | 'INT64', values: Float64Array): ColumnChunk {
    const rows = values.length
    const start = out.offset
    this.#grow(rows)
    const { count, least, most } = this.#fill(kind, values)
    const distinct = this.#distinct(count)
    const dictionaryAt = distinct > 0 ? start : undefined
    let uncompressed = 0
    if (distinct > 0) {
      const bytes = new Uint8Array(this.#dictionary.buffer, 0, 8 * distinct)
      uncompressed += writeDictionary(out, distinct, bytes.length, bytes)
    }
    const dataAt = out.offset
    const body =
      distinct > 0
        ? packedIndices(this.#indices, count, distinct)
        : new Uint8Array(this.#doubles.buffer, 0, 8 * count)
    uncompressed += writeData(out, {
      rows,
      nulls: rows - count,
      levels: levelsOf(this.#present, rows, count),
      hasDictionary: distinct > 0,
      size: body.length,
      isCompressed: false,
      body,
    })
    return chunkOf({
      name,
      kind,
      codec: 'UNCOMPRESSED',
      rows,
      nulls: rows - count,
      start,
      dictionaryAt,
      dataAt,
      end: out.offset,
      uncompressed,
      ...(count === 0 ? {} : { bounds: boundsOf(kind, least, most) }),
    })
  }

  #grow(rows: number): void {
    if (this.#doubles.length >= rows) return
    this.#doubles = new Float64Array(rows)
    this.#words = new Int32Array(this.#doubles.buffer)
    this.#present = new Uint8Array(rows)
    this.#indices = new Uint32Array(rows)
  }

  /** The values without the nulls, as they will lie in the file. */
  #fill(kind: 'DOUBLE' | 'INT64', values: Float64Array) {
    const doubles = this.#doubles
    const words = this.#words
    const present = this.#present
    const isDouble = kind === 'DOUBLE'
    let count = 0
    let least = Number.POSITIVE_INFINITY
    let most = Number.NEGATIVE_INFINITY
    for (let row = 0; row < values.length; row++) {
      const value = values[row]!
      if (Number.isNaN(value)) {
        present[row] = 0
        continue
      }
      present[row] = 1
      if (value < least) least = value
      if (value > most) most = value
      if (isDouble) doubles[count++] = value
      else {
        words[2 * count] = value
        words[2 * count++ + 1] = Math.floor(value / 0x1_0000_0000)
      }
    }
    return { count, least, most }
  }

  /** How many different values there are, their indices filled; 0 where they repeat too seldom for a dictionary. */
  #distinct(count: number): number {
    const words = this.#words
    const dictionary = this.#dictionary
    const table = this.#table
    const rounds = this.#rounds
    const indices = this.#indices
    const mask = table.length - 1
    const round = ++this.#round
    let distinct = 0
    for (let index = 0; index < count; index++) {
      const low = words[2 * index]!
      const high = words[2 * index + 1]!
      let hash = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1)
      hash = (hash ^ (hash >>> 15)) & mask
      for (;;) {
        if (rounds[hash] !== round) {
          if (seldomRepeats(distinct + 1, index + 1, count)) return 0
          rounds[hash] = round
          table[hash] = distinct
          dictionary[2 * distinct] = low
          dictionary[2 * distinct + 1] = high
          indices[index] = distinct++
          break
        }
        const place = table[hash]!
        if (dictionary[2 * place] === low && dictionary[2 * place + 1] === high) {
          indices[index] = place
          break
        }
        hash = (hash + 1) & mask
      }
    }
    return distinct
  }
}

function boundsOf(
  kind: 'DOUBLE' | 'INT64',
  least: number,
  most: number,
): readonly [number | bigint, number | bigint] {
  // Either zero is written: a least of +0 would hide a -0, and a greatest of -0 a +0.
  if (kind === 'DOUBLE') return [least === 0 ? -0 : least, most === 0 ? 0 : most]
  return [BigInt(least), BigInt(most)]
}
