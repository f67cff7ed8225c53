import type { TimestampMs } from './units.ts'

const iso =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2}))?$/

const daysInMonth = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate()

/**
 * The instant that an ISO-8601 text names: a date (midnight UTC), or a date
 * and time with `Z` or an offset. Digits past the milliseconds are cut off.
 * Undefined for anything else, a time without a zone and 30 February included:
 * a guess would be a silent shift of the event.
 */
export function parseTimestamp(text: string): TimestampMs | undefined {
  const parts = iso.exec(text)
  if (!parts) return undefined
  const [, year = '', month = '', day = '', hour = '0', minute = '0', second = '0', fraction = '', zone] =
    parts
  if (+month < 1 || +month > 12 || +day < 1 || +day > daysInMonth(+year, +month)) return undefined
  if (+hour > 23 || +minute > 59 || +second > 59) return undefined
  const offsetMs = zone === undefined || zone === 'Z' ? 0 : zoneOffsetMs(zone)
  if (offsetMs === undefined) return undefined
  const date = new Date(0)
  date.setUTCFullYear(+year, +month - 1, +day)
  date.setUTCHours(+hour, +minute, +second, +fraction.slice(0, 3).padEnd(3, '0'))
  return date.getTime() - offsetMs
}

function zoneOffsetMs(zone: string): number | undefined {
  const hours = +zone.slice(1, 3)
  const minutes = +zone.slice(-2)
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}
