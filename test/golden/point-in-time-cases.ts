import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { asOfJoin } from '../../processors/join/stream-table-join.ts'
import type { StreamRecord } from '../../processors/operator.ts'
import { StreamDriver } from '../../processors/stream/stream-driver.ts'
import { session } from '../../processors/window/session-windows.ts'
import type { Windowed } from '../../processors/window/window.ts'
import { windowAggregate } from '../../processors/window/window-aggregate.ts'
import type { CaseResult } from './case-result.ts'
import { durationOf, type Json, type PointInTimeCase, type Row, timeOf } from './point-in-time-case.ts'
import {
  bitemporalFeed,
  counterFeed,
  elementsFeed,
  latestFeed,
  marketingFeed,
  ratesFeed,
  type ViewFeed,
  windowFeed,
} from './point-in-time-feeds.ts'
import {
  bufferFeed,
  frequentFeed,
  momentFeed,
  retractionFeed,
  tileFeed,
  uniqueFeed,
  upperMedianFeed,
} from './point-in-time-object-feeds.ts'
import { type DatabaseOf, runViewFeed } from './view-runs.ts'

const ownCases = fileURLToPath(new URL('point-in-time.json', import.meta.url))

/** The cases of a file in the format of `point-in-time.json`, those that share another's input with it. */
export function pointInTimeCases(path: string = ownCases): readonly PointInTimeCase[] {
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as {
    readonly cases: readonly PointInTimeCase[]
  }
  return cases.map((each) => {
    const { sameAs } = each.input as { readonly sameAs?: string }
    return sameAs === undefined ? each : { ...each, input: cases.find(({ id }) => id === sameAs)!.input }
  })
}

const missing: Readonly<Record<string, string>> = {
  drift_metric: 'it compares two distributions by a drift index; nothing is read at a point in time',
  label_window:
    'it selects labels by calendar days; here a label belongs to a prediction by id and length of time',
}

/**
 * Runs a case with a feature view, or with a stream join or sessions where it
 * is about those. A case that records another project's defect passes when the
 * engine's answer differs. With `restart` the state is saved and restored in
 * the middle. `runFeed` is how a view is asked.
 */
export async function runPointInTimeCase(
  each: PointInTimeCase,
  restart?: DatabaseOf,
  runFeed: typeof runViewFeed = runViewFeed,
): Promise<CaseResult> {
  const { id, expected } = each
  const got = await answerOf(each, restart, runFeed)
  if (typeof got === 'string') return { id, status: 'not-applicable', expected, got: undefined, reason: got }
  const wanted = wantedOf(each)
  const isSame = closeTo(got, wanted, isRounded(each))
  if (each.status === 'known_bad_upstream') {
    return { id, status: isSame ? 'failed' : 'passed', expected: wanted, got, reason: 'must differ' }
  }
  return { id, status: isSame ? 'passed' : 'failed', expected: wanted, got }
}

/** What the case expects of this engine, where it also says what another one does. */
function wantedOf({ id, kind, expected }: PointInTimeCase): Json {
  if (kind === 'counter') return (expected as { readonly correct: number }).correct
  if (id === 'hopsworks.churn_pit_inner') {
    // Two rows of customer 7 have the same time, and which one upstream gives is not defined; the
    // next case says which one the log's order gives.
    return (expected as Row[]).filter((row) => row['customer_id'] !== 7)
  }
  return expected
}

const isRounded = ({ id }: PointInTimeCase): boolean =>
  id === 'fennel.exp_decay_sum' || id === 'metarank.rate.normalised'

/** The answer, or why there is none. */
async function answerOf(
  each: PointInTimeCase,
  restart: DatabaseOf | undefined,
  runFeed: typeof runViewFeed,
): Promise<Json> {
  const run = async (feed: ViewFeed): Promise<Json> => await runFeed(feed, restart)
  switch (each.kind) {
    case 'pit_latest':
      if (each.id.startsWith('hopsworks')) return run(marketingFeed(each))
      return each.id === 'fennel.stream_join_equal_ts_inner'
        ? streamJoin(each, restart)
        : run(latestFeed(each))
    case 'online_latest':
      return run(marketingFeed(each))
    case 'window_aggregate':
      return run(each.id === 'fennel.quantile_median_1w' ? upperMedianFeed(each) : windowFeed(each))
    case 'bitemporal_mutation_aggregate':
      return run(bitemporalFeed(each))
    case 'state_merge':
      if (each.id.startsWith('chronon.elementwise')) return run(elementsFeed(each))
      return run(each.id.startsWith('chronon.bounded_unique') ? uniqueFeed(each) : frequentFeed(each))
    case 'retraction':
      return run(retractionFeed(each))
    case 'tile_merge':
      return run(tileFeed(each))
    case 'sliding_buffer':
      return run(bufferFeed(each))
    case 'property':
      return run(momentFeed(each))
    case 'session_window':
      return sessions(each, restart)
    case 'counter':
      return run(counterFeed(each))
    case 'ranking_feature':
      if (each.id.startsWith('metarank.rate')) return run(ratesFeed(each))
      return 'it compares the candidates of one request with each other; a view is of one entity and knows no other candidate'
    default:
      return missing[each.kind] ?? `kind "${each.kind}" is not one of the cases' kinds`
  }
}

