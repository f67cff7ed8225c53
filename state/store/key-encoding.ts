import type { KeyPart, OrderedKey } from './state-store.ts'

/*
 * A key as bytes whose unsigned order is the order of the keys:
 *
 *     null 01   false 02   true 03
 *     number or bigint   10, the double below or at the value with its order
 *                        made unsigned (8 bytes), then 00 for a number, or
 *                        for a bigint 01 + n and the n bytes that the double
 *                        falls short of it
 *     string             20, UTF-8 with 00 written as 00 ff, then 00 00
 */

const tags = { null: 0x01, false: 0x02, true: 0x03, number: 0x10, string: 0x20 } as const

const smallestLong = -(2n ** 63n)
const largestLong = 2n ** 63n - 1n

const double = new DataView(new ArrayBuffer(8))

/**
 * Negative, 0 or positive as `a` comes before, with or after `b`. The order of
 * the encoded bytes.
 */
export function compareKeys(a: OrderedKey, b: OrderedKey): number {
  const parts = Math.min(a.length, b.length)
  for (let index = 0; index < parts; index++) {
    const order = compareParts(a[index] as KeyPart, b[index] as KeyPart)
    if (order !== 0) return order
  }
  return a.length - b.length
}

/**
 * The key as it comes back from its bytes: itself, or with 0 for -0.
 *
 * @throws RangeError for NaN, a bigint beyond 64 bits and text that is not
 *   well-formed Unicode; TypeError for what is no part of a key at all
 */
export function checkedKey(key: OrderedKey): OrderedKey {
  let hasNegativeZero = false
  for (const part of key) {
    if (typeof part === 'number') {
      if (Number.isNaN(part)) throw new RangeError('NaN is no part of a key')
      hasNegativeZero ||= Object.is(part, -0)
    } else if (typeof part === 'string') {
      if (!part.isWellFormed()) {
        throw new RangeError(`key part ${JSON.stringify(part)} is not well-formed Unicode`)
      }
    } else if (typeof part === 'bigint') {
      if (part < smallestLong || part > largestLong)
        throw new RangeError(`key part ${part} is beyond 64 bits`)
    } else if (typeof part !== 'boolean' && part !== null) {
      throw new TypeError(`a part of a key is text, a number, a boolean or null, got ${typeof part}`)
    }
  }
  // A sum turns -0 into 0 and leaves every other number.
  return hasNegativeZero ? key.map((part) => (part === 0 ? part + 0 : part)) : key
}

/** @throws RangeError, TypeError as `checkedKey` does */
export function encodeKey(key: OrderedKey): Buffer {
  checkedKey(key)
  const chunks: Uint8Array[] = []
  for (const part of key) chunks.push(encodePart(part))
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}

/** @throws RangeError for bytes that end inside a part or begin none */
export function decodeKey(bytes: Uint8Array): OrderedKey {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const key: KeyPart[] = []
  for (let at = 0; at < view.length; ) {
    switch (view[at++]) {
      case tags.null:
        key.push(null)
        break
      case tags.false:
        key.push(false)
        break
      case tags.true:
        key.push(true)
        break
      case tags.number: {
        const value = decodeDouble(view, at)
        const kind = view[at + 8]
        at += 9
        if (kind === undefined) throw new RangeError(`key bytes end inside a number`)
        if (kind === 0) {
          key.push(value)
          break
        }
        const end = at + kind - 1
        if (end > view.length) throw new RangeError(`key bytes end inside a number`)
        const short = view.toString('hex', at, end)
        key.push(BigInt(value) + (short === '' ? 0n : BigInt(`0x${short}`)))
        at = end
        break
      }
      case tags.string: {
        const end = endOfText(view, at)
        key.push(unescapeText(view.subarray(at, end)))
        at = end + 2
        break
      }
      default:
        throw new RangeError(`key byte ${at - 1} is ${view[at - 1]}, expected the tag of a part`)
    }
  }
  return key
}

function rankOf(part: KeyPart): number {
  if (part === null) return tags.null
  if (typeof part === 'boolean') return part ? tags.true : tags.false
  return typeof part === 'string' ? tags.string : tags.number
}

