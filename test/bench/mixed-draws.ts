/**
 * Uniform draws in [0, 1), 32 bits each: a linear congruential generator
 * behind the 32-bit finaliser of MurmurHash3 (Austin Appleby, 2011), the same
 * in any language with 32-bit arithmetic, so that peers get the same data.
 */
export function mixedDraws(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    let mixed = state
    mixed ^= mixed >>> 16
    mixed = Math.imul(mixed, 0x85eb_ca6b)
    mixed ^= mixed >>> 13
    mixed = Math.imul(mixed, 0xc2b2_ae35)
    mixed ^= mixed >>> 16
    return (mixed >>> 0) / 2 ** 32
  }
}
