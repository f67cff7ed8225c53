import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'

/** A date as a calendar shows it. Months count from 1. Days and months out of range run over into the next ones. */
export interface CivilDate {
  readonly year: number
  readonly month: number
  readonly day: number
}

/** Dates and instants of a place. */
export interface TimeZone {
  /** The date that clocks show at this instant. */
  dateAt(atMs: TimestampMs): CivilDate
  /** The first instant of the date; of a date that the place left out, the first instant after it. */
  startOf(date: CivilDate): TimestampMs
}

const hourMs = 3_600_000

/** Longer than any change of a zone's offset: Samoa and Kwajalein skipped a whole day. */
const reachMs = 36 * hourMs

/**
 * The clocks of a time zone, by `Intl`, so by the time zone data of the runtime.
 *
 * @throws RangeError for a name that the runtime does not know.
 */
export function timeZone(zone: string): TimeZone {
  const format = formatOf(zone)

  const localMs = (atMs: TimestampMs): number => {
    let year = 0
    let month = 1
    let day = 1
    let hour = 0
    let minute = 0
    let second = 0
    let era = 'AD'
    for (const { type, value } of format.formatToParts(atMs)) {
      if (type === 'year') year = Number(value)
      else if (type === 'month') month = Number(value)
      else if (type === 'day') day = Number(value)
      else if (type === 'hour') hour = Number(value)
      else if (type === 'minute') minute = Number(value)
      else if (type === 'second') second = Number(value)
      else if (type === 'era') era = value
    }
    // Years before 100 need the long way; Date.UTC reads them as 19xx.
    const wholeYear = era.startsWith('B') ? 1 - year : year
    const shifted = Date.UTC(wholeYear + 400, month - 1, day, hour, minute, second) - cycleMs
    return shifted + mod(atMs, 1_000)
  }
  const offsetAt = (atMs: TimestampMs): DurationMs => localMs(atMs) - atMs

  return {
    dateAt: (atMs) => dateOf(atMs + offsetAt(atMs)),
    startOf(date) {
      const wanted = localOf(date)
      const before = offsetAt(wanted - reachMs)
      const after = offsetAt(wanted + reachMs)
      // The greater offset comes first in time, so of two midnights the earlier one is taken.
      for (const offset of before >= after ? [before, after] : [after, before]) {
        if (offsetAt(wanted - offset) === offset) return wanted - offset
      }
      return transition(offsetAt, wanted - reachMs, wanted + reachMs)
    },
  }
}

/** 400 years of the Gregorian calendar, which repeats itself after that. */
const cycleMs = 146_097 * 24 * hourMs

const localOf = ({ year, month, day }: CivilDate): number => Date.UTC(year + 400, month - 1, day) - cycleMs

const mod = (value: number, by: number): number => ((value % by) + by) % by

/**
 * Source of the conversion from days to a date: Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms", 2013, civil_from_days.
 */
function dateOf(localMs: number): CivilDate {
  const shifted = Math.floor(localMs / (24 * hourMs)) + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1_460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  }
}

/** The first instant in (from, to] with another offset than `from`. */
function transition(offsetAt: (atMs: number) => number, fromMs: number, toMs: number): TimestampMs {
  const before = offsetAt(fromMs)
  let low = fromMs
  let high = toMs
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(middle) === before) low = middle
    else high = middle
  }
  return high
}

function formatOf(zone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (cause) {
    throw new RangeError(
      `time zone is "${zone}", expected an IANA name that the runtime knows, such as "Europe/Berlin"`,
      { cause },
    )
  }
}
