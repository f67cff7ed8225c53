import fc from 'fast-check'
import { describe, test, expect as verify } from 'vitest'
import { type Expectation, expect } from '../../../models/quality/expectation.ts'
import { type Failure, SubjectQuality, type WindowVerdict } from '../../../models/quality/subject-quality.ts'
import { event } from '../../../state/contracts/event.ts'
import { nullable } from '../../../state/contracts/field-type.ts'
import { days, hours, minutes } from '../../../state/contracts/units.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import { orderedStore } from '../../../state/store/ordered-store.ts'

const trip = event(
  'trip',
  { id: 'string', fare: nullable('double'), zone: nullable('string'), at: 'timestamp' },
  { key: 'id', time: 'at' },
)

interface Row {
  readonly fare: number | null
  readonly zone: string | null
  readonly at: number
}

const hour = hours(1)
const start = days(19_000)
const iso = (ms: number) => new Date(ms).toISOString()

function judged(list: readonly Expectation<'fare' | 'zone'>[], grace = 0) {
  const declared = expect(trip, list, { grace })
  const store = orderedStore<unknown>('quality.trip')
  const verdicts: WindowVerdict[] = []
  const alerts: Failure[] = []
  const quality = new SubjectQuality(declared, store, (verdict) => verdicts.push(verdict))
  let streamTimeMs = Number.NEGATIVE_INFINITY
  const take = (row: Row) => {
    if (row.at > streamTimeMs) {
      streamTimeMs = row.at
      alerts.push(...quality.close(streamTimeMs))
    }
    const read = (place: number) => row[quality.fields[place] as 'fare' | 'zone']
    const failures = quality.failuresOf(read, row.at)
    alerts.push(...quality.count(read, row.at, failures, false, streamTimeMs))
  }
  const passTime = (atMs: number) => {
    streamTimeMs = atMs
    alerts.push(...quality.close(atMs))
  }
  return { quality, store, verdicts, alerts, take, passTime }
}

const row = (at: number, fare: number | null = 10, zone: string | null = 'A'): Row => ({ at, fare, zone })

