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
}

export interface SessionOptions {
  readonly gapMs: DurationMs
  readonly graceMs: DurationMs
  readonly bounds?: SessionWindows['bounds']
}

/** @throws RangeError for a gap below 1 ms or a negative grace. */
export function session({ gapMs, graceMs, bounds = 'inclusive' }: SessionOptions): SessionWindows {
  requireDuration('session gapMs', gapMs, { least: 1 })
  requireDuration('session graceMs', graceMs)
  return { kind: 'session', gapMs, graceMs, bounds }
}
