import { derived, type Feature, forever, latest } from '../../processors/feature/feature.ts'
import { type FeatureView, featureView } from '../../processors/feature/feature-view.ts'
import { count, decayedSum, max, mean, min, rate, sum } from '../../processors/feature/features.ts'
import { event } from '../../state/contracts/event.ts'
import { nullable } from '../../state/contracts/field-type.ts'
import { days } from '../../state/contracts/units.ts'
import { durationOf, type Json, type PointInTimeCase, type Row, timeOf } from './point-in-time-case.ts'

/** What happens to a view, in the order of the log. */
export type FeedStep =
  | { readonly kind: 'event'; readonly topic: string; readonly atMs: number; readonly event: object }
  | {
      readonly kind: 'query'
      readonly atMs: number
      readonly entity: object
      /** Of the question, repeated in the answer. */
      readonly shown: Row
    }

/** A case as a feature view, its events and its questions. */
export interface ViewFeed {
  readonly view: FeatureView
  readonly steps: readonly FeedStep[]
  readonly result: (rows: readonly Row[]) => Json
}

const reading = event(
  'reading',
  {
    key: 'string',
    /** 1 for a row that came, -1 for one that was taken back. */
    sign: 'double',
    value: nullable('double'),
    first: nullable('double'),
    second: nullable('double'),
    at: 'timestamp',
  },
  { key: 'key', time: 'at' },
)

/** Cases ask far back behind the newest event, and get exact answers. */
const disorder = days(3_650)

const viewOf = (features: Readonly<Record<string, Feature>>): FeatureView =>
  featureView('case', { entity: 'key', owner: 'test', description: 'a golden case', disorder, features })

const nothing = { sign: 1, value: null, first: null, second: null }

const eventStep = (
  key: Json,
  atMs: number,
  values: Partial<Record<keyof typeof nothing, Json>>,
): FeedStep => ({
  kind: 'event',
  topic: reading.topic,
  atMs,
  event: { ...nothing, ...values, key: String(key), at: atMs },
})

const queryStep = (key: Json, atMs: number, shown: Row): FeedStep => ({
  kind: 'query',
  atMs,
  entity: { key: String(key) },
  shown,
})

/** Steps by the time at which the log knew of them; questions of an instant last, others in the order given. */
const byKnowledge = (steps: readonly (readonly [knownMs: number, step: FeedStep])[]): FeedStep[] =>
  [...steps].sort(([left], [right]) => left - right).map(([, step]) => step)

interface LatestInput {
  readonly entities: readonly Row[]
  readonly features: readonly Row[]
}

/** The latest value at or before the question's time: all that is known by now, or what was known then. */
export function latestFeed({ input, semantics }: PointInTimeCase): ViewFeed {
  const { entities, features } = input as LatestInput
  const ttl = semantics['ttl']
  const field = Object.keys(features[0] ?? {}).find((name) => !['key', 'ts', 'created'].includes(name)) ?? ''
  const view = viewOf({
    [field]: latest(reading, 'value', typeof ttl === 'string' ? { ttl: durationOf(ttl) } : {}),
  })
  const asKnownThen = semantics['filterByCreated'] === true
  const end = Number.POSITIVE_INFINITY
  const known = features
    // Without a time of creation a row never was known to anyone then.
    .filter(({ created }) => !asKnownThen || created !== null)
    .map(({ key, ts, created, [field]: value }) => {
      const knownMs = created === null ? Number.NEGATIVE_INFINITY : timeOf(created)
      return [knownMs, eventStep(key, timeOf(ts), { value })] as const
    })
  const asked = entities.map((entity) => {
    const atMs = timeOf(entity['ts'])
    return [asKnownThen ? atMs : end, queryStep(entity['key'], atMs, entity)] as const
  })
  return { view, steps: byKnowledge([...known, ...asked]), result: (rows) => rows }
}

interface WindowInput {
  readonly events: readonly Row[]
  readonly aggregations?: readonly {
    readonly name: string
    readonly op: string
    readonly window: string | null
    readonly default?: number
    readonly args?: { readonly halfLife?: string }
  }[]
}

