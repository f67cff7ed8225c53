import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import { requireCount, requireDuration } from '../stream/declaration-checks.ts'
import type { AlignedWindows } from './time-windows.ts'
import { type CivilDate, timeZone } from './time-zone.ts'
import type { WindowSpan } from './window.ts'

export interface CalendarOptions {
  readonly unit: 'day' | 'week' | 'month'
  /** An IANA name such as `Europe/Berlin`. */
  readonly zone: string
  /** First day of a week: 1 is Monday, as in ISO 8601 and by default, 7 is Sunday. */
  readonly weekStartsOn?: number
  readonly graceMs: DurationMs
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

const rememberedSpans = 32

const leastSize = { day: 1, week: 5 * dayMs, month: 27 * dayMs }
const greatestSize = { day: 2 * dayMs, week: 8 * dayMs, month: 32 * dayMs }

/**
 * Days, weeks or months as the clocks of a time zone show them: a day begins
 * at the first instant of its date, which is not midnight where a change of
 * the clocks leaves midnight out, and lasts 23 or 25 hours when they change.
 * Bounds come from the time zone data of the runtime.
 *
 * @throws RangeError for a time zone that is not known, a week start outside 1 to 7, or a negative grace.
 */
export function calendar({ unit, zone, weekStartsOn = 1, graceMs }: CalendarOptions): AlignedWindows {
  const { dateAt, startOf } = timeZone(zone)
  requireCount('weekStartsOn', weekStartsOn, 1, 7)
  requireDuration('window graceMs', graceMs)

  const firstDay = (date: CivilDate): CivilDate => {
    if (unit === 'day') return date
    if (unit === 'month') return { ...date, day: 1 }
    return { ...date, day: date.day - ((weekday(date) - weekStartsOn + 7) % 7) }
  }
  const next = (first: CivilDate): CivilDate => {
    if (unit === 'month') return { ...first, month: first.month + 1 }
    return { ...first, day: first.day + (unit === 'day' ? 1 : 7) }
  }
  const previous = (first: CivilDate): CivilDate => {
    if (unit === 'month') return { ...first, month: first.month - 1 }
    return { ...first, day: first.day - (unit === 'day' ? 1 : 7) }
  }

  const spanAt = (atMs: TimestampMs): WindowSpan => {
    let first = firstDay(dateAt(atMs))
    // Where clocks go back over midnight, the date of an instant may be the day before the one it belongs to.
    while (startOf(first) > atMs) first = previous(first)
    while (startOf(next(first)) <= atMs) first = next(first)
    return { startMs: startOf(first), endMs: startOf(next(first)) }
  }

  // Bounds are a pure function of the instant, and dear: a few dozen calls of Intl. Most records
  // fall into a window that was asked for a moment ago.
  const remembered: WindowSpan[] = []
  const rememberedSpanAt = (atMs: TimestampMs): WindowSpan => {
    const known = remembered.find(({ startMs, endMs }) => atMs >= startMs && atMs < endMs)
    if (known !== undefined) return known
    const span = spanAt(atMs)
    if (remembered.unshift(span) > rememberedSpans) remembered.pop()
    return span
  }
  return {
    kind: 'aligned',
    graceMs,
    leastSizeMs: leastSize[unit],
    greatestSizeMs: greatestSize[unit],
    containing: (atMs) => [rememberedSpanAt(atMs)],
    endOf: (startMs) => rememberedSpanAt(startMs).endMs,
  }
}

/** 1 is Monday. 1970-01-01 was a Thursday. */
function weekday({ year, month, day }: CivilDate): number {
  const days = Math.floor(Date.UTC(year, month - 1, day) / dayMs)
  return ((((days + 3) % 7) + 7) % 7) + 1
}
