/**
 * A whole number from 0 up to, not including, 2^52 for a text: how an
 * identifier that is not a number enters a feature vector. The same in every
 * process and version. Half of 100 million different texts keep all their
 * numbers apart; a collision costs a little quality and nothing else.
 *
 * Source of the mixing steps: Appleby, "MurmurHash3", 2011 (finaliser), over
 * FNV-style accumulation of UTF-16 code units in two lanes.
 */
export function hashText(text: string): number {
  let low = 0x811c9dc5
  let high = 0x9747b28c
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit, 0x85ebca6b)
    high = (high << 13) | (high >>> 19)
  }
  return (mix32(high ^ text.length) >>> 12) * 0x100000000 + (mix32(low ^ high) >>> 0)
}

/** The 32-bit finaliser of MurmurHash3: every input bit changes every output bit with probability one half. */
export function mix32(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