/** The mean square less the squared mean: enough for these values, and of what views have. */
const deviation = (values: number, squares: number, rows: number): number =>
  Math.sqrt(Math.max(0, squares / rows - (values / rows) ** 2))

/**
 * A window that includes its upper end at q is one that ends before q + 1 ms,
 * and one that leaves its lower end out begins 1 ms later, so the other
 * projects' conventions are windows here too.
 */
export function windowFeed({ input, semantics, expected }: PointInTimeCase): ViewFeed {
  const { events, aggregations } = input as WindowInput
  const laterMs = semantics['upper'] === 'inclusive' ? 1 : 0
  const longerMs = laterMs - (semantics['lower'] === 'exclusive' ? 1 : 0)
  const hopText = semantics['tailHop'] ?? semantics['hop']
  const hop = typeof hopText === 'string' ? durationOf(hopText) : 0
  const hour = { window: String(semantics['window']) }
  const declared: NonNullable<WindowInput['aggregations']> = aggregations ?? [
    { name: 'min', op: 'min', ...hour },
    { name: 'max', op: 'max', ...hour },
    { name: 'std', op: 'stddevPop', ...hour },
  ]
  const features = declared.flatMap(({ name, op, window, default: empty, args }): [string, Feature][] => {
    const over = window === null ? forever : durationOf(window) + longerMs
    const options = { over, hop, ...(empty === undefined ? {} : { default: empty }) }
    switch (op) {
      case 'sum':
        return [[name, sum(reading, 'value', options)]]
      case 'avg':
        return [[name, mean(reading, 'value', options)]]
      case 'min':
        return [[name, min(reading, 'value', options)]]
      case 'max':
        return [[name, max(reading, 'value', options)]]
      case 'expDecaySum':
        return [
          [name, decayedSum(reading, 'value', { ...options, halfLife: durationOf(args?.halfLife ?? '') })],
        ]
      case 'stddevPop': {
        const parts: [string, Feature][] = [
          [`${name}.values`, sum(reading, 'value', { over, hop })],
          [
            `${name}.squares`,
            sum(reading, ({ value }) => (value === null ? null : value ** 2), { over, hop }),
          ],
          [`${name}.rows`, count(reading, { over, hop })],
        ]
        const of = parts.map(([part]) => part)
        const ofEmpty = empty ?? Number.NaN
        return [
          ...parts,
          [
            name,
            derived(of, (...[values = 0, squares = 0, rows = 0]) =>
              rows === 0 ? ofEmpty : deviation(values, squares, rows),
            ),
          ],
        ]
      }
      default:
        throw new RangeError(`aggregate "${op}" is not one of the cases' aggregates`)
    }
  })
  const asked = (expected as Row[]).map((row) => {
    const { key = 'k', queryTs, rowEnd } = row
    const at = timeOf(queryTs ?? `2024-01-01T${String(rowEnd)}:00Z`)
    return queryStep(key, at + laterMs, queryTs === undefined ? { rowEnd } : { key, queryTs })
  })
  return {
    view: viewOf(Object.fromEntries(features)),
    steps: [...events.map(({ key, ts, value }) => eventStep(key, timeOf(ts), { value })), ...asked],
    result: (rows) => rows.map((row) => withoutParts(row)),
  }
}

const withoutParts = (row: Row): Row =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !name.includes('.')))

interface MutationInput {
  readonly snapshot: readonly Row[]
  readonly mutations: readonly Row[]
  readonly queries: readonly Row[]
}

/**
 * A change of a past row is two more events at the row's own time, one that
 * takes the old value back and one that brings the new. The first snapshot is
 * what was known before; later ones repeat what the changes told.
 */
