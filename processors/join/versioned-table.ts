import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { OperatorContext } from '../operator.ts'
import { requireDuration } from '../stream/declaration-checks.ts'

/** A value and when it was the value: `[validFromMs, validToMs)`. The newest one is valid to Infinity. */
export interface Version<Value> {
  readonly value: Value
  readonly validFromMs: TimestampMs
  readonly validToMs: TimestampMs
}

interface VersionCell<Value> {
  readonly value: Value | null
}

/**
 * A table that remembers what its values were: each key has versions by event
 * time, put in any order. A null value is a version too, without a value.
 *
 * The history reaches `historyMs` back from the greatest event time put.
 * Older puts are refused; reads of older times give nothing, except that the
 * newest version of a key never expires.
 *
 * Store `<name>-versions`: `[key, -eventTime]`, so that a read is one step from
 * where it enters. Store `<name>-observed`: the greatest event time.
 *
 * Source of the rules: Kafka Streams, versioned state stores, KIP-889
 * (Victoria Xia, 2022).
 */
export class VersionedTable<Value> {
  readonly #versions: OrderedStore<VersionCell<Value>>
  readonly #observed: OrderedStore<TimestampMs>
  readonly #historyMs: DurationMs

  /** @throws RangeError for a negative history. */
  constructor(context: OperatorContext, name: string, historyMs: DurationMs) {
    requireDuration('table historyMs', historyMs)
    this.#versions = context.store(`${name}-versions`)
    this.#observed = context.store(`${name}-observed`)
    this.#historyMs = historyMs
  }

  /** Reads and puts before this are refused; -Infinity before the first put. */
  get oldestMs(): TimestampMs {
    return (this.#observed.get([]) ?? Number.NEGATIVE_INFINITY) - this.#historyMs
  }

  /**
   * Adds a version, or replaces the one of the same instant. Gives the time to
   * which it is valid, Infinity for the newest; undefined when it was refused.
   */
  put(key: KeyPart, value: Value | null, atMs: TimestampMs): TimestampMs | undefined {
    if (atMs < this.oldestMs) return undefined
    const observedMs = this.#observed.get([])
    if (observedMs === undefined || atMs > observedMs) this.#observed.put([], atMs)
    this.#versions.put([key, 0 - atMs], { value })
    this.#forget(key)
    return this.#validTo(key, atMs)
  }

  /** The version that was valid at `asOfMs`. */
  get(key: KeyPart, asOfMs: TimestampMs): Version<Value> | undefined {
    for (const [at, { value }] of this.#versions.range([key, 0 - asOfMs], [key, Number.POSITIVE_INFINITY])) {
      if (value === null) return undefined
      const validFromMs = 0 - (at[1] as number)
      const validToMs = this.#validTo(key, validFromMs)
      if (asOfMs < this.oldestMs && validToMs !== Number.POSITIVE_INFINITY) return undefined
      return { value, validFromMs, validToMs }
    }
    return undefined
  }

  latest(key: KeyPart): Version<Value> | undefined {
    for (const [at, { value }] of this.#versions.range([key], [key, Number.POSITIVE_INFINITY])) {
      if (value === null) return undefined
      return { value, validFromMs: 0 - (at[1] as number), validToMs: Number.POSITIVE_INFINITY }
    }
    return undefined
  }

  /** Event time of the next version. */
  #validTo(key: KeyPart, atMs: TimestampMs): TimestampMs {
    // Versions are stored newest first, so the next one is the last entry before; there are as many
    // entries before as there are newer versions, mostly none.
    let validToMs = Number.POSITIVE_INFINITY
    for (const [at] of this.#versions.range([key], [key, 0 - atMs])) validToMs = 0 - (at[1] as number)
    return validToMs
  }

  /** Drops the versions of the key that no read within the history can see. */
  #forget(key: KeyPart): void {
    let isVisible = true
    for (const [at, { value }] of this.#versions.range(
      [key, 0 - this.oldestMs],
      [key, Number.POSITIVE_INFINITY],
    )) {
      // The version that was valid at the border of the history is still seen; a deletion looks like nothing.
      if (!isVisible || value === null) this.#versions.delete(at)
      isVisible = false
    }
  }
}
