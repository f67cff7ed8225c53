import type { Drop } from './operator.ts'

export interface DropCount {
  readonly operator: string
  readonly reason: string
  readonly count: number
  /** Greatest lateness among them; 0 where lateness does not apply. */
  readonly maxLatenessMs: number
}

/** Counts what operators did not use, by operator and reason: nothing is dropped silently. */
export class DropCounter {
  readonly #counts = new Map<
    string,
    { operator: string; reason: string; count: number; maxLatenessMs: number }
  >()

  count({ operator, reason, latenessMs = 0 }: Drop): void {
    const id = `${operator}\0${reason}`
    const known = this.#counts.get(id)
    if (known === undefined) {
      this.#counts.set(id, { operator, reason, count: 1, maxLatenessMs: latenessMs })
      return
    }
    known.count++
    known.maxLatenessMs = Math.max(known.maxLatenessMs, latenessMs)
  }

  counts(): readonly DropCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }))
  }
}