function compareParts(a: KeyPart, b: KeyPart): number {
  if (typeof a === 'number' && typeof b === 'number') {
    if (a < b) return -1
    if (a === b) return 0
    // NaN is no key, so it must not look like one: it comes after all.
    return a > b || Number.isNaN(a) ? 1 : -1
  }
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  const rank = rankOf(a)
  const order = rank - rankOf(b)
  if (order !== 0 || rank !== tags.number) return order
  // JavaScript compares numbers with bigints by value, exactly.
  if ((a as number) < (b as number)) return -1
  if ((a as number) > (b as number)) return 1
  return typeof a === typeof b ? 0 : typeof a === 'number' ? -1 : 1
}

/** Text by its UTF-8 bytes, which is the order of code points; that of UTF-16 differs above the surrogates. */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index)
    const y = b.charCodeAt(index)
    if (x !== y) return codePointRank(x) - codePointRank(y)
  }
  return a.length - b.length
}

const codePointRank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit)

function encodePart(part: KeyPart): Buffer {
  if (part === null) return Buffer.of(tags.null)
  if (typeof part === 'boolean') return Buffer.of(part ? tags.true : tags.false)
  if (typeof part === 'string') return encodeText(part)
  if (typeof part === 'number') {
    const bytes = Buffer.allocUnsafe(10)
    bytes[0] = tags.number
    encodeDouble(part, bytes, 1)
    bytes[9] = 0
    return bytes
  }
  let below = Number(part)
  if (BigInt(below) > part) below = nextDown(below)
  const short = part - BigInt(below)
  const digits = short === 0n ? '' : short.toString(16)
  const rest = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
  const bytes = Buffer.allocUnsafe(10 + rest.length)
  bytes[0] = tags.number
  encodeDouble(below, bytes, 1)
  bytes[9] = 1 + rest.length
  rest.copy(bytes, 10)
  return bytes
}

function encodeText(text: string): Buffer {
  const utf8 = Buffer.from(text)
  if (!utf8.includes(0)) {
    const bytes = Buffer.allocUnsafe(utf8.length + 3)
    bytes[0] = tags.string
    utf8.copy(bytes, 1)
    bytes[utf8.length + 1] = 0
    bytes[utf8.length + 2] = 0
    return bytes
  }
  const bytes: number[] = [tags.string]
  for (const byte of utf8) {
    bytes.push(byte)
    if (byte === 0) bytes.push(0xff)
  }
  bytes.push(0, 0)
  return Buffer.from(bytes)
}

function endOfText(bytes: Buffer, from: number): number {
  for (let at = from; ; at += 2) {
    at = bytes.indexOf(0, at)
    if (at < 0 || at + 1 >= bytes.length) throw new RangeError('key bytes end inside a text')
    if (bytes[at + 1] === 0) return at
  }
}

function unescapeText(bytes: Buffer): string {
  if (!bytes.includes(0)) return bytes.toString('utf8')
  const plain: number[] = []
  for (let at = 0; at < bytes.length; at++) {
    plain.push(bytes[at] as number)
    if (bytes[at] === 0) at++
  }
  return Buffer.from(plain).toString('utf8')
}

/** Big-endian, with the sign turned so that the unsigned order of the bytes is that of the values. */
function encodeDouble(value: number, into: Buffer, at: number): void {
  // -0 and 0 are one key.
  double.setFloat64(0, value === 0 ? 0 : value)
  const isNegative = double.getUint8(0) >= 0x80
  for (let index = 0; index < 8; index++) {
    const byte = double.getUint8(index)
    into[at + index] = isNegative ? ~byte : index === 0 ? byte | 0x80 : byte
  }
}

function decodeDouble(bytes: Buffer, at: number): number {
  if (at + 8 > bytes.length) throw new RangeError('key bytes end inside a number')
  const isNegative = (bytes[at] as number) < 0x80
  for (let index = 0; index < 8; index++) {
    const byte = bytes[at + index] as number
    double.setUint8(index, isNegative ? ~byte & 0xff : index === 0 ? byte & 0x7f : byte)
  }
  return double.getFloat64(0)
}

/** The greatest double below a finite one that is not 0. */
function nextDown(value: number): number {
  double.setFloat64(0, value)
  const bits = double.getBigInt64(0)
  double.setBigInt64(0, value > 0 ? bits - 1n : bits + 1n)
  return double.getFloat64(0)
}
