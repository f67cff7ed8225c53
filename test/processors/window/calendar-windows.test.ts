import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { calendar } from '../../../processors/window/calendar-windows.ts'
import { hours } from '../../../state/contracts/units.ts'

const utc = (text: string): number => Date.parse(text)
const text = (atMs: number): string => new Date(atMs).toISOString()

const spanOf = (
  unit: 'day' | 'week' | 'month',
  zone: string,
  at: string,
  weekStartsOn?: number,
): string[] => {
  const options = { unit, zone, graceMs: 0, ...(weekStartsOn === undefined ? {} : { weekStartsOn }) }
  return calendar(options)
    .containing(utc(at))
    .flatMap(({ startMs, endMs }) => [text(startMs), text(endMs)])
}

describe('calendar windows', () => {
  it.each([
    ['day', 'Europe/Berlin', '2026-03-29T10:00:00Z', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'],
    ['day', 'Europe/Berlin', '2026-10-25T10:00:00Z', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'],
    [
      'month',
      'Europe/Berlin',
      '2026-03-01T00:00:00Z',
      '2026-02-28T23:00:00.000Z',
      '2026-03-31T22:00:00.000Z',
    ],
    ['week', 'UTC', '1970-01-01T00:00:00Z', '1969-12-29T00:00:00.000Z', '1970-01-05T00:00:00.000Z'],
    // Clocks went from 00:00 to 01:00, so the day began at 01:00.
    [
      'day',
      'America/Sao_Paulo',
      '2018-11-04T12:00:00Z',
      '2018-11-04T03:00:00.000Z',
      '2018-11-05T02:00:00.000Z',
    ],
    // 30 December 2011 was left out.
    ['day', 'Pacific/Apia', '2011-12-30T10:00:00Z', '2011-12-30T10:00:00.000Z', '2011-12-31T10:00:00.000Z'],
  ] as const)('a %s in %s around %s', (unit, zone, at, start, end) => {
    expect(spanOf(unit, zone, at)).toEqual([start, end])
  })

  it('a week starts on the day that is asked for', () => {
    expect(spanOf('week', 'UTC', '2026-11-22T12:00:00Z')[0]).toBe('2026-11-16T00:00:00.000Z')
    expect(spanOf('week', 'UTC', '2026-11-22T12:00:00Z', 7)[0]).toBe('2026-11-22T00:00:00.000Z')
  })

  it('windows lie one after the other, and each instant of a day shows one date', () => {
    const zones = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'America/Sao_Paulo',
      'Asia/Kolkata',
      'Australia/Lord_Howe',
      'Pacific/Apia',
    )
    const instants = fc.integer({ min: utc('1990-01-01T00:00:00Z'), max: utc('2035-01-01T00:00:00Z') })
    fc.assert(
      fc.property(zones, instants, fc.constantFrom('day', 'week', 'month' as const), (zone, atMs, unit) => {
        const windows = calendar({ unit, zone, graceMs: 0 })
        const [span] = windows.containing(atMs)
        const { startMs, endMs } = span!
        expect(startMs <= atMs && atMs < endMs).toBe(true)
        expect(windows.endOf(startMs)).toBe(endMs)
        expect(windows.containing(endMs)[0]?.startMs).toBe(endMs)
        expect(windows.containing(startMs - 1)[0]?.endMs).toBe(startMs)
        expect(endMs - startMs).toBeGreaterThanOrEqual(windows.leastSizeMs)
        expect(endMs - startMs).toBeLessThanOrEqual(windows.greatestSizeMs)
        if (unit !== 'day') return
        const date = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' })
        for (const inside of [startMs, atMs, endMs - 1])
          expect(date.format(inside)).toBe(date.format(startMs))
        expect(date.format(endMs)).not.toBe(date.format(startMs))
      }),
      { numRuns: 300 },
    )
  })

  it('refuses a zone that is not known, a day that no week has and a negative grace', () => {
    expect(() => calendar({ unit: 'day', zone: 'Mars/Olympus', graceMs: 0 })).toThrow(RangeError)
    expect(() => calendar({ unit: 'week', zone: 'UTC', weekStartsOn: 8, graceMs: 0 })).toThrow(
      new RangeError('weekStartsOn is 8, expected a whole number of at least 1 and at most 7'),
    )
    expect(() => calendar({ unit: 'day', zone: 'UTC', graceMs: -hours(1) })).toThrow(RangeError)
  })
})
