import { mean } from '../../processors/aggregate/mean.ts'
import { sum as sumOf } from '../../processors/aggregate/sum.ts'
import { derived, type Feature } from '../../processors/feature/feature.ts'
import { featureView } from '../../processors/feature/feature-view.ts'
import { kurtosis, skew, sum, variance } from '../../processors/feature/features.ts'
import {
  approximateDistinct,
  bottomK,
  bucketBy,
  distinctCount,
  firstK,
  frequentValues,
  lastK,
  quantile,
  topK,
} from '../../processors/feature/object-features.ts'
import { event } from '../../state/contracts/event.ts'
import { nullable } from '../../state/contracts/field-type.ts'
import { days, hours } from '../../state/contracts/units.ts'
import { type Json, type PointInTimeCase, type Row, timeOf } from './point-in-time-case.ts'
import type { FeedStep, ViewFeed } from './point-in-time-feeds.ts'

/** One element of a row: its lists and maps come as an event for each element. */
const element = event(
  'element',
  {
    key: 'string',
    /** What of the row it is: the row itself, or the name of the list. */
    part: 'string',
    /** 1 for what came, -1 for what was taken back. */
    sign: 'double',
    title: nullable('string'),
    name: nullable('string'),
    value: nullable('double'),
    views: nullable('double'),
    rating: nullable('double'),
    at: 'timestamp',
  },
  { key: 'key', time: 'at' },
)

interface Parts {
  readonly part: string
  readonly sign: number
  readonly title: string | null
  readonly name: string | null
  readonly value: number | null
  readonly views: number | null
  readonly rating: number | null
}

const nothing = { part: 'row', sign: 1, title: null, name: null, value: null, views: null, rating: null }

const step = (
  atMs: number,
  values: { readonly [Name in keyof Parts]?: Json },
  key: Json = 'k',
): FeedStep => ({
  kind: 'event',
  topic: element.topic,
  atMs,
  event: { ...nothing, ...values, key: String(key), at: atMs },
})

const ask = (atMs: number, shown: Row = {}, key: Json = 'k'): FeedStep => ({
  kind: 'query',
  atMs,
  entity: { key: String(key) },
  shown,
})

/** Where the events come in order a disorder of 0 folds them into tiles; else they wait as they came. */
const viewOf = (features: Readonly<Record<string, Feature>>, disorder = days(3_650)) =>
  featureView('case', {
    entity: 'key',
    owner: 'test',
    description: 'a golden case with lists and maps',
    disorder,
    features,
  })

interface UpdateRow {
  readonly ts: number
  readonly views: number
  readonly rating: number
  readonly title: string
  readonly session_lengths: readonly (number | null)[] | null
  readonly hist_input: readonly string[] | null
  readonly hist_map: readonly (readonly [string | null, number | null])[] | null
  readonly embeddings: readonly number[] | null
}

const isPart =
  (part: string) =>
  (each: Parts): boolean =>
    each.part === part

/** A map's key that is null: events without a category have no bucket. */
const noName = ''

/** A row as events: itself, then each element of its lists. */
function elementsOf(row: Partial<UpdateRow>, atMs: number, sign: number): FeedStep[] {
  const { views, rating, title, session_lengths, hist_input, hist_map, embeddings } = row
  const of = { sign, title }
  return [
    step(atMs, { ...of, views, rating }),
    ...(session_lengths ?? []).map((value) => step(atMs, { ...of, part: 'session', value })),
    ...(hist_input ?? []).map((name) => step(atMs, { ...of, part: 'hist', name })),
    ...(hist_map ?? []).map(([name, value]) =>
      step(atMs, { ...of, part: 'map', name: name ?? noName, value }),
    ),
    ...(embeddings ?? []).map((value, place) => step(atMs, { ...of, part: `embedding${place}`, value })),
  ]
}

type Buckets = Readonly<Record<string, number | null>>

const bucketsOf = (answer: Json): Buckets => (answer as { readonly buckets: Buckets }).buckets

/** One map's numbers over another's; nothing where either has none. */
const ratios = (above: Json, below: Json): [string, number][] =>
  Object.entries(bucketsOf(above)).flatMap(([name, value]): [string, number][] => {
    const rows = bucketsOf(below)[name]
    return value === null || rows === null || rows === undefined ? [] : [[name, value / rows]]
  })

/**
 * Rows that came and rows that were taken back, which count with a sign where
 * an aggregate can be undone; the others do not see what was taken back.
 */
