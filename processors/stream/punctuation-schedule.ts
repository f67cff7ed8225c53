import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'

/** When a periodic call is due next; undefined: at the first time seen. Plain data, kept in a store. */
export interface PunctuationSchedule {
  readonly nextMs?: TimestampMs
}

/** Due at the first time seen, then at multiples of the period since the epoch. For stream time. */
export const alignedSchedule: PunctuationSchedule = {}

/** Due one period after the start, then every period. For clocks that start somewhere. */
export const scheduleFrom = (startMs: TimestampMs, everyMs: DurationMs): PunctuationSchedule => ({
  nextMs: startMs + everyMs,
})

/**
 * The schedule after a call at `nowMs`, or undefined when none is due yet. A
 * gap of many periods makes one call, not many, and the grid is kept:
 *
 *     every 10, calls at 42 51 61 71 95 101 for times 42 51 52 61 71 72 95 101
 *
 * Source of the rule: Kafka Streams, `Punctuator` and `PunctuationSchedule`.
 */
export function punctuate(
  schedule: PunctuationSchedule,
  everyMs: DurationMs,
  nowMs: TimestampMs,
): PunctuationSchedule | undefined {
  const { nextMs } = schedule
  if (nextMs === undefined) return { nextMs: (Math.floor(nowMs / everyMs) + 1) * everyMs }
  if (nowMs < nextMs) return undefined
  return { nextMs: nextMs + (Math.floor((nowMs - nextMs) / everyMs) + 1) * everyMs }
}
