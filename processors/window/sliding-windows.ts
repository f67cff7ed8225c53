import type { DurationMs } from '../../state/contracts/units.ts'
import { requireDuration } from '../stream/declaration-checks.ts'

/** Windows `[t - differenceMs, t]`, both ends included, one for each distinct set of a key's records. */
export interface SlidingWindows {
  readonly kind: 'sliding'
  readonly differenceMs: DurationMs
  readonly graceMs: DurationMs
  /**
   * `every-set`, as in Kafka Streams: also the windows that begin just after a
   * record, when it has left, are given out; all records before
   * `differenceMs` share the window `[0, differenceMs]`.
   *
   * `record-ends`, as in Quix: only windows that end at a record are given
   * out, each `[max(0, t - differenceMs), t]`; those of the first
   * `differenceMs` after the epoch close as if they began at 0.
   */
  readonly report: 'every-set' | 'record-ends'
}

export interface SlidingOptions {
  readonly differenceMs: DurationMs
  readonly graceMs: DurationMs
  readonly report?: SlidingWindows['report']
}

/**
 * A window is closed, and takes no record any more, when its end is before
 * `stream time - graceMs`; at equality it is open.
 *
 * @throws RangeError for a difference below 1 ms or a negative grace.
 */
export function sliding({ differenceMs, graceMs, report = 'every-set' }: SlidingOptions): SlidingWindows {
  requireDuration('window differenceMs', differenceMs, { least: 1 })
  requireDuration('window graceMs', graceMs)
  return { kind: 'sliding', differenceMs, graceMs, report }
}