export function retractionFeed({ input }: PointInTimeCase): ViewFeed {
  const { rows, deletions } = input as {
    readonly rows: readonly UpdateRow[]
    readonly deletions: readonly UpdateRow[]
  }
  const over = hours(1)
  const hop = 1
  const signed =
    (part: string, field: 'value' | 'views' | 'rating') =>
    (each: Parts): number | null => {
      const value = each[field]
      return each.part === part && value !== null ? each.sign * value : null
    }
  const sign =
    (part: string, field: 'value' | 'views') =>
    (each: Parts): number | null =>
      each.part === part && each[field] !== null ? each.sign : null
  const came = { over, hop, where: (each: Parts) => each.part === 'row' && each.sign > 0 }
  const byTitle = (input: (each: Parts) => number | null, part: string, name: 'title' | 'name') =>
    bucketBy(element, (each) => [each[name], input(each)] as const, {
      of: sumOf(),
      bound: 50,
      over,
      hop,
      where: isPart(part),
    })
  const view = viewOf({
    'views.sum': sum(element, signed('row', 'views'), { over, hop }),
    'views.rows': sum(element, sign('row', 'views'), { over, hop }),
    mean: derived(['views.sum', 'views.rows'], (above, below) => above / below),
    rating: sum(element, signed('row', 'rating'), { over, hop }),
    last: lastK(element, 'title', { k: 1, ...came }),
    last2: lastK(element, 'title', { k: 2, ...came }),
    first2: firstK(element, 'title', { k: 2, ...came }),
    first: firstK(element, 'title', { k: 1, ...came }),
    top2: topK(element, 'title', { k: 2, ...came }),
    bottom2: bottomK(element, 'title', { k: 2, ...came }),
    top: topK(element, 'title', { k: 1, ...came }),
    bottom: bottomK(element, 'title', { k: 1, ...came }),
    estimated: approximateDistinct(element, 'title', came),
    distinct: distinctCount(element, 'title', { bound: 100, ...came }),
    'session.sum': sum(element, signed('session', 'value'), { over, hop }),
    'session.rows': sum(element, sign('session', 'value'), { over, hop }),
    session: derived(['session.sum', 'session.rows'], (above, below) => above / below),
    'title.sum': byTitle(signed('session', 'value'), 'session', 'title'),
    'title.rows': byTitle(sign('session', 'value'), 'session', 'title'),
    hist: byTitle(({ sign: one }) => one, 'hist', 'name'),
    'map.sum': byTitle(signed('map', 'value'), 'map', 'name'),
    'map.rows': byTitle(sign('map', 'value'), 'map', 'name'),
    embedding0: sum(element, signed('embedding0', 'value'), { over, hop }),
    embedding1: sum(element, signed('embedding1', 'value'), { over, hop }),
    'embedding.rows': sum(element, sign('embedding0', 'value'), { over, hop }),
  })
  return {
    view,
    steps: [
      ...rows.flatMap((row) => elementsOf(row, row.ts, 1)),
      ...deletions.flatMap((row) => elementsOf(row, row.ts, -1)),
      ask(10),
    ],
    result: ([row = {}]) => {
      const embeddings = [Number(row['embedding0']), Number(row['embedding1'])]
      return {
        'average(views)': row['mean'],
        'count(views)': row['views.rows'],
        'sum(rating)': row['rating'],
        'last(title)': (row['last'] as Json[])[0],
        'lastK(title,2)': row['last2'],
        'firstK(title,2)': row['first2'],
        'first(title)': (row['first'] as Json[])[0],
        'topK(title,2)': row['top2'],
        'bottomK(title,2)': row['bottom2'],
        'max(title)': (row['top'] as Json[])[0],
        'min(title)': (row['bottom'] as Json[])[0],
        'approxUniqueCount(title)': Math.round(Number(row['estimated'])),
        'uniqueCount(title)': row['distinct'],
        'average(session_lengths)': row['session'],
        'average(session_lengths) by title': Object.fromEntries(ratios(row['title.sum'], row['title.rows'])),
        'histogram(hist_input,k=2)': Object.fromEntries(
          Object.entries(bucketsOf(row['hist']))
            .sort(([, a], [, b]) => Number(b) - Number(a))
            .slice(0, 2),
        ),
        'average(hist_map)': ratios(row['map.sum'], row['map.rows'])
          .sort(([a], [b]) => Number(a === noName) - Number(b === noName) || (a < b ? -1 : 1))
          .map(([name, value]) => [name === noName ? null : name, value]),
        'elementwise sum(embeddings)': embeddings,
        'elementwise avg(embeddings)': embeddings.map((value) => value / Number(row['embedding.rows'])),
      }
    },
  }
}