export function bitemporalFeed({ id, input, semantics }: PointInTimeCase): ViewFeed {
  const { snapshot, mutations, queries } = input as MutationInput
  const signed = ({ sign, value }: { readonly sign: number; readonly value: number | null }) =>
    value === null ? null : sign * value
  const meanOver = (over: number): [string, Feature][] => {
    const hop = over === forever ? {} : { hop: durationOf('1h') }
    return [
      ['mean.sum', sum(reading, signed, { over, ...hop })],
      ['mean.rows', sum(reading, 'sign', { over, ...hop })],
    ]
  }
  const ratio = derived(['mean.sum', 'mean.rows'], (values, rows) => values / rows)
  const window = semantics['window']
  const features: [string, Feature][] = id.startsWith('chronon.fetcher')
    ? [
        ['rating_sum', sum(reading, signed, { over: forever })],
        ...meanOver(durationOf('1d')),
        ['rating_average_1d', ratio],
      ]
    : [...meanOver(typeof window === 'string' ? durationOf(window) : forever), ['rating_average', ratio]]
  const firstDay = snapshot.map(({ ds }) => String(ds)).sort()[0]
  const start = Number.NEGATIVE_INFINITY
  const steps = [
    // A change is known to questions after its instant, not to those of it.
    ...queries.map(
      (row) => [timeOf(row['queryTs']), queryStep(row['key'], timeOf(row['queryTs']), row)] as const,
    ),
    ...snapshot
      .filter(({ ds }) => ds === firstDay)
      .map(({ key, ts, value }) => [start, eventStep(key, timeOf(ts), { value })] as const),
    ...mutations.map(
      ({ key, ts, value, mutationTs, isBefore }) =>
        [
          timeOf(mutationTs),
          eventStep(key, timeOf(ts), { value, sign: isBefore === true ? -1 : 1 }),
        ] as const,
    ),
  ]
  // Answers come in the order of the questions.
  const order = queries.map(({ key, queryTs }) => `${key} ${queryTs}`)
  return {
    view: viewOf(Object.fromEntries(features)),
    steps: byKnowledge(steps),
    result: (rows) =>
      [...rows]
        .map(withoutParts)
        .sort(
          (a, b) =>
            order.indexOf(`${a['key']} ${a['queryTs']}`) - order.indexOf(`${b['key']} ${b['queryTs']}`),
        ),
  }
}

interface MarketingInput {
  readonly labels: readonly Row[]
  readonly marketing: readonly Row[]
}

/** Marketing contacts as of each label: of two at the same instant the later on the log. */
export function marketingFeed({ id, kind, input, expected }: PointInTimeCase): ViewFeed {
  const { labels, marketing } = input as MarketingInput
  const view = viewOf({
    complaints_7d: latest(reading, 'value'),
    outbound_7d: latest(reading, 'first'),
    coupon_14d: latest(reading, 'second'),
  })
  const events = marketing.map(({ customer_id, event_time, complaints_7d, outbound_7d, coupon_14d }) =>
    eventStep(customer_id, timeOf(event_time), {
      value: complaints_7d,
      first: outbound_7d,
      second: coupon_14d,
    }),
  )
  if (kind === 'online_latest') {
    const now = Math.max(...events.map(({ atMs }) => atMs)) + 1
    return {
      view,
      steps: [...events, ...(expected as Row[]).map((row) => queryStep(row['customer_id'], now, row))],
      result: (rows) =>
        rows.map(({ customer_id, contract_id, complaints_7d, outbound_7d, coupon_14d }) => ({
          customer_id,
          contract_id,
          marketing: [complaints_7d, outbound_7d, coupon_14d],
        })),
    }
  }
  const isInner = id === 'hopsworks.churn_pit_inner'
  const asked = [...labels]
    .sort(
      (a, b) =>
        Number(a['customer_id']) - Number(b['customer_id']) ||
        Number(a['event_time']) - Number(b['event_time']),
    )
    .map(({ customer_id, event_time }) =>
      queryStep(customer_id, timeOf(event_time), { customer_id, event_time }),
    )
  return {
    view,
    steps: [...events, ...asked],
    result: (rows) =>
      isInner
        ? rows.filter((row) => row['complaints_7d'] !== null && row['customer_id'] !== 7)
        : rows.filter((row) =>
            (expected as Row[]).some((other) => other['customer_id'] === row['customer_id']),
          ),
  }
}

