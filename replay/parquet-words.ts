import type { ColumnChunk } from 'hyparquet'
import { ByteWriter } from 'hyparquet-writer'

/** A larger dictionary would be slower to look up than its values are to write. */
const mostDistinct = 1 << 15

/**
 * Encodes columns of 8-byte values, a page for each: as a dictionary and
 * indices where values repeat, as they lie where they do not. Not compressed:
 * what repeats is small by then, and what does not repeat, sums and means, no
 * compressor makes smaller.
 *
 * Source: Apache Parquet format 2.10, "Encodings" and "Data Pages".
 */
export class WordColumns {
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
    let dictionaryAt: number | undefined
    if (distinct > 0) {
      dictionaryAt = out.offset
      const bytes = new Uint8Array(this.#dictionary.buffer, 0, 8 * distinct)
      dictionaryHead(out, distinct, bytes.length)
      out.appendBytes(bytes)
    }
    const dataAt = out.offset
    const levels = this.#levels(rows, count)
    const body =
      distinct > 0
        ? packedIndices(this.#indices, count, distinct)
        : new Uint8Array(this.#doubles.buffer, 0, 8 * count)
    dataHead(out, { rows, nulls: rows - count, levels: levels.length, body: body.length, distinct })
    out.appendBytes(levels)
    out.appendBytes(body)
    const size = BigInt(out.offset - start)
    const isDouble = kind === 'DOUBLE'
    return {
      file_offset: BigInt(start),
      meta_data: {
        type: kind,
        encodings: distinct > 0 ? ['PLAIN', 'RLE_DICTIONARY'] : ['PLAIN'],
        path_in_schema: [name],
        codec: 'UNCOMPRESSED',
        num_values: BigInt(rows),
        total_uncompressed_size: size,
        total_compressed_size: size,
        data_page_offset: BigInt(dataAt),
        ...(dictionaryAt === undefined ? {} : { dictionary_page_offset: BigInt(dictionaryAt) }),
        statistics: {
          null_count: BigInt(rows - count),
          ...(count === 0
            ? {}
            : isDouble
              ? // Either zero is written: a least of +0 would hide a -0, and a greatest of -0 a +0.
                { min_value: least === 0 ? -0 : least, max_value: most === 0 ? 0 : most }
              : { min_value: BigInt(least), max_value: BigInt(most) }),
        },
        encoding_stats: [
          ...(distinct > 0
            ? [{ page_type: 'DICTIONARY_PAGE' as const, encoding: 'PLAIN' as const, count: 1 }]
            : []),
          { page_type: 'DATA_PAGE_V2', encoding: distinct > 0 ? 'RLE_DICTIONARY' : 'PLAIN', count: 1 },
        ],
      },
    }
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
    const limit = Math.min(mostDistinct, Math.floor(count * 0.6))
    const round = ++this.#round
    let distinct = 0
    for (let index = 0; index < count; index++) {
      const low = words[2 * index]!
      const high = words[2 * index + 1]!
      let hash = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1)
      hash = (hash ^ (hash >>> 15)) & mask
      for (;;) {
        if (rounds[hash] !== round) {
          if (distinct === limit) return 0
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

  /** Definition levels: one run where all rows are alike, else a bit a row. */
  #levels(rows: number, count: number): Uint8Array {
    const levels = new ByteWriter(16 + (rows >>> 3))
    if (count === rows || count === 0) {
      levels.appendVarInt(rows << 1)
      levels.appendUint8(count === rows ? 1 : 0)
      return levels.getBytes()
    }
    packBits(levels, this.#present, rows, 1)
    return levels.getBytes()
  }
}

function packedIndices(indices: Uint32Array, count: number, distinct: number): Uint8Array {
  const width = Math.max(1, 32 - Math.clz32(distinct - 1))
  const bytes = new ByteWriter(16 + Math.ceil((count * width) / 8))
  bytes.appendUint8(width)
  packBits(bytes, indices, count, width)
  return bytes.getBytes()
}

/** One run of whole groups of 8 values, bit by bit from the lowest. */
function packBits(out: ByteWriter, values: Uint8Array | Uint32Array, count: number, width: number): void {
  const groups = Math.ceil(count / 8)
  out.appendVarInt((groups << 1) | 1)
  const packed = new Uint8Array(groups * width)
  let at = 0
  let bits = 0
  let held = 0
  for (let index = 0; index < count; index++) {
    held |= values[index]! << bits
    bits += width
    while (bits >= 8) {
      packed[at++] = held
      held >>>= 8
      bits -= 8
    }
  }
  if (bits > 0) packed[at] = held
  out.appendBytes(packed)
}

/** Field headers of Thrift's compact protocol: how far behind the last field, and its type. */
const nextInt = 0x15
const falseField = 0x12

function dictionaryHead(out: ByteWriter, distinct: number, bytes: number): void {
  const dictionaryPage = 2
  for (const value of [dictionaryPage, bytes, bytes]) appendInt(out, value)
  // The header of a dictionary page is field 7: a struct, four behind the last.
  out.appendUint8(0x4c)
  appendInt(out, distinct)
  appendInt(out, 0)
  out.appendUint8(0)
  out.appendUint8(0)
}

function dataHead(
  out: ByteWriter,
  page: { rows: number; nulls: number; levels: number; body: number; distinct: number },
): void {
  const dataPageV2 = 3
  const size = page.levels + page.body
  for (const value of [dataPageV2, size, size]) appendInt(out, value)
  // The header of a data page of version 2 is field 8: a struct, five behind the last.
  out.appendUint8(0x5c)
  const dictionaryIndices = 8
  const encoding = page.distinct > 0 ? dictionaryIndices : 0
  for (const value of [page.rows, page.nulls, page.rows, encoding, page.levels, 0]) appendInt(out, value)
  out.appendUint8(falseField)
  out.appendUint8(0)
  out.appendUint8(0)
}

function appendInt(out: ByteWriter, value: number): void {
  out.appendUint8(nextInt)
  out.appendZigZag(value)
}