/** The windows of a tile that was stored and read again, of numbers, lists and maps. */
export function tileFeed({ input }: PointInTimeCase): ViewFeed {
  const { rows } = input as { readonly rows: readonly UpdateRow[] }
  const newest = Math.max(...rows.map(({ ts }) => ts))
  const day = { over: days(1), hop: hours(1), where: isPart('row') }
  const week = { over: days(7), hop: hours(1), where: isPart('row') }
  const signedMean = (of: 'views' | 'rating'): [string, Feature] => [
    `mean.${of}`,
    derived([`sum.${of}`, 'rows'], (above, below) => above / below),
  ]
  const view = viewOf(
    {
      'sum.views': sum(element, 'views', day),
      'sum.rating': sum(element, 'rating', day),
      week: sum(element, 'rating', week),
      rows: sum(element, 'sign', day),
      ...Object.fromEntries([signedMean('views'), signedMean('rating')]),
      distinct: distinctCount(element, 'title', { bound: 100, ...day }),
      estimated: approximateDistinct(element, 'title', day),
      last: lastK(element, 'title', { k: 1, ...day }),
      last2: lastK(element, 'title', { k: 2, ...day }),
      top: topK(element, 'title', { k: 1, ...day }),
      bottom: bottomK(element, 'title', { k: 1, ...day }),
      frequent: frequentValues(element, 'name', { k: 2, over: days(1), hop: hours(1) }),
      byTitle: bucketBy(element, ['title', 'views'], { of: mean(), bound: 10, ...day }),
    },
    0,
  )
  return {
    view,
    steps: [...rows.flatMap((row) => elementsOf(row, row.ts, 1)), ask(newest + 1)],
    result: ([row = {}]) => ({
      'average(views,1d)': row['mean.views'],
      'average(rating,1d)': row['mean.rating'],
      'sum(rating,1d)': row['sum.rating'],
      'sum(rating,7d)': row['week'],
      'uniqueCount(title)': row['distinct'],
      'last(title)': (row['last'] as Json[])[0],
      'lastK(title,2)': row['last2'],
      'topK(title,1)': row['top'],
      'min(title)': (row['bottom'] as Json[])[0],
      'approxUniqueCount(title)': Math.round(Number(row['estimated'])),
      'histogram(hist_input,k=2)': countsOf(row['frequent']),
      'average(views) by title': bucketsOf(row['byTitle']),
    }),
  }
}

const countsOf = (frequent: Json): Json =>
  Object.fromEntries(
    (frequent as readonly { readonly value: Json; readonly count: number }[]).map(({ value, count }) => [
      String(value),
      count,
    ]),
  )

/** First in, first out is an exact window whose start moves by one push for every pop. */
export function bufferFeed({ input }: PointInTimeCase): ViewFeed {
  const { steps } = input as { readonly steps: readonly string[] }
  const over = 1_000
  let [pushes, pops] = [0, 0]
  const taken = steps.flatMap((text): FeedStep[] => {
    if (text === 'pop') {
      pops++
      return []
    }
    // The window of a question holds what came from `pops + 1` on; a push has the time of its number.
    if (text === 'query') return [ask(pops + 1 + over)]
    pushes++
    return [step(pushes, { value: Number(text.slice('push '.length)) })]
  })
  return {
    view: viewOf({ top: topK(element, 'value', { k: 2, over, hop: 0 }) }),
    steps: taken,
    // The case says that its lists are sets.
    result: (rows) =>
      rows.map(({ top }) => (top === null ? null : [...(top as number[])].sort((a, b) => a - b))),
  }
}

/** Partial states are tiles: each holds the values of one partial. */
export function uniqueFeed({ input, semantics }: PointInTimeCase): ViewFeed {
  const { partials } = input as { readonly partials: readonly (readonly number[])[] }
  const bound = Number(semantics['k'])
  return {
    view: viewOf({ count: distinctCount(element, 'value', { bound, over: days(1), hop: hours(1) }) }, 0),
    steps: [
      ...partials.flatMap((values, tile) => values.map((value) => step(hours(tile), { value }))),
      ask(hours(partials.length)),
    ],
    result: ([row]) => row?.['count'],
  }
}

