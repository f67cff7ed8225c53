import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import { requireDuration } from '../stream/declaration-checks.ts'
import type { WindowSpan } from './window.ts'

/**
 * Half-open windows `[startMs, endMs)` whose bounds depend on the calendar or
 * the epoch alone, not on the records.
 */
export interface AlignedWindows {
  readonly kind: 'aligned'
  /** How long after its end a window still accepts records. It closes when time reaches `endMs + graceMs`. */
  readonly graceMs: DurationMs
  /** Bounds of `endMs - startMs`, over all windows. */
  readonly leastSizeMs: DurationMs
  readonly greatestSizeMs: DurationMs
  /** The windows that hold `atMs`, oldest first. */
  containing(atMs: TimestampMs): readonly WindowSpan[]
  /** The end of the window that starts at `startMs`. */
  endOf(startMs: TimestampMs): TimestampMs
}

/** `graceMs` has no default: how long to wait for late records is a decision. */
export interface TumblingOptions {
  readonly sizeMs: DurationMs
  readonly graceMs: DurationMs
}

export interface HoppingOptions extends TumblingOptions {
  readonly advanceMs: DurationMs
  /**
   * False, as in Kafka Streams and Quix: no window of a record at or after the
   * epoch starts before it, so the first windows of 1970 are fewer. True, as
   * in Flink: the rule has no exception at the epoch.
   */
  readonly acrossEpoch?: boolean
}

/**
 * Windows of one size, one after the other, aligned to the epoch: each record is in exactly one.
 *
 * @throws RangeError for a size below 1 ms or a negative grace.
 */
export function tumbling({ sizeMs, graceMs }: TumblingOptions): AlignedWindows {
  return hopping({ sizeMs, advanceMs: sizeMs, graceMs })
}

/**
 * Windows of one size that start every `advanceMs`, aligned to the epoch: a
 * record is in `sizeMs / advanceMs` of them, rounded up or down.
 *
 *     size 10, advance 5:  [0,10) [5,15) [10,20) …   a record at 7 is in [0,10) and [5,15)
 *
 * @throws RangeError for a size below 1 ms, an advance that is not in [1, sizeMs], or a negative grace.
 */
export function hopping({ sizeMs, advanceMs, graceMs, acrossEpoch = false }: HoppingOptions): AlignedWindows {
  requireDuration('window sizeMs', sizeMs, { least: 1 })
  requireDuration('window advanceMs', advanceMs, { least: 1, most: sizeMs })
  requireDuration('window graceMs', graceMs)
  // The windows of one record are mostly those of the next.
  let last: readonly WindowSpan[] = []
  let lastFromMs = Number.POSITIVE_INFINITY
  let lastToMs = Number.NEGATIVE_INFINITY
  return {
    kind: 'aligned',
    graceMs,
    leastSizeMs: sizeMs,
    greatestSizeMs: sizeMs,
    endOf: (startMs) => startMs + sizeMs,
    containing(atMs) {
      if (atMs >= lastFromMs && atMs < lastToMs) return last
      const spans: WindowSpan[] = []
      let startMs = (Math.floor((atMs - sizeMs) / advanceMs) + 1) * advanceMs
      if (!acrossEpoch && atMs >= 0 && startMs < 0) startMs = 0
      for (; startMs <= atMs; startMs += advanceMs) spans.push({ startMs, endMs: startMs + sizeMs })
      if (sizeMs % advanceMs === 0 && spans[0] !== undefined) {
        last = spans
        lastFromMs = spans[spans.length - 1]!.startMs
        lastToMs = lastFromMs + advanceMs
      }
      return spans
    },
  }
}
