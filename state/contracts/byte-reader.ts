import { isUtf8 } from 'node:buffer'

/** The bytes do not say what the schema says. Becomes `record-undecodable` at the codec's door. */
export class MalformedBytes extends Error {
  override readonly name = 'MalformedBytes'
  /** Index in the buffer. */
  readonly at: number

  constructor(what: string, at: number) {
    super(what)
    this.at = at
  }
}

/**
 * Most items without any bytes of their own (null, empty records) in one
 * record: nothing else bounds them, since a few bytes can announce billions.
 */
export const emptyItemLimit = 65_536

/**
 * Where the last read ended. Reads return their value and leave the place
 * here, which is cheaper than a pair; readers are synchronous, so one cursor
 * serves all.
 */
export interface Cursor {
  at: number
  /** Items without bytes met so far in this record. */
  emptyItems: number
}

export const cursor: Cursor = { at: 0, emptyItems: 0 }

export function malformed(what: string, at: number): never {
  throw new MalformedBytes(what, at)
}

/**
 * Reads a zig-zag varint's magnitude: `low` its lowest 28 bits, the rest in
 * `high` (up to 36 bits), both exact. At most ten bytes, at most 64 bits.
 */
let low = 0
let high = 0

function readVarint(bytes: Uint8Array, start: number, end: number): void {
  let at = start
  low = 0
  high = 0
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) malformed('a number is cut short', start)
    const byte = bytes[at++] as number
    low |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      cursor.at = at
      return
    }
  }
  for (let scale = 1, count = 5; ; scale *= 128, count++) {
    if (at >= end) malformed('a number is cut short', start)
    const byte = bytes[at++] as number
    if (count === 10 && byte > 1) malformed('a number has more than 64 bits', start)
    high += (byte & 0x7f) * scale
    if (byte < 0x80) {
      cursor.at = at
      return
    }
  }
}

export function skipVarint(bytes: Uint8Array, start: number, end: number): number {
  readVarint(bytes, start, end)
  return cursor.at
}

export function readInt(bytes: Uint8Array, start: number, end: number): number {
  readVarint(bytes, start, end)
  if (high > 15) malformed('an int has more than 32 bits', start)
  const zigzag = low | (high << 28)
  return (zigzag >>> 1) ^ -(zigzag & 1)
}

/** A long as a number; beyond 2^53 - 1 it would be rounded, so it is an error. */
export function readLong(bytes: Uint8Array, start: number, end: number): number {
  readVarint(bytes, start, end)
  const half = (low >>> 1) + high * 0x8000000
  const value = low & 1 ? -half - 1 : half
  if (!Number.isSafeInteger(value)) {
    malformed('a long is beyond 2^53 - 1; declare the field as bigint', start)
  }
  return value
}

/** A long read where a double is wanted: rounded to nearest, as Avro's promotion says. */
export function readLongAsDouble(bytes: Uint8Array, start: number, end: number): number {
  return Number(readBigint(bytes, start, end))
}

export function readBigint(bytes: Uint8Array, start: number, end: number): bigint {
  readVarint(bytes, start, end)
  const half = BigInt(high) * 0x8000000n + BigInt(low >>> 1)
  return low & 1 ? -half - 1n : half
}

/** The length of a string or of bytes: what follows must hold it. */
export function readSize(bytes: Uint8Array, start: number, end: number): number {
  readVarint(bytes, start, end)
  const size = (low >>> 1) + high * 0x8000000
  if (low & 1) malformed('a length is negative', start)
  if (size > end - cursor.at) malformed(`a length of ${size} passes the end of the record`, start)
  return size
}

/**
 * The count of the next block of an array or a map; 0 ends it. A negative
 * count is followed by the block's size in bytes. The items must fit into the
 * bytes that are left.
 */
export function readBlockCount(bytes: Uint8Array, start: number, end: number, minItemBytes: number): number {
  readVarint(bytes, start, end)
  let count = (low >>> 1) + high * 0x8000000
  if (low & 1) {
    count += 1
    readSize(bytes, cursor.at, end)
  }
  if (minItemBytes > 0) {
    if (count > (end - cursor.at) / minItemBytes) {
      malformed(`a block of ${count} items passes the end of the record`, start)
    }
  } else {
    cursor.emptyItems += count
    if (cursor.emptyItems > emptyItemLimit) {
      malformed(`more than ${emptyItemLimit} items without bytes`, start)
    }
  }
  return count
}

/** Like `readBlockCount`, for items nobody wants: -1 when the whole block was stepped over. */
export function skipBlock(bytes: Uint8Array, start: number, end: number, minItemBytes: number): number {
  readVarint(bytes, start, end)
  if (low & 1) {
    const size = readSize(bytes, cursor.at, end)
    cursor.at += size
    return -1
  }
  return readBlockCount(bytes, start, end, minItemBytes)
}

const fromCodes = String.fromCharCode

/** UTF-8 text of `size` bytes from `start`, which lie inside the record. */
export function readText(bytes: Buffer, start: number, size: number): string {
  if (size <= 24) {
    const text = readShortAscii(bytes, start, size)
    if (text !== undefined) return text
  }
  const end = start + size
  const text = bytes.toString('utf8', start, end)
  // Bytes that are not UTF-8 come out as U+FFFD, which an honest text may hold too.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) {
    malformed('a string is not UTF-8', start)
  }
  return text
}

/** Building a short string here costs less than the call into native code. */
function readShortAscii(bytes: Buffer, start: number, size: number): string | undefined {
  let text = ''
  let at = start
  const end = start + size
  while (end - at >= 4) {
    const a = bytes[at] as number
    const b = bytes[at + 1] as number
    const c = bytes[at + 2] as number
    const d = bytes[at + 3] as number
    if ((a | b | c | d) > 0x7f) return undefined
    text += fromCodes(a, b, c, d)
    at += 4
  }
  while (at < end) {
    const a = bytes[at++] as number
    if (a > 0x7f) return undefined
    text += fromCodes(a)
  }
  return text
}

/** A copy, so that a small field does not keep a whole batch in memory. */
export function readBytes(bytes: Buffer, start: number, size: number): Buffer {
  const copy = Buffer.allocUnsafe(size)
  // A loop over a few bytes costs less than the call into native code.
  if (size <= 64) for (let at = 0; at < size; at++) copy[at] = bytes[start + at]!
  else bytes.copy(copy, 0, start, start + size)
  return copy
}

/** A big-endian two's-complement integer of any size, as Avro writes a decimal; no bytes are 0. */
export function readTwosComplement(bytes: Uint8Array, start: number, end: number): bigint {
  if (start === end) return 0n
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('hex')
  return BigInt.asIntN((end - start) * 8, BigInt(`0x${text}`))
}
