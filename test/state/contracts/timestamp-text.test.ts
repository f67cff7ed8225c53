import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTimestamp } from '../../../state/contracts/timestamp-text.ts'

test('every instant of four-digit years is read back from its ISO text', () => {
  const years = {
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  }
  fc.assert(
    fc.property(fc.date(years), (date) => {
      expect(parseTimestamp(date.toISOString())).toBe(date.getTime())
    }),
  )
})

test.each([
  ['2024-02-29', Date.UTC(2024, 1, 29)],
  ['2024-02-29T12:00Z', Date.UTC(2024, 1, 29, 12)],
  ['2024-02-29T12:00:00+02:00', Date.UTC(2024, 1, 29, 10)],
  ['2024-02-29T12:00:00-0530', Date.UTC(2024, 1, 29, 17, 30)],
  ['2024-02-29 12:00:00.123456789Z', Date.UTC(2024, 1, 29, 12, 0, 0, 123)],
  ['1969-12-31T23:59:59.999Z', -1],
])('%s is an instant', (text, expected) => {
  expect(parseTimestamp(text)).toBe(expected)
})

test.each([
  ['2024-02-29T12:00:00'],
  ['2023-02-29'],
  ['2024-13-01'],
  ['2024-00-10'],
  ['2024-01-00'],
  ['2024-01-01T24:00:00Z'],
  ['2024-01-01T12:60:00Z'],
  ['2024-01-01T12:00:60Z'],
  ['2024-01-01T12:00:00+25:00'],
  ['24-01-01'],
  ['1704067200000'],
  ['Mon, 01 Jan 2024 00:00:00 GMT'],
  [' 2024-01-01'],
  [''],
])('%j is none', (text) => {
  expect(parseTimestamp(text)).toBeUndefined()
})