interface JoinInput {
  readonly entities: readonly Row[]
  readonly features: readonly Row[]
}

/** Right rows of the same instant are known, since the right input is the first one. */
async function streamJoin(each: PointInTimeCase, restart: DatabaseOf | undefined): Promise<Json> {
  const { entities, features } = each.input as JoinInput
  const join = asOfJoin<StreamRecord<Json, Row>, StreamRecord<Json, Row>, Row>({
    name: 'join',
    how: 'inner',
    historyMs: durationOf('1w'),
    value: (left, right) => ({ ...left, category: right?.['category'] }),
  })
  const records = (rows: readonly Row[]) =>
    rows.map((row) => ({ key: row['key'], value: row, timestampMs: timeOf(row['ts']) }))
  const piped = StreamDriver.inTaskOrder([
    ['features', records(features)],
    ['entities', records(entities)],
  ])
  const build = (graph: Parameters<Parameters<typeof StreamDriver.start>[0]['build']>[0]): void => {
    const right = graph.input<StreamRecord<Json, Row>>('features')
    const left = graph.input<StreamRecord<Json, Row>>('entities')
    graph.output('joined', join.connect(graph.context)(left, right))
  }
  return (await driven(build, 'joined', piped, restart)).map(({ value }) => value)
}

async function sessions(each: PointInTimeCase, restart: DatabaseOf | undefined): Promise<Json> {
  const { gap } = each.semantics as { readonly gap: string }
  const { events } = each.input as { readonly events: readonly Row[] }
  const operator = windowAggregate({
    name: 'sessions',
    windows: session({ gapMs: durationOf(gap), graceMs: 0 }),
    aggregate: { init: () => 0, add: (n: number) => n + 1, merge: (a, b) => a + b, finish: (n) => n },
    emit: 'close',
  })
  const build = (graph: Parameters<Parameters<typeof StreamDriver.start>[0]['build']>[0]): void => {
    graph.output('closed', graph.input('events').pipe(operator.connect(graph.context)))
  }
  const end = { key: 'end', value: {}, timestampMs: Date.parse('2100-01-01T00:00:00Z') }
  const records = events.map((row) => ({ key: row['key'], value: row, timestampMs: timeOf(row['ts']) }))
  const piped = [...records, end].map((record) => ['events', record] as const)
  const closed = (await driven(
    build,
    'closed',
    piped,
    restart,
  )) as unknown as readonly StreamRecord<Windowed>[]
  return closed.map(({ key: { key, startMs, endMs } }) => ({
    key,
    begin: new Date(startMs).toISOString().replace('.000', ''),
    lastEvent: new Date(endMs).toISOString().replace('.000', ''),
  }))
}

async function driven(
  build: Parameters<typeof StreamDriver.start>[0]['build'],
  output: string,
  piped: readonly (readonly [string, Parameters<StreamDriver['pipe']>[1]])[],
  restart: DatabaseOf | undefined,
): Promise<StreamRecord[]> {
  let driver = await StreamDriver.start({ build })
  const came: StreamRecord[] = []
  for (const [index, [input, record]] of piped.entries()) {
    if (restart !== undefined && index === Math.floor(piped.length / 2)) {
      came.push(...driver.read(output))
      const stopped = driver
      const database = await restart((into) => stopped.save(into))
      driver = await StreamDriver.start({ build, database })
    }
    driver.pipe(input, record)
  }
  return [...came, ...driver.read(output)]
}

/** Numbers agree to 1e-9 of the greater, or, where a case gives rounded ones, to the last digit that it gives. */
function closeTo(got: Json, wanted: Json, rounded: boolean): boolean {
  if (typeof got === 'number' && typeof wanted === 'number') {
    const digits = String(wanted).split('.')[1]?.length ?? 0
    const tolerance = rounded ? 0.5 * 10 ** -digits + 1e-6 : 1e-9 * Math.max(1, Math.abs(wanted))
    return Math.abs(got - wanted) <= tolerance
  }
  if (Array.isArray(got) && Array.isArray(wanted)) {
    return got.length === wanted.length && got.every((each, index) => closeTo(each, wanted[index], rounded))
  }
  if (typeof got === 'object' && got !== null && typeof wanted === 'object' && wanted !== null) {
    const names = new Set([...Object.keys(got), ...Object.keys(wanted)])
    return [...names].every((name) => closeTo((got as Row)[name], (wanted as Row)[name], rounded))
  }
  return got === wanted
}
