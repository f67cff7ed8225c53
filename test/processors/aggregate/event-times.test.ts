import { expect, test } from 'vitest'
import { meanInterval, timeSinceFirst, timeSinceLast } from '../../../processors/aggregate/event-times.ts'
import { columnAggregateSuite, type TimedNumber } from '../../conformance/aggregate.suite.ts'

const times = (events: readonly TimedNumber[]): number[] => events.map(({ atMs }) => atMs)

columnAggregateSuite({
  aggregate: timeSinceLast(),
  isExactOnIntegers: true,
  oracle: (events, queryMs) => (events.length === 0 ? Number.NaN : queryMs - Math.max(...times(events))),
})

columnAggregateSuite({
  aggregate: timeSinceFirst(),
  isExactOnIntegers: true,
  oracle: (events, queryMs) => (events.length === 0 ? Number.NaN : queryMs - Math.min(...times(events))),
})

columnAggregateSuite({
  aggregate: meanInterval(),
  isExactOnIntegers: true,
  oracle(events) {
    const sorted = times(events).sort((a, b) => a - b)
    const gaps = sorted.slice(1).map((time, index) => time - sorted[index]!)
    return gaps.length === 0 ? Number.NaN : gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  },
})

test('the time since the last event grows as the query moves on', () => {
  const { folds, finish } = timeSinceLast()
  const row = new Float64Array(1)
  folds[0]!.init(row, 0)
  folds[0]!.add(row, 0, 1, 5_000)
  folds[0]!.add(row, 0, 1, 4_000)
  expect([finish(row, [0], 5_001), finish(row, [0], 65_000)]).toEqual([1, 60_000])
})