/** A count of days long past is 0, though nothing came since. */
export function counterFeed({ input }: PointInTimeCase): ViewFeed {
  const { dayOffsets, queryDay } = input as {
    readonly dayOffsets: readonly number[]
    readonly queryDay: number
  }
  const dayMs = (offset: number): number => days(1_000) + offset * days(1)
  return {
    view: viewOf({ clicks: count(reading, { over: days(7), hop: days(1) }) }),
    steps: [
      ...dayOffsets.map((offset) => eventStep('item', dayMs(offset), { value: 1 })),
      queryStep('item', dayMs(queryDay), {}),
    ],
    result: ([row]) => row?.['clicks'],
  }
}

interface RateInput {
  readonly weight: number
  readonly globalImpressions: number
  readonly globalClicks: number
  readonly itemImpressions: number
  readonly itemClicks: number
}

/** Clicks by impressions, plain over two windows, or drawn to the rate of all items. */
export function ratesFeed({ id, input, semantics }: PointInTimeCase): ViewFeed {
  const nowMs = days(1_000)
  const clicked = { first: 1 }
  const shown = { second: 1 }
  if (id === 'metarank.rate.basic') {
    const { events } = input as { readonly events: readonly string[] }
    const periods = semantics['periods'] as readonly number[]
    const features = periods.flatMap((period): [string, Feature][] => [
      [`clicks.${period}`, sum(reading, 'first', { over: days(period), hop: days(1), default: 0 })],
      [`shown.${period}`, sum(reading, 'second', { over: days(period), hop: days(1), default: 0 })],
      [`rate${period}`, derived([`clicks.${period}`, `shown.${period}`], (clicks, all) => clicks / all)],
    ])
    return {
      view: viewOf(Object.fromEntries(features)),
      steps: [
        ...events.map((name, index) =>
          eventStep('item', nowMs - 10 + index, name === 'click' ? clicked : shown),
        ),
        queryStep('item', nowMs, {}),
      ],
      result: ([row]) => periods.map((period) => row?.[`rate${period}`]),
    }
  }
  // As many clicks as the weight says, at the rate of all items, are believed before any event.
  const rows = input as readonly RateInput[]
  const features = rows.map(({ weight, globalImpressions, globalClicks }, index): [string, Feature] => {
    const prior = { successes: weight, trials: (weight * globalImpressions) / globalClicks }
    return [`rate${index}`, rate(reading, 'value', { over: forever, prior })]
  })
  return {
    view: viewOf(Object.fromEntries(features)),
    steps: rows.flatMap(({ itemImpressions, itemClicks }, index) => [
      ...Array.from({ length: itemImpressions }, (_, impression) =>
        eventStep(`item${index}`, nowMs - 1, { value: impression < itemClicks ? 1 : 0 }),
      ),
      queryStep(`item${index}`, nowMs, {}),
    ]),
    result: (answers) => answers.map((answer, index) => answer[`rate${index}`]),
  }
}

/** The mean of each element of lists that came and lists that were taken back. */
export function elementsFeed({ input }: PointInTimeCase): ViewFeed {
  const { add, delete: removed } = input as {
    readonly add: readonly (readonly number[])[]
    readonly delete: readonly (readonly number[])[]
  }
  const names = (['value', 'first', 'second'] as const).slice(0, add[0]?.length)
  const features = names.flatMap((name): [string, Feature][] => [
    [`sum.${name}`, sum(reading, (row) => row.sign * (row[name] ?? 0), { over: forever })],
    [name, derived([`sum.${name}`, 'rows'], (values, rows) => values / rows)],
  ])
  const listStep = (list: readonly number[], sign: number): FeedStep =>
    eventStep('list', 0, { sign, ...Object.fromEntries(names.map((name, index) => [name, list[index]])) })
  return {
    view: viewOf({ rows: sum(reading, 'sign', { over: forever }), ...Object.fromEntries(features) }),
    steps: [
      ...add.map((list) => listStep(list, 1)),
      ...removed.map((list) => listStep(list, -1)),
      queryStep('list', 1, {}),
    ],
    result: ([row]) => names.map((name) => row?.[name]),
  }
}