describe('expectations of one subject', () => {
  test('a failing row is told of once a window, and every one is counted', () => {
    const { quality, alerts, take } = judged([{ field: 'fare', range: { min: 0, max: 100 } }])
    for (const fare of [5, -1, -2, null, 100]) take(row(start + minutes(1), fare))
    take(row(start + hour, 101))
    verify(alerts.map(({ message, atMs }) => [message, atMs])).toEqual([
      ['fare is -1, expected from 0 to 100', start + minutes(1)],
      ['fare is 101, expected from 0 to 100', start + hour],
    ])
    verify(quality.tally().map(({ judged: rows, failed }) => [rows, failed])).toEqual([[6, 3]])
  })

  test.each<[Expectation<'fare' | 'zone'>, Row, boolean]>([
    [{ field: 'fare', type: 'integer' }, row(start, 2), true],
    [{ field: 'fare', type: 'integer' }, row(start, 2.5), false],
    [{ field: 'zone', type: 'uuid' }, row(start, 1, '6fa459ea-ee8a-3ca4-894e-db77e160355e'), true],
    [{ field: 'zone', type: 'number-text' }, row(start, 1, ' '), false],
    [{ field: 'zone', matches: /^[A-Z]$/ }, row(start, 1, 'AB'), false],
    [{ field: 'zone', oneOf: ['A', 'B'] }, row(start, 1, 'B'), true],
    [{ field: 'zone', oneOf: ['A', 'B'] }, row(start, 1, null), true],
    [{ field: 'zone', notNull: true }, row(start, 1, null), false],
    [{ field: 'fare', range: { min: 0 } }, row(start, Number.NaN), false],
  ])('%j holds for %j: %s', (expectation, given, holds) => {
    const { alerts, take } = judged([expectation])
    take(given)
    verify(alerts.length === 0).toBe(holds)
  })

  test('volume is held against the same window a week before, and an empty window is judged too', () => {
    const { verdicts, alerts, take, passTime } = judged([{ volume: { atLeast: 0.5, atMost: 2 } }])
    for (const minute of [0, 1, 2, 3]) take(row(start + minutes(minute)))
    take(row(start + hour))
    const week = start + days(7)
    take(row(week + minutes(5)))
    passTime(week + 2 * hour)
    verify(verdicts.map(({ fromMs, value, failed }) => [fromMs - week, value, failed])).toEqual([
      [0, 0.25, 1],
      [hour, 0, 1],
    ])
    verify(alerts.map(({ message, atMs }) => [message, atMs - week])).toEqual([
      [
        `volume is 0.25 in the window of 1 from ${iso(week)}, expected events from 0.5 to 2 times those of a week before`,
        hour,
      ],
      [
        `volume is 0 in the window of 0 from ${iso(week + hour)}, expected events from 0.5 to 2 times those of a week before`,
        2 * hour,
      ],
    ])
  })

  test('silence alerts once however many windows it lasts, and again after the next event', () => {
    const { quality, alerts, take, passTime } = judged([{ freshness: { atMost: minutes(90) } }])
    take(row(start + minutes(30)))
    passTime(start + hour)
    passTime(start + 3 * hour)
    passTime(start + 6 * hour)
    take(row(start + 6 * hour + minutes(10)))
    passTime(start + 9 * hour)
    verify(alerts.map(({ atMs, value }) => [(atMs - start) / hour, value])).toEqual([
      [3, minutes(150)],
      [8, minutes(110)],
    ])
    verify(quality.tally()[0]).toMatchObject({ judged: 9, failed: 6 })
  })

  test('a distribution is held against its reference, outliers and unknown categories in bins of their own', () => {
    const { verdicts, take, passTime } = judged([
      {
        field: 'fare',
        distribution: {
          reference: { edges: [0, 10, 20], shares: [0.5, 0.5] },
          distance: 'largest-difference',
          atMost: 0.2,
        },
        leastCount: 4,
      },
      {
        field: 'zone',
        distribution: {
          reference: { categories: { A: 3, B: 1 } },
          distance: 'largest-difference',
          atMost: 0.2,
        },
        leastCount: 4,
      },
    ])
    for (const [fare, zone] of [
      [1, 'A'],
      [2, 'A'],
      [11, 'A'],
      [99, 'Z'],
      [null, null],
    ] as const) {
      take(row(start, fare, zone))
    }
    passTime(start + hour)
    verify(verdicts.map(({ value, failed }) => [value, failed])).toEqual([
      [0.25, 1],
      [0.25, 1],
    ])
  })

  test('state that was saved and restored anywhere goes on to the same verdicts and alerts', async () => {
    const list = [
      { field: 'fare', range: { max: 50 } },
      { field: 'zone', distinct: { atMost: 2 } },
      { volume: { atLeast: 1 } },
      { freshness: { atMost: minutes(20) } },
    ] as const
    const rows = Array.from({ length: 60 }, (_, index) =>
      row(start + index * minutes(37), index, `z${index % 5}`),
    )
    const whole = judged(list)
    for (const each of rows) whole.take(each)
    const first = judged(list)
    for (const each of rows.slice(0, 29)) first.take(each)
    const database = memoryDatabase()
    const writes: Parameters<typeof database.write>[0][number][] = []
    first.store.collect(writes)
    await database.write(writes)
    const second = judged(list)
    await second.store.restore(database)
    for (const each of rows.slice(28, 29)) second.passTime(each.at)
    for (const each of rows.slice(29)) second.take(each)
    verify([...first.verdicts, ...second.verdicts]).toEqual(whole.verdicts)
    verify([...first.alerts, ...second.alerts]).toEqual(whole.alerts)
    verify(second.quality.tally()).toEqual(whole.quality.tally())
  })

  test('windows are those that a naive count over all records gives, late ones left out', () => {
    const rowArbitrary = fc.record({
      step: fc.integer({ min: -50, max: 90 }),
      fare: fc.option(fc.integer({ min: -5, max: 20 })),
      zone: fc.option(fc.constantFrom('A', 'B', 'C')),
    })
    fc.assert(
      fc.property(fc.array(rowArbitrary, { maxLength: 80 }), fc.constantFrom(0, 20), (steps, grace) => {
        let clock = start
        const rows = steps.map(({ step, fare, zone }) => {
          clock += Math.max(0, minutes(Math.max(0, step)))
          return { fare, zone, at: clock + minutes(1) * Math.min(0, step) }
        })
        const { quality, verdicts, alerts, take, passTime } = judged(
          [
            { field: 'fare', range: { min: 0 } },
            { field: 'fare', nullShare: { atMost: 0.3 } },
            { field: 'zone', distinct: { atLeast: 2, atMost: 2 } },
          ],
          minutes(grace),
        )
        for (const each of rows) take(each)
        passTime(clock + days(1))
        verify(verdicts.map(({ fromMs, count, failed, value }) => [fromMs, count, failed, value])).toEqual(
          naive(rows, minutes(grace)),
        )
        verify(quality.tally()[0]!.failed).toBe(rows.filter(({ fare }) => fare !== null && fare < 0).length)
        const windowsFailed = verdicts.filter(({ failed }) => failed > 0).length
        verify(alerts.length).toBe(windowsFailed)
      }),
    )
  })
})

