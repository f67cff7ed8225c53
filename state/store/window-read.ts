import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { ObjectTileLayout, TileStates } from './object-tile-layout.ts'

/** An event as it waits in a key's tail. */
export interface RawEvent {
  readonly atMs: TimestampMs
  readonly inputs: readonly unknown[]
}

/** Between which tiles and which events of the tail a window lies; the ends are out. */
export interface WindowRange {
  readonly tile: number
  readonly tileEnd: number
  readonly raw: number
  readonly rawEnd: number
}

/**
 * What a window of one key showed when it was last read. Asked again while it
 * shows the same, it is the answer; and an exact window that has moved on is
 * brought up to date by the events that came and went. Both give the bits of
 * a fold from the start, so no answer depends on what was asked before it.
 */
export class WindowRead {
  readonly overMs: DurationMs
  states: TileStates
  /** What the reader made of the states, at places of its own; empty when they are new. */
  answers: unknown[] = []
  #range: WindowRange

  /** `range` counts events of the tail from the first that the key ever had in it. */
  constructor(overMs: DurationMs, range: WindowRange, states: TileStates) {
    this.overMs = overMs
    this.#range = range
    this.states = states
  }

  get range(): WindowRange {
    return this.#range
  }

  isOf({ tile, tileEnd, raw, rawEnd }: WindowRange): boolean {
    const own = this.#range
    return own.raw === raw && own.rawEnd === rawEnd && own.tile === tile && own.tileEnd === tileEnd
  }

  renew(range: WindowRange, states: TileStates): void {
    this.#range = range
    this.states = states
    this.answers = []
  }

  /**
   * Moves a window without tiles on to `range`. False where it has to be
   * folded from the start; its states are of no use then. `first` is the place
   * of `tail[0]`.
   */
  moveTo(range: WindowRange, layout: ObjectTileLayout, tail: readonly RawEvent[], first: number): boolean {
    const { raw, rawEnd } = this.#range
    if (range.raw < raw || range.rawEnd < rawEnd || range.raw >= rawEnd) return false
    const { forgetOldest } = layout
    // Where as many come and go as stay, a fold from the start is no more work.
    if (range.raw > raw && (forgetOldest === undefined || range.raw - raw > rawEnd - range.raw)) return false
    for (let place = raw; place < range.raw; place++) {
      const { inputs, atMs } = tail[place - first]!
      if (!forgetOldest!(this.states, inputs, atMs)) return false
    }
    for (let place = rawEnd; place < range.rawEnd; place++) {
      const { inputs, atMs } = tail[place - first]!
      layout.add(this.states, inputs, atMs)
    }
    this.#range = range
    this.answers = []
    return true
  }
}

/** Index of the first event at or after `ms`, looked for from `near` on, or from the middle where nothing is known. */
export function firstFrom(tail: readonly RawEvent[], ms: TimestampMs, near: number | undefined): number {
  if (near === undefined) {
    let low = 0
    let high = tail.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (tail[middle]!.atMs < ms) low = middle + 1
      else high = middle
    }
    return low
  }
  let at = Math.max(0, Math.min(near, tail.length))
  while (at < tail.length && tail[at]!.atMs < ms) at++
  while (at > 0 && tail[at - 1]!.atMs >= ms) at--
  return at
}
