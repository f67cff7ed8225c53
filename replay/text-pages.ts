import type { ColumnChunk } from 'hyparquet'
import type { ByteWriter } from 'hyparquet-writer'
import {
  chunkOf,
  levelsOf,
  packedIndices,
  seldomRepeats,
  writeData,
  writeDictionary,
} from './parquet-page.ts'

/** Encodes columns of text, a page for each: as a dictionary and indices where texts repeat; compressed by `compress`. */
export class TextPages {
  readonly #compress: (bytes: Uint8Array) => Uint8Array
  #bytes = Buffer.alloc(0)
  #present = new Uint8Array(0)
  #indices = new Uint32Array(0)

  /** By Snappy. */
  constructor(compress: (bytes: Uint8Array) => Uint8Array) {
    this.#compress = compress
  }

  /** Writes a column of texts, null or undefined for null, as an optional field. */
  write(out: ByteWriter, name: string, values: readonly unknown[]): ColumnChunk {
    const rows = values.length
    const start = out.offset
    if (this.#present.length < rows) {
      this.#present = new Uint8Array(rows)
      this.#indices = new Uint32Array(rows)
    }
    let count = 0
    for (let row = 0; row < rows; row++) {
      const isPresent = values[row] !== null && values[row] !== undefined
      this.#present[row] = isPresent ? 1 : 0
      if (isPresent) count++
    }
    const texts = (count === rows ? values : values.filter((_, row) => this.#present[row] === 1)) as string[]
    const dictionary = this.#dictionaryOf(texts)
    const plain = this.#plain(dictionary ?? texts)
    let uncompressed = 0
    let dictionaryAt: number | undefined
    if (dictionary !== undefined) {
      dictionaryAt = out.offset
      uncompressed += writeDictionary(out, dictionary.length, plain.bytes.length, this.#compress(plain.bytes))
    }
    const dataAt = out.offset
    const body =
      dictionary === undefined ? plain.bytes : packedIndices(this.#indices, count, dictionary.length)
    uncompressed += writeData(out, {
      rows,
      nulls: rows - count,
      levels: levelsOf(this.#present, rows, count),
      hasDictionary: dictionary !== undefined,
      size: body.length,
      isCompressed: true,
      body: this.#compress(body),
    })
    const bounds = count === 0 ? undefined : boundsOf(dictionary ?? texts, plain.isAscii)
    return chunkOf({
      name,
      kind: 'BYTE_ARRAY',
      codec: 'SNAPPY',
      rows,
      nulls: rows - count,
      start,
      dictionaryAt,
      dataAt,
      end: out.offset,
      uncompressed,
      ...(bounds === undefined ? {} : { bounds }),
    })
  }

  /** The different texts, the indices of all filled; undefined where they repeat too seldom. */
  #dictionaryOf(texts: readonly string[]): readonly string[] | undefined {
    const places = new Map<string, number>()
    for (let index = 0; index < texts.length; index++) {
      const text = texts[index]!
      let place = places.get(text)
      if (place === undefined) {
        place = places.size
        if (seldomRepeats(place + 1, index + 1, texts.length)) return undefined
        places.set(text, place)
      }
      this.#indices[index] = place
    }
    return texts.length === 0 ? undefined : [...places.keys()]
  }

  /** Each text's length in bytes, then its bytes. */
  #plain(texts: readonly string[]): { readonly bytes: Uint8Array; readonly isAscii: boolean } {
    let most = 0
    for (const text of texts) most += 4 + 3 * text.length
    if (this.#bytes.length < most) this.#bytes = Buffer.allocUnsafe(most)
    const bytes = this.#bytes
    let isAscii = true
    let at = 0
    for (const text of texts) {
      const start = at + 4
      let length = 0
      for (; length < text.length; length++) {
        const code = text.charCodeAt(length)
        if (code > 127) break
        bytes[start + length] = code
      }
      if (length < text.length) {
        isAscii = false
        length = bytes.write(text, start)
      }
      bytes[at] = length
      bytes[at + 1] = length >>> 8
      bytes[at + 2] = length >>> 16
      bytes[at + 3] = length >>> 24
      at = start + length
    }
    return { bytes: bytes.subarray(0, at), isAscii }
  }
}

/** Least and greatest in the order of their bytes, which is that of ASCII texts' own. */
function boundsOf(texts: readonly string[], isAscii: boolean): readonly [least: string, most: string] {
  const isBefore = isAscii
    ? (one: string, other: string) => one < other
    : (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other)) < 0
  let least = texts[0]!
  let most = least
  for (const text of texts) {
    if (isBefore(text, least)) least = text
    else if (isBefore(most, text)) most = text
  }
  return [least, most]
}
