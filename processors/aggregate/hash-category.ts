import type { Category } from './category.ts'

const double = new DataView(new ArrayBuffer(8))

/** 64 bits of a category's hash, in two halves. Valid until the next call. */
export const hashed = { high: 0, low: 0 }

/**
 * Hashes a category into `hashed`. Part of the state of sketches: another
 * function would make states on disk unreadable. Two 32-bit lanes take every
 * code unit (or both halves of a double) with different odd multipliers, and
 * each is mixed with the other at the end, so that all 64 bits depend on all
 * of the input.
 *
 * Source of the mixing constants: A. Appleby, MurmurHash3, 2011 (`fmix32`).
 */
export function hashCategory(category: Category): void {
  let one = 0x9e3779b9
  let other = 0x7f4a7c15
  if (typeof category === 'string') {
    for (let at = 0; at < category.length; at++) {
      const unit = category.charCodeAt(at)
      one = Math.imul(one ^ unit, 0x85ebca6b)
      one ^= one >>> 15
      other = Math.imul(other ^ unit, 0xc2b2ae35)
      other ^= other >>> 13
    }
    one ^= category.length
  } else {
    // Another start, so that a number is not the text of the same bits.
    double.setFloat64(0, category, true)
    for (let at = 0; at < 8; at += 4) {
      const word = double.getUint32(at, true)
      one = Math.imul(one ^ word ^ 0x165667b1, 0x85ebca6b)
      one ^= one >>> 15
      other = Math.imul(other ^ word ^ 0x27d4eb2f, 0xc2b2ae35)
      other ^= other >>> 13
    }
  }
  one = mixed(one + Math.imul(other, 0x9e3779b1))
  other = mixed(other + Math.imul(one, 0x85ebca77))
  hashed.high = one >>> 0
  hashed.low = other >>> 0
}

function mixed(word: number): number {
  let bits = word ^ (word >>> 16)
  bits = Math.imul(bits, 0x85ebca6b)
  bits ^= bits >>> 13
  bits = Math.imul(bits, 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}
