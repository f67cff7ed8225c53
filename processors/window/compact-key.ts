import type { KeyPart } from '../../state/store/state-store.ts'
import { packKey, unpackKey } from '../stream/record-key.ts'

/** Whole numbers below this fit in pairs into the half numbers that a double holds exactly. */
const pairBase = 2 ** 26

/**
 * A record's key in the form that a map finds fastest: two small whole numbers
 * are one half number, so that no text is built for them; fractions, which
 * would look the same, are text. Everything else is as `packKey` has it.
 */
export function compactKey(key: unknown): KeyPart {
  if (typeof key === 'number') return Number.isInteger(key) ? key : `\0n${key}`
  if (Array.isArray(key) && key.length === 2 && isSmall(key[0]) && isSmall(key[1])) {
    return key[0] * pairBase + key[1] + 0.5
  }
  return packKey(key)
}

/** The key that `compactKey` packed. */
export function expandKey(key: KeyPart): unknown {
  if (typeof key === 'number') {
    if (Number.isInteger(key)) return key
    const first = Math.floor(key / pairBase)
    return [first, key - 0.5 - first * pairBase]
  }
  if (typeof key === 'string' && key.startsWith('\0n')) return Number(key.slice(2))
  return unpackKey(key)
}

const isSmall = (part: unknown): part is number =>
  typeof part === 'number' && Number.isInteger(part) && part >= 0 && part < pairBase && !Object.is(part, -0)
