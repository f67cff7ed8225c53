import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedKey, OrderedStore } from '../../state/store/state-store.ts'

/** Where a window lies in the order of closing. */
export interface CloseEntry {
  readonly endMs: TimestampMs
  readonly key: KeyPart
  readonly startMs: TimestampMs
}

/**
 * Windows by their end, for windows that are stored by key: `[end, key, start]`
 * where the partition's time closes them, `[key, end, start]` where each key's
 * own time does.
 */
export class CloseIndex {
  readonly #entries: OrderedStore<true>
  readonly #byKey: boolean

  constructor(entries: OrderedStore<true>, byKey: boolean) {
    this.#entries = entries
    this.#byKey = byKey
  }

  add(entry: CloseEntry): void {
    this.#entries.put(this.#place(entry), true)
  }

  remove(entry: CloseEntry): void {
    this.#entries.delete(this.#place(entry))
  }

  /** Windows with `fromMs <= end < toMs`, by end, key and start; of `key` alone where keys close by their own time. */
  *ended(key: KeyPart, fromMs: TimestampMs, toMs: TimestampMs): IterableIterator<CloseEntry> {
    const scope = this.#byKey ? [key] : []
    const from = fromMs === Number.NEGATIVE_INFINITY ? scope : [...scope, fromMs]
    for (const [at] of this.#entries.range(from, [...scope, toMs])) {
      yield this.#byKey
        ? { key: at[0]!, endMs: at[1] as TimestampMs, startMs: at[2] as TimestampMs }
        : { endMs: at[0] as TimestampMs, key: at[1]!, startMs: at[2] as TimestampMs }
    }
  }

  #place({ endMs, key, startMs }: CloseEntry): OrderedKey {
    return this.#byKey ? [key, endMs, startMs] : [endMs, key, startMs]
  }
}
