/**
 * CRC-32C (Castagnoli), the checksum of every frame, section and file header.
 *
 * Sixteen bytes a step through sixteen tables; where the block is long enough
 * to pay for it, words are loaded four bytes at a time.
 *
 * Sources: RFC 3720 appendix B.4 (polynomial and vectors); M. E. Kounavis and
 * F. L. Berry, "A Systematic Approach to Building High Performance
 * Software-based CRC Generators", 2005 (slicing).
 */

const reversedPolynomial = 0x82f63b78
const tables = buildTables()
const table = (index: number): Int32Array => tables[index]!

// Sixteen constants and not an array of arrays: the loops below then index each without a second load.
const t0 = table(0)
const t1 = table(1)
const t2 = table(2)
const t3 = table(3)
const t4 = table(4)
const t5 = table(5)
const t6 = table(6)
const t7 = table(7)
const t8 = table(8)
const t9 = table(9)
const t10 = table(10)
const t11 = table(11)
const t12 = table(12)
const t13 = table(13)
const t14 = table(14)
const t15 = table(15)

/** Below this, making a word view costs more than it saves. */
const wordsFromBytes = 256
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** Checksum of `bytes[start, end)`, unsigned. `before` is that of the bytes in front, to go on from. */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, before = 0): number {
  let state = ~before
  let at = start
  if (end - start >= wordsFromBytes && isLittleEndian) {
    while (((bytes.byteOffset + at) & 3) !== 0)
      state = t0[(state ^ (bytes[at++] as number)) & 0xff]! ^ (state >>> 8)
    const steps = (end - at) >>> 4
    state = byWords(state, new Int32Array(bytes.buffer, bytes.byteOffset + at, steps * 4))
    at += steps * 16
  }
  state = byBytes(state, bytes, at, end)
  return ~state >>> 0
}

function byWords(before: number, words: Int32Array): number {
  let state = before
  for (let at = 0; at < words.length; at += 4) {
    const a = state ^ words[at]!
    const b = words[at + 1]!
    const c = words[at + 2]!
    const d = words[at + 3]!
    state =
      t15[a & 0xff]! ^
      t14[(a >>> 8) & 0xff]! ^
      t13[(a >>> 16) & 0xff]! ^
      t12[a >>> 24]! ^
      t11[b & 0xff]! ^
      t10[(b >>> 8) & 0xff]! ^
      t9[(b >>> 16) & 0xff]! ^
      t8[b >>> 24]! ^
      t7[c & 0xff]! ^
      t6[(c >>> 8) & 0xff]! ^
      t5[(c >>> 16) & 0xff]! ^
      t4[c >>> 24]! ^
      t3[d & 0xff]! ^
      t2[(d >>> 8) & 0xff]! ^
      t1[(d >>> 16) & 0xff]! ^
      t0[d >>> 24]!
  }
  return state
}

function byBytes(before: number, bytes: Uint8Array, start: number, end: number): number {
  let state = before
  let at = start
  for (const stop = end - 15; at < stop; at += 16) {
    state =
      t15[(state ^ bytes[at]!) & 0xff]! ^
      t14[((state >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
      t13[((state >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
      t12[(state >>> 24) ^ bytes[at + 3]!]! ^
      t11[bytes[at + 4]!]! ^
      t10[bytes[at + 5]!]! ^
      t9[bytes[at + 6]!]! ^
      t8[bytes[at + 7]!]! ^
      t7[bytes[at + 8]!]! ^
      t6[bytes[at + 9]!]! ^
      t5[bytes[at + 10]!]! ^
      t4[bytes[at + 11]!]! ^
      t3[bytes[at + 12]!]! ^
      t2[bytes[at + 13]!]! ^
      t1[bytes[at + 14]!]! ^
      t0[bytes[at + 15]!]!
  }
  for (; at < end; at++) state = t0[(state ^ bytes[at]!) & 0xff]! ^ (state >>> 8)
  return state
}

function buildTables(): readonly Int32Array[] {
  const first = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ reversedPolynomial : value >>> 1
    first[byte] = value
  }
  const built = [first]
  for (let index = 1; index < 16; index++) {
    const before = built[index - 1]!
    built.push(before.map((value) => (value >>> 8) ^ first[value & 0xff]!))
  }
  return built
}
