import fc from 'fast-check'
import { expect, test } from 'vitest'
import { forever } from '../../../processors/feature/feature.ts'
import { featureView } from '../../../processors/feature/feature-view.ts'
import { count, mean } from '../../../processors/feature/features.ts'
import { bottomK, lastK, topK } from '../../../processors/feature/object-features.ts'
import { ViewState } from '../../../processors/feature/view-state.ts'
import { event } from '../../../state/contracts/event.ts'

const reading = event(
  'reading',
  { sensor: 'int', value: 'int', at: 'timestamp' },
  { key: 'sensor', time: 'at' },
)
const disorder = 30
const windows = { short: [120, 0], long: [700, 0], tiles: [400, 50], ever: [forever, forever] } as const

const view = featureView('repeated', {
  entity: 'sensor',
  owner: 'test',
  description: 'Asked again and again',
  disorder,
  features: Object.fromEntries(
    Object.entries(windows).flatMap(([name, [over, hop]]) => {
      const window = over === forever ? { over } : { over, hop }
      return [
        [`mean ${name}`, mean(reading, 'value', window)],
        [`count ${name}`, count(reading, window)],
        [`top ${name}`, topK(reading, 'value', { ...window, k: 12 })],
        [`odd ${name}`, topK(reading, 'value', { ...window, k: 3, where: ({ value }) => value % 2 === 1 })],
        [`least ${name}`, bottomK(reading, 'value', { ...window, k: 3 })],
      ]
    }),
  ),
})
/** With one that forgets nothing among them, all of a group are folded from the start. */
const mixed = featureView('mixed', {
  entity: 'sensor',
  owner: 'test',
  description: 'The same beside a list in order of time',
  disorder,
  features: {
    top: topK(reading, 'value', { over: 700, hop: 0, k: 12 }),
    last: lastK(reading, 'value', { over: 700, hop: 0, k: 4 }),
  },
})

interface Reading {
  readonly value: number
  readonly at: number
}

const listed = <Item>(items: readonly Item[]) => (items.length === 0 ? null : items)

function oracle(events: readonly Reading[], q: number): Record<string, unknown> {
  const answers: Record<string, unknown> = {}
  for (const [name, [over, hop]] of Object.entries(windows)) {
    const from = hop > 0 && hop !== forever ? Math.floor((q - over) / hop) * hop : q - over
    const values = events.filter(({ at }) => at >= from && at < q).map(({ value }) => value)
    const largest = [...values].sort((a, b) => b - a)
    answers[`mean ${name}`] = listed(values) && values.reduce((sum, value) => sum + value, 0) / values.length
    answers[`count ${name}`] = values.length
    answers[`top ${name}`] = listed(largest.slice(0, 12))
    answers[`odd ${name}`] = listed(largest.filter((value) => value % 2 === 1).slice(0, 3))
    answers[`least ${name}`] = listed([...largest].reverse().slice(0, 3))
  }
  return answers
}

function mixedOracle(events: readonly Reading[], q: number): Record<string, unknown> {
  const inside = events.filter(({ at }) => at >= q - 700 && at < q)
  const values = inside.sort((a, b) => a.at - b.at).map(({ value }) => value)
  return {
    top: listed([...values].sort((a, b) => b - a).slice(0, 12)),
    last: listed([...values].reverse().slice(0, 4)),
  }
}

/** Dense, so that a window holds dozens of events and moves by a few between two reads. */
const steps = fc.array(
  fc.record({
    sensor: fc.integer({ min: 1, max: 2 }),
    value: fc.integer({ min: 0, max: 60 }),
    after: fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 0, max: 12 }) },
      // Some are later than the disorder, and join their tiles at once.
      { weight: 1, arbitrary: fc.integer({ min: -3 * disorder, max: 0 }) },
      { weight: 1, arbitrary: fc.integer({ min: 100, max: 300 }) },
    ),
    /** Times of reads, from the newest event on. */
    reads: fc.array(fc.integer({ min: -disorder, max: 60 }), { maxLength: 3 }),
  }),
  { minLength: 60, maxLength: 160, size: 'max' },
)

test('no answer depends on what was asked before it: exact windows that move, that stay, and that go back', () => {
  fc.assert(
    fc.property(steps, (given) => {
      const state = new ViewState(view)
      const other = new ViewState(mixed)
      const events: Reading[][] = [[], [], []]
      const newest = [0, 1_000, 1_000]
      for (const { sensor, value, after, reads } of given) {
        const at = newest[sensor]! + after
        newest[sensor] = Math.max(newest[sensor]!, at)
        events[sensor]!.push({ value, at })
        state.update(reading.topic, at, { sensor, value, at })
        other.update(reading.topic, at, { sensor, value, at })
        for (const later of reads) {
          const q = newest[sensor]! + later
          expect(state.values(sensor, q)).toEqual(oracle(events[sensor]!, q))
          expect(other.values(sensor, q)).toEqual(mixedOracle(events[sensor]!, q))
        }
      }
    }),
    { numRuns: 60 },
  )
})

test('of more windows than are remembered each has its own answer', () => {
  const state = new ViewState(view)
  const sensors = Array.from({ length: 700 }, (_, index) => index)
  for (let round = 0; round < 3; round++) {
    for (const sensor of sensors) {
      for (let index = 0; index < 10; index++) {
        const at = 1_000 + round * 100 + index
        state.update(reading.topic, at, { sensor, value: (sensor * 7 + index + round) % 50, at })
      }
    }
    for (const sensor of sensors) {
      const events = Array.from({ length: 10 * (round + 1) }, (_, place) => {
        const of = Math.floor(place / 10)
        return { at: 1_000 + of * 100 + (place % 10), value: (sensor * 7 + (place % 10) + of) % 50 }
      })
      expect(state.values(sensor, 1_200 + round)).toEqual(oracle(events, 1_200 + round))
    }
  }
})

test('an answer that stays the same is the same list, and one that was given is not changed later', () => {
  const state = new ViewState(view)
  const place = state.featureNames.indexOf('top long')
  const add = (at: number, value: number) => state.update(reading.topic, at, { sensor: 1, value, at })
  const read = (q: number) => {
    const answers: unknown[] = []
    state.readAnswers(1, q, answers)
    return answers[place]
  }
  for (let index = 0; index < 20; index++) add(1_000 + index, index)
  const first = read(1_100)
  const asGiven = structuredClone(first)
  expect(read(1_200)).toBe(first)
  add(1_300, 99)
  expect(read(1_400)).toEqual([99, ...(asGiven as number[]).slice(0, 11)])
  expect(first).toEqual(asGiven)
})
