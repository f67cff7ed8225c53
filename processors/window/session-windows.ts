import type { DurationMs } from '../../state/contracts/units.ts'
import { requireDuration } from '../stream/declaration-checks.ts'

/** Runs of a key's records that are at most `gapMs` apart. A record that bridges two runs merges them into one. */
export interface SessionWindows {
  readonly kind: 'session'
  readonly gapMs: DurationMs
  readonly graceMs: DurationMs
  /**
   * `inclusive`, as in Kafka Streams: `[first, last]`; closed when
   * `last + gapMs + graceMs < stream time`, since a record exactly at the gap
   * still belongs to it.
   *
   * `half-open`, as in Flink: `[first, last + gapMs)`; closed when
   * `last + gapMs + graceMs <= stream time`.
   */
  readonly bounds: 'inclusive' | 'half-open'
  /**
   * True: a record that is in time also merges closed sessions within its
   * gap, which are kept one gap longer for it, so that the runs do not depend
   * on the order of arrival. Only for results that promise nothing final.
   */
  readonly mergesClosed: boolean
}

export interface SessionOptions {
  readonly gapMs: DurationMs
  readonly graceMs: DurationMs
  readonly bounds?: SessionWindows['bounds']
  /** False unless said. */
  readonly mergesClosed?: boolean
}

/** @throws RangeError for a gap below 1 ms or a negative grace. */
export function session({
  gapMs,
  graceMs,
  bounds = 'inclusive',
  mergesClosed = false,
}: SessionOptions): SessionWindows {
  requireDuration('session gapMs', gapMs, { least: 1 })
  requireDuration('session graceMs', graceMs)
  return { kind: 'session', gapMs, graceMs, bounds, mergesClosed }
}