/** Counts of the k most frequent values, and whether there were more values than that. */
export function frequentFeed({ input, semantics }: PointInTimeCase): ViewFeed {
  const { partials } = input as { readonly partials: readonly Readonly<Record<string, number>>[] }
  const k = Number(semantics['k'])
  const window = { over: days(1), hop: hours(1) }
  return {
    view: viewOf(
      {
        frequent: frequentValues(element, 'name', { k, ...window }),
        kinds: distinctCount(element, 'name', { bound: k + 1, ...window }),
      },
      0,
    ),
    steps: [
      ...partials.flatMap((counts, tile) =>
        Object.entries(counts).flatMap(([name, count]) =>
          Array.from({ length: count }, () => step(hours(tile), { name })),
        ),
      ),
      ask(hours(partials.length)),
    ],
    result: ([row]) => ({ result: countsOf(row?.['frequent']), isApprox: Number(row?.['kinds']) > k }),
  }
}

/**
 * The upper median is the lower one of the negated values. Its sketch has an
 * error of its own, made small enough here to tell the answers apart.
 */
export function upperMedianFeed({ input, expected }: PointInTimeCase): ViewFeed {
  const { events } = input as { readonly events: readonly Row[] }
  const over = days(7) + 1
  return {
    view: viewOf({
      'median.negated': quantile(element, ({ value }) => (value === null ? null : -value), {
        share: 0.5,
        relativeError: 1e-10,
        bins: 2 ** 40,
        over,
        hop: 0,
      }),
      median: derived(['median.negated'], (value) => -value),
    }),
    steps: [
      ...events.map(({ key, ts, value }) => step(timeOf(ts), { value }, key)),
      ...(expected as readonly Row[]).map(({ key, queryTs }) =>
        ask(timeOf(queryTs) + 1, { key, queryTs }, key),
      ),
    ],
    result: (rows) => rows.map(({ key, queryTs, median }) => ({ key, queryTs, median })),
  }
}

interface MomentInput {
  readonly uniform: readonly { readonly n: number; readonly min: number; readonly max: number }[]
  readonly skewKurtosis: readonly number[]
}

/** Evenly spread numbers from a multiplicative generator: D. H. Lehmer, 1951, with the factor 48271. */
function* evenly(n: number, min: number, max: number): Generator<number> {
  let state = 1
  for (let index = 0; index < n; index++) {
    state = (state * 48_271) % 2_147_483_647
    yield min + (state / 2_147_483_647) * (max - min)
  }
}

/** Of the case's million, for time. A variance of 1/12 among squares of 1e10 already shows what a sum of squares loses. */
const mostValues = 100_000

/** Spreads of values that lie far from 0, and moments of too few or equal values. */
export function momentFeed({ input }: PointInTimeCase): ViewFeed {
  const { uniform, skewKurtosis } = input as MomentInput
  const over = days(1)
  const window = { over, hop: hours(1) }
  // In order of time, so that no event has to wait for a later one in front of it.
  const view = viewOf(
    {
      variance: variance(element, 'value', { of: 'population', ...window }),
      skew: skew(element, 'value', window),
      kurtosis: kurtosis(element, 'value', window),
    },
    0,
  )
  const spreads = uniform.map(({ n, min, max }) => [...evenly(Math.min(n, mostValues), min, max)])
  const few = [skewKurtosis.slice(0, 2), skewKurtosis.slice(0, 3), [5, 5, 5, 5, 5]]
  const lists = [...spreads, ...few]
  return {
    view,
    steps: [
      // Over all tiles of the day, so that the answer merges them.
      ...lists.flatMap((values, key) =>
        values.map((value, index) => step(Math.floor((index / values.length) * over), { value }, key)),
      ),
      ...lists.map((_, key) => ask(days(1), {}, key)),
    ],
    result(rows) {
      const exact = spreads.map((values) => {
        const middle = values.reduce((total, value) => total + value, 0) / values.length
        return values.reduce((total, value) => total + (value - middle) ** 2, 0) / values.length
      })
      const isClose = exact.every(
        (wanted, index) => Math.abs(Number(rows[index]?.['variance']) / wanted - 1) < 1e-7,
      )
      const [two, three, equal] = rows.slice(spreads.length)
      const isNull = (value: Json): string => (value === null ? 'NaN' : String(value))
      return {
        relativeErrorVsTwoPass: isClose ? '<1e-7 in both ranges' : rows.slice(0, spreads.length),
        'skew of n<3': two?.['skew'] === null ? 'NaN (finalises to null)' : two?.['skew'],
        'kurtosis of n<4': isNull(three?.['kurtosis']),
        'zero variance':
          equal?.['skew'] === null && equal['kurtosis'] === null ? 'NaN for skew and kurtosis' : equal,
      }
    },
  }
}
