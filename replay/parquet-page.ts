import type { ColumnChunk, Encoding } from 'hyparquet'
import { ByteWriter } from 'hyparquet-writer'

/** A larger dictionary would be slower to look up than its values are to write. */
export const mostDistinct = 1 << 15

/** Of so many values it shows whether a column repeats. */
const sampleRows = 2_048

/** Whether `distinct` different values of the first `seen`, of `count`, are too many for a dictionary. */
export const seldomRepeats = (distinct: number, seen: number, count: number): boolean =>
  distinct > mostDistinct || distinct > 0.6 * count || (distinct > 0.9 * sampleRows && seen <= sampleRows)

/** Definition levels: one run where all rows are alike, else a bit a row. */
export function levelsOf(present: Uint8Array, rows: number, count: number): Uint8Array {
  const levels = new ByteWriter(16 + (rows >>> 3))
  if (count === rows || count === 0) {
    levels.appendVarInt(rows << 1)
    levels.appendUint8(count === rows ? 1 : 0)
  } else {
    packBits(levels, present, rows, 1)
  }
  return levels.getBytes()
}

/** Indices into a dictionary, as few bits each as its size takes. */
export function packedIndices(indices: Uint32Array, count: number, distinct: number): Uint8Array {
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
const trueField = 0x11
const falseField = 0x12

/** Writes a dictionary's page; answers with the bytes that it would take without compression. */
export function writeDictionary(out: ByteWriter, distinct: number, size: number, body: Uint8Array): number {
  const start = out.offset
  const dictionaryPage = 2
  for (const value of [dictionaryPage, size, body.length]) appendInt(out, value)
  // The header of a dictionary page is field 7: a struct, four behind the last.
  out.appendUint8(0x4c)
  appendInt(out, distinct)
  appendInt(out, 0)
  out.appendUint8(0)
  out.appendUint8(0)
  const head = out.offset - start
  out.appendBytes(body)
  return head + size
}

interface DataPage {
  readonly rows: number
  readonly nulls: number
  readonly levels: Uint8Array
  readonly hasDictionary: boolean
  /** Bytes of the values before compression. */
  readonly size: number
  readonly isCompressed: boolean
  readonly body: Uint8Array
}

/** Writes a page of values; answers with the bytes that it would take without compression. */
export function writeData(out: ByteWriter, page: DataPage): number {
  const { rows, nulls, levels, hasDictionary, size, isCompressed, body } = page
  const start = out.offset
  const dataPageV2 = 3
  for (const value of [dataPageV2, levels.length + size, levels.length + body.length]) appendInt(out, value)
  // The header of a data page of version 2 is field 8: a struct, five behind the last.
  out.appendUint8(0x5c)
  const encoding = hasDictionary ? 8 : 0
  for (const value of [rows, nulls, rows, encoding, levels.length, 0]) appendInt(out, value)
  out.appendUint8(isCompressed ? trueField : falseField)
  out.appendUint8(0)
  out.appendUint8(0)
  const head = out.offset - start
  out.appendBytes(levels)
  out.appendBytes(body)
  return head + levels.length + size
}

function appendInt(out: ByteWriter, value: number): void {
  out.appendUint8(nextInt)
  out.appendZigZag(value)
}

type Bound = number | bigint | string

interface WrittenChunk {
  readonly name: string
  readonly kind: 'DOUBLE' | 'INT64' | 'BYTE_ARRAY'
  readonly codec: 'UNCOMPRESSED' | 'SNAPPY'
  readonly rows: number
  readonly nulls: number
  /** Places in the file. */
  readonly start: number
  readonly dictionaryAt: number | undefined
  readonly dataAt: number
  readonly end: number
  readonly uncompressed: number
  readonly bounds?: readonly [least: Bound, most: Bound]
}

/** What the footer says of a column of a row group. */
export function chunkOf(written: WrittenChunk): ColumnChunk {
  const { name, kind, codec, rows, nulls, start, dictionaryAt, dataAt, end, uncompressed, bounds } = written
  const encoding: Encoding = dictionaryAt === undefined ? 'PLAIN' : 'RLE_DICTIONARY'
  return {
    file_offset: BigInt(start),
    meta_data: {
      type: kind,
      encodings: dictionaryAt === undefined ? ['PLAIN'] : ['PLAIN', 'RLE_DICTIONARY'],
      path_in_schema: [name],
      codec,
      num_values: BigInt(rows),
      total_uncompressed_size: BigInt(uncompressed),
      total_compressed_size: BigInt(end - start),
      data_page_offset: BigInt(dataAt),
      ...(dictionaryAt === undefined ? {} : { dictionary_page_offset: BigInt(dictionaryAt) }),
      statistics: {
        null_count: BigInt(nulls),
        ...(bounds === undefined ? {} : { min_value: bounds[0], max_value: bounds[1] }),
      },
      encoding_stats: [
        ...(dictionaryAt === undefined
          ? []
          : [{ page_type: 'DICTIONARY_PAGE' as const, encoding: 'PLAIN' as const, count: 1 }]),
        { page_type: 'DATA_PAGE_V2' as const, encoding, count: 1 },
      ],
    },
  }
}
