import type { PackedKey } from './packed-key.ts'

const smallest = 1 << 10

/**
 * From a key to the slot that it has, from 0: a Map that costs one cache line
 * to ask, where a Map of a million keys costs three, and 16 bytes a place.
 * Numbers lie with their slots in one typed array, each at the first free
 * place from its hash on; keys of other kinds are in a Map. As in a Map, 0 and
 * -0 are the same key.
 *
 * Source: D. E. Knuth, "The Art of Computer Programming" 3, 6.4, algorithms L
 * (linear probing) and R (deletion that moves what follows).
 */
export class SlotIndex {
  /** Pairs of key and slot + 1; 0 is a free place. */
  #places = new Float64Array(2 * smallest)
  #mask = smallest - 1
  #numbers = 0
  readonly #others = new Map<PackedKey, number>()

  get size(): number {
    return this.#numbers + this.#others.size
  }

  /** The slot of a key, or -1. */
  get(key: PackedKey): number {
    if (!isPlaced(key)) return this.#others.get(key) ?? -1
    return this.#places[2 * this.#find(key) + 1]! - 1
  }

  has(key: PackedKey): boolean {
    return this.get(key) >= 0
  }

  set(key: PackedKey, slot: number): void {
    if (!isPlaced(key)) {
      this.#others.set(key, slot)
      return
    }
    let place = this.#find(key)
    if (this.#places[2 * place + 1] === 0) {
      // At most five of eight places are taken, so that searches stay short.
      if (8 * (this.#numbers + 1) > 5 * (this.#mask + 1)) {
        this.#grow()
        place = this.#find(key)
      }
      this.#numbers++
    }
    this.#places[2 * place] = key
    this.#places[2 * place + 1] = slot + 1
  }

  delete(key: PackedKey): void {
    if (!isPlaced(key)) {
      this.#others.delete(key)
      return
    }
    const places = this.#places
    const mask = this.#mask
    let free = this.#find(key)
    if (places[2 * free + 1] === 0) return
    this.#numbers--
    for (let place = (free + 1) & mask; places[2 * place + 1] !== 0; place = (place + 1) & mask) {
      // What was meant for a place behind the free one stays: its search never passes there.
      const meant = hashOf(places[2 * place]!) & mask
      if (((place - meant) & mask) < ((place - free) & mask)) continue
      places[2 * free] = places[2 * place]!
      places[2 * free + 1] = places[2 * place + 1]!
      free = place
    }
    places[2 * free + 1] = 0
  }

  clear(): void {
    this.#places = new Float64Array(2 * smallest)
    this.#mask = smallest - 1
    this.#numbers = 0
    this.#others.clear()
  }

  /** The place that has the key, or the free one where it belongs. */
  #find(key: number): number {
    const places = this.#places
    const mask = this.#mask
    let place = hashOf(key) & mask
    while (places[2 * place + 1] !== 0 && places[2 * place] !== key) place = (place + 1) & mask
    return place
  }

  #grow(): void {
    const before = this.#places
    this.#mask = 2 * this.#mask + 1
    this.#places = new Float64Array(2 * (this.#mask + 1))
    for (let at = 0; at < before.length; at += 2) {
      if (before[at + 1] === 0) continue
      const place = this.#find(before[at]!)
      this.#places[2 * place] = before[at]!
      this.#places[2 * place + 1] = before[at + 1]!
    }
  }
}

/** A number that is equal to itself. */
const isPlaced = (key: PackedKey): key is number => typeof key === 'number' && !Number.isNaN(key)

/** Of all 53 bits of a whole number, so that neither runs of keys nor pairs of them lie together. */
function hashOf(key: number): number {
  let hash = Math.imul(key | 0, 0x9e3779b1) ^ Math.imul((key / 0x100000000) | 0, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35)
  return hash ^ (hash >>> 13)
}
