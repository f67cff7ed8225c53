import { expect, expectTypeOf, test } from 'vitest'
import { latest } from '../../../processors/feature/feature.ts'
import { featureView } from '../../../processors/feature/feature-view.ts'
import {
  count,
  kurtosis,
  mean,
  meanInterval,
  range,
  skew,
  smoothedMean,
  standardDeviation,
  standardError,
  timeSinceFirst,
  timeSinceLast,
  trend,
  variance,
} from '../../../processors/feature/features.ts'
import { ViewState } from '../../../processors/feature/view-state.ts'
import { event } from '../../../state/contracts/event.ts'

const sale = event(
  'sale',
  { shop: 'int', amount: 'double', name: 'string', at: 'timestamp' },
  { key: 'shop', time: 'at' },
)

const window = { over: 1000, hop: 100 }

function read(view: ReturnType<typeof featureView>, queryMs: number): Record<string, number> {
  const state = new ViewState(view)
  // The first event is older than the window of every query.
  const amounts = [
    [50, 99],
    [1000, 1],
    [1100, 2],
    [1300, 4],
    [1400, 9],
  ] as const
  for (const [at, amount] of amounts) state.update(sale.topic, at, { shop: 1, amount, name: 'x', at })
  const into = new Float64Array(state.featureNames.length)
  state.readOne(1, queryMs, into, 0)
  return Object.fromEntries(
    state.featureNames.map((name, index) => [name, Number(into[index]!.toPrecision(12))]),
  )
}

test('a view has every aggregate of numbers, over its window', () => {
  const view = featureView('sales', {
    entity: 'shop',
    owner: 'test',
    description: 'every aggregate of numbers',
    features: {
      range: range(sale, 'amount', window),
      variance: variance(sale, 'amount', window),
      populationVariance: variance(sale, 'amount', { ...window, of: 'population' }),
      deviation: standardDeviation(sale, 'amount', window),
      error: standardError(sale, 'amount', window),
      skew: skew(sale, 'amount', { ...window, of: 'population' }),
      kurtosis: kurtosis(sale, 'amount', { ...window, of: 'population' }),
      sinceLast: timeSinceLast(sale, window),
      sinceFirst: timeSinceFirst(sale, window),
      interval: meanInterval(sale, window),
      trend: trend(sale, 'amount', { ...window, per: 100 }),
      smoothed: smoothedMean(sale, 'amount', { ...window, alpha: 0.5 }),
      bigSinceLast: timeSinceLast(sale, { ...window, where: ({ amount }) => amount < 3 }),
    },
  })
  // Of 1, 2, 4, 9: mean 4, deviations -3, -2, 0, 5; squares 38, cubes 90, fourth powers 722.
  // Times in hundreds from their mean: -2, -1, 1, 2; with the values 6 + 2 + 0 + 10 over 10.
  expect(read(view, 1500)).toEqual({
    range: 8,
    variance: Number((38 / 3).toPrecision(12)),
    populationVariance: 9.5,
    deviation: Number(Math.sqrt(38 / 3).toPrecision(12)),
    error: Number(Math.sqrt(38 / 12).toPrecision(12)),
    skew: Number((22.5 / 9.5 ** 1.5).toPrecision(12)),
    kurtosis: Number((180.5 / 9.5 ** 2 - 3).toPrecision(12)),
    sinceLast: 100,
    sinceFirst: 500,
    interval: Number((400 / 3).toPrecision(12)),
    trend: 1.8,
    smoothed: 5.875,
    bigSinceLast: 400,
  })
})

test('without an event an aggregate is itself, for stream operators', () => {
  expect(variance().name).toBe('variance')
  expect(variance({ of: 'population' }).name).toBe('populationVariance')
  expect(timeSinceLast().name).toBe('timeSinceLast')
})

test('a misspelt field, or one without numbers, does not compile and is refused', () => {
  // @ts-expect-error there is no such field
  expect(() => variance(sale, 'amonut', window)).toThrow('no field "amonut"')
  // @ts-expect-error a text is not a number
  expect(() => mean(sale, 'name', window)).toThrow('is string')
  expectTypeOf(variance(sale, 'amount', window).kind).toEqualTypeOf<'windowed'>()
})

test('a feature that cannot be is refused where it is declared, with what would do', () => {
  const short = event(
    'short',
    { shop: 'int', at: 'timestamp' },
    { key: 'shop', time: 'at', retentionMs: 5_000 },
  )
  expect(() => mean(sale, 'name' as never, window)).toThrow(
    'field "name" of event "sale" is string, expected a number or a boolean; give a function that makes one of it',
  )
  expect(() => latest(sale, 'name' as never)).toThrow('field "name" of event "sale" is string')
  expect(() => mean(sale, 'price' as never, window)).toThrow('event "sale" has no field "price"')
  expect(() => count(sale, { over: 0 })).toThrow("a window's length must be positive, got 0")
  expect(() => count(sale, { over: 10, hop: 11 })).toThrow(
    "a window's hop must be between 0 and its length 10",
  )
  expect(() => count(short, { over: 5_001 })).toThrow(
    'a window of 5001 ms is longer than event "short" is kept, 5000 ms',
  )
  expect(count(short, { over: 5_000 }).overMs).toBe(5_000)
  expect(latest(sale, ({ name }) => name.length).kind).toBe('lookup')
})