/** The same without state: for each window of records that came in time, the three verdicts. */
function naive(rows: readonly Row[], grace: number): number[][] {
  const windows = new Map<number, Row[]>()
  let newest = Number.NEGATIVE_INFINITY
  for (const each of rows) {
    newest = Math.max(newest, each.at)
    const from = Math.floor(each.at / hour) * hour
    if (from + hour + grace <= newest) continue
    windows.set(from, [...(windows.get(from) ?? []), each])
  }
  return [...windows.entries()]
    .sort(([left], [right]) => left - right)
    .flatMap(([from, held]) => {
      const negative = held.filter(({ fare }) => fare !== null && fare < 0).length
      const nulls = held.filter(({ fare }) => fare === null).length / held.length
      const zones = Math.min(3, new Set(held.flatMap(({ zone }) => (zone === null ? [] : [zone]))).size)
      return [
        [from, held.length, negative, negative / held.length],
        [from, held.length, nulls > 0.3 ? 1 : 0, nulls],
        [from, held.length, zones === 2 ? 0 : 1, zones],
      ]
    })
}

describe('a declaration of expectations', () => {
  test.each<[string, () => unknown, string]>([
    [
      'an unknown field',
      () => expect(trip, [{ field: 'fair' as 'fare', notNull: true }]),
      'there is no field "fair"',
    ],
    [
      'two of one name',
      () =>
        expect(trip, [
          { field: 'fare', range: { min: 0 } },
          { field: 'fare', range: { max: 9 } },
        ]),
      'two are named "fare range"',
    ],
    [
      'a window to quarantine',
      () => expect(trip, [{ volume: { atLeast: 1 }, severity: 'quarantine' as 'warn' }]),
      'there is no record to quarantine',
    ],
    [
      'edges that do not fit',
      () =>
        expect(trip, [
          { field: 'fare', distribution: { reference: { edges: [0, 1], shares: [1, 1] }, atMost: 1 } },
        ]),
      '3 edges',
    ],
    [
      'a week that windows do not divide',
      () => expect(trip, [{ volume: { atLeast: 1 } }], { window: hours(5) }),
      'do not divide',
    ],
  ])('%s is refused with both sides named', (_, declare, said) => {
    verify(declare).toThrow(said)
  })
})
