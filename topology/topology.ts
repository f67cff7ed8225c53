import type { Declaration, Source } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import type { Expectations } from '../models/quality/expectation.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { DeclaredStream, Lineage } from '../processors/stream/stream.ts'
import type { Contract } from '../state/contracts/contract.ts'
import type { DurationMs } from '../state/contracts/units.ts'
import { days, minutes, seconds } from '../state/contracts/units.ts'

export interface TopologyOptions {
  readonly events: readonly Contract[]
  readonly features?: readonly FeatureView[]
  readonly models?: readonly Model[]
  /** Streams of operators, each ending in one of the events: `stream(trip).pipe(…).to(slowTrip, …)`. */
  readonly streams?: readonly DeclaredStream[]
  /**
   * Streams of answers (`stream(payment).enrichAsync(…)`) that no listed
   * stream is made of: their events are for views, models or others to read.
   */
  readonly calls?: readonly { readonly lineage: Lineage }[]
  /** What events and features must be like: `expect(trip, [{ field: 'fare', range: { min: 0 } }])`. */
  readonly expectations?: readonly Expectations[]
  /** Partitions of an event's topic that does not say itself. */
  readonly partitions?: number
  /** How far past the moment of its append an event's time may lie; later ones go to the dead letters. */
  readonly maxAhead?: DurationMs
  /**
   * `by-partition`, unless given: on a cluster, what belongs to the key of its
   * events is a task for each partition, which several processes share. `one`
   * is a single task that owns every partition, as in one process.
   */
  readonly tasks?: 'one' | 'by-partition'
  /**
   * Where the application runs as several tasks: how long, by the wall clock,
   * a task holds records back for another that may still write earlier ones
   * (30 s unless given; 0 waits for nothing), and how far ahead of the slowest
   * a task may run in event time (1 minute unless given).
   */
  readonly alignment?: { readonly wait?: DurationMs; readonly ahead?: DurationMs }
  /** Imported at the start of a run, in order, each row once. */
  readonly sources?: readonly Source[]
  /** Commands printed when it serves; `{url}` stands for the address. */
  readonly tryIt?: readonly string[]
}

/** Puts a declaration together; what does not fit is a RangeError that names both sides. */
export function topology(name: string, options: TopologyOptions): Declaration {
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new RangeError(`a topology's name is lower-case words joined by "-", got "${name}"`)
  }
  const models = options.models ?? []
  const streams = options.streams ?? []
  const expectations = options.expectations ?? []
  const views = [
    ...new Set([
      ...(options.features ?? []),
      ...models.flatMap((model) => model.views),
      ...streams.flatMap(({ lineage }) => lineage.views),
      ...expectations.flatMap(({ view }) => (view === undefined ? [] : [view])),
    ]),
  ]
  const calls = [...new Set([...streams, ...(options.calls ?? [])].flatMap(({ lineage }) => lineage.calls))]
  const partitions = options.partitions ?? 4
  if (!Number.isInteger(partitions) || partitions < 1) {
    throw new RangeError(`partitions must be a whole number from 1, got ${partitions}`)
  }
  for (const [kind, names] of [
    ['event', options.events.map((event) => event.name)],
    ['feature view', views.map((view) => view.name)],
    ['model', models.map((model) => model.name)],
    ['list of expectation', expectations.map(({ subject }) => subject)],
    ['call', calls.map((call) => call.name)],
    ['topic', options.events.map((event) => event.topic)],
  ] as const) {
    const twice = names.find((each, index) => names.indexOf(each) !== index)
    if (twice !== undefined) throw new RangeError(`topology "${name}" has two ${kind}s named "${twice}"`)
  }
  for (const { by, needs } of [
    ...views.flatMap((view) => view.sources.map((needs) => ({ by: `view "${view.name}"`, needs }))),
    ...models.flatMap((model) =>
      [model.trigger, model.label.from].map((needs) => ({ by: `model "${model.name}"`, needs })),
    ),
    ...expectations.flatMap(({ subject, contract }) =>
      contract === undefined ? [] : [{ by: `an expectation of "${subject}"`, needs: contract }],
    ),
    ...calls.flatMap(({ name: call, asks, answers }) =>
      [asks, answers].map((needs) => ({ by: `call "${call}"`, needs })),
    ),
    ...streams.flatMap((stream) =>
      [...stream.lineage.sources, stream.sink].map((needs) => ({
        by: `the stream to "${stream.sink.name}"`,
        needs,
      })),
    ),
  ]) {
    if (!options.events.includes(needs)) {
      throw new RangeError(
        `${by} reads event "${needs.name}", which topology "${name}" does not list in its events`,
      )
    }
  }
  const { wait = seconds(30), ahead = minutes(1) } = options.alignment ?? {}
  for (const [option, value] of Object.entries({ wait, ahead })) {
    if (value >= 0) continue
    throw new RangeError(`alignment.${option} must be a length of time from 0, got ${value}`)
  }
  return {
    kind: 'topology',
    name,
    events: options.events,
    views,
    models,
    streams,
    ...(calls.length === 0 ? {} : { calls }),
    expectations,
    partitions,
    maxAheadMs: options.maxAhead ?? days(1),
    sources: options.sources ?? [],
    tryIt: options.tryIt ?? [],
    tasks: options.tasks ?? 'by-partition',
    alignment: { waitMs: wait, aheadMs: ahead },
  }
}
