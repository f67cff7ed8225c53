import type { BucketFeature, Model } from '../models/model.ts'
import { categoriesOf } from '../models/serving/bucket-vector.ts'
import type { Contributions, Prediction } from '../models/serving/model-part.ts'
import type { Bucketed } from '../processors/aggregate/bucket-by.ts'
import { categoryOf } from '../processors/aggregate/category.ts'
import { entityKeys } from '../processors/feature/entity-key.ts'
import type { Feature, ObjectFeature } from '../processors/feature/feature.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import { inputReader } from '../processors/feature/input-reader.ts'
import { objectReader } from '../processors/feature/object-layout.ts'
import { TaskInput, TaskRecord } from '../processors/task-input.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { LabelEvent } from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { type PackedKey, unpackKey } from '../state/store/packed-key.ts'
import { type Assembly, assemble } from './assembly.ts'
import { type AuditOptions, firstDifference } from './audit.ts'
import { PartitionEnds } from './partition-ends.ts'
import { taskOfModel } from './recorded-tasks.ts'

export interface ExplainOptions extends Omit<AuditOptions, 'describe' | 'onlyTask' | 'scratch'> {
  readonly model: string
  readonly requestId: string
  /** How many events are listed for a feature, the newest first; 5 unless given. All are counted. */
  readonly events?: number
}

/** An event that a feature was made of. */
export interface FeedingEvent {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly atMs: TimestampMs
  /** What the feature took from it; null where that is no number. */
  readonly value: number | null
}

export interface ExplainedFeature {
  readonly name: string
  /** null: there was no value. */
  readonly value: number | null
  /** How it is made, as `count of rating over 1d` or `request`. */
  readonly from: string
  readonly view?: string
  /** Of the entity, or the entities, whose events were read. */
  readonly keys?: readonly (readonly (string | number)[])[]
  /** Events inside its window at the position, all of them. */
  readonly eventCount?: number
  readonly events?: readonly FeedingEvent[]
}

export interface Explanation {
  readonly model: string
  readonly requestId: string
  readonly modelVersion: number
  readonly variant: string
  readonly role: string
  readonly propensity: number
  readonly output: number
  readonly predictedAt: TimestampMs
  readonly trigger: { readonly topic: string; readonly partition: number; readonly offset: number }
  /** Next offset of each input, as `topic[partition]`, and with `@task` of what that task wrote there. */
  readonly position: Readonly<Record<string, number>>
  /** The prediction made anew at its position agrees with what was served, to the last bit; else the first difference. */
  readonly recomputed:
    | 'equal'
    | { readonly what: string; readonly served: string; readonly recomputed: string }
  readonly features: readonly ExplainedFeature[]
  readonly contributions: Contributions
  /** The label, if it came. */
  readonly label?: { readonly value: number; readonly labeledAt: TimestampMs }
}

const fetchBytes = 1 << 20

/** Ends a fold from inside: what was looked for is found. */
class Found extends Error {}

/**
 * Why a model answered what it answered: the log is folded anew to the
 * position of the prediction, which is made again and compared; then the
 * events that its features were made of are read once more.
 *
 * @throws EngineError `prediction-unknown`, `model-unknown`, `task-plan-changed`
 */
export async function explain(given: ExplainOptions): Promise<Explanation> {
  const declaration = await taskOfModel(given.declaration, given.model, given.log)
  const options = { ...given, declaration }
  const { requestId, log } = options
  const model = declaration.models.find(({ name }) => name === options.model)!
  let again: { readonly prediction: Prediction; readonly contributions: Contributions } | undefined
  const assembly: Assembly = await assemble({
    ...options,
    onPrediction(prediction) {
      if (prediction.model !== model.name || prediction.requestId !== requestId) return
      const part = assembly.models.get(model.name)!
      again = { prediction, contributions: part.contributions(vectorOf(prediction.features)) }
    },
  })
  const { engine, task } = assembly
  const served = await findEvent<Prediction>(
    log,
    declaration.partitions,
    engine.prediction as BoundContract<object> as BoundContract<Prediction>,
    (event) => event.model === model.name && event.requestId === requestId,
  )
  if (served === undefined) throw new EngineError('prediction-unknown', { model: model.name, requestId })
  try {
    await assembly.recover(options.onProgress, async () => {
      if (again !== undefined) throw new Found()
    })
  } catch (error) {
    if (!(error instanceof Found)) throw error
  }
  const label = await findEvent<LabelEvent>(
    log,
    declaration.partitions,
    engine.label as BoundContract<object> as BoundContract<LabelEvent>,
    (event) => event.model === model.name && event.requestId === requestId,
  )
  const trigger = {
    topic: served.triggerTopic,
    partition: served.triggerPartition,
    offset: served.triggerOffset,
  }
  const asked = task.inputs.find(
    ({ topic, partition }) => topic === trigger.topic && partition === trigger.partition,
  )
  const record = await asked?.readAt(trigger.offset)
  const event = record instanceof TaskRecord ? record.value : undefined
  const makers = event === undefined ? [] : makersOf(model, event, served.predictedAt, options.events ?? 5)
  const ends = new Map(task.inputs.map(({ name }, index) => [name, served.position.offsets[index] ?? 0]))
  const { maxAheadMs } = declaration
  for (const { topic, partition, rank, contract } of partitionsOf(task.inputs)) {
    const input = new TaskInput({ index: 0, topic, partition, rank, contract, maxAheadMs }, log)
    await feed(makers, input, new PartitionEnds(ends, topic, partition))
  }
  const values = vectorOf(served.features)
  return {
    model: model.name,
    requestId,
    modelVersion: served.modelVersion,
    variant: served.variant,
    role: served.role,
    propensity: served.propensity,
    output: served.output,
    predictedAt: served.predictedAt,
    trigger,
    position: Object.fromEntries(ends),
    recomputed:
      again === undefined
        ? { what: 'prediction', served: 'made', recomputed: 'none' }
        : (firstDifference(served, again.prediction, declaration) ?? 'equal'),
    features: model.columns.map((name, index) => {
      const value = values[index]!
      return { name, value: Number.isNaN(value) ? null : value, ...originOf(model, name, makers) }
    }),
    contributions: again?.contributions ?? { kind: 'terms', values: [] },
    ...(label === undefined ? {} : { label: { value: label.value, labeledAt: label.labeledAt } }),
  }
}

/** The first event for which `is` holds, of all partitions of a topic; the log has no index of them. */
async function findEvent<Event extends object>(
  log: Log,
  partitions: number,
  bound: BoundContract<Event>,
  is: (event: Event) => boolean,
): Promise<Event | undefined> {
  const { topic } = bound.contract
  for (let partition = 0; partition < partitions; partition++) {
    const { start, end } = await log.offsets(topic, partition)
    for (let offset = start; offset < end; ) {
      const batch = await log.read({ topic, partition, offset, maxBytes: fetchBytes })
      for (let index = 0; index < batch.count; index++) {
        const event = bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)
        if (is(event)) return event
      }
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
  }
  return undefined
}

/** A feature of a view, and the events that it is made of as they are met. */
interface Maker {
  readonly name: string
  readonly view: FeatureView
  readonly feature: Exclude<Feature, { readonly kind: 'derived' }>
  readonly keys: readonly PackedKey[]
  readonly keysOf: (event: object) => readonly PackedKey[]
  /** What it takes from an event, NaN where it passes over it; null: what it takes is no number. */
  readonly read: ((event: object) => number) | null
  /** Which events it takes, where `read` does not tell. */
  readonly takes: (event: object) => boolean
  readonly isInside: (atMs: TimestampMs) => boolean
  readonly limit: number
  count: number
  /** The newest first. */
  readonly newest: FeedingEvent[]
}

function makersOf(model: Model, trigger: object, queryMs: TimestampMs, limit: number): readonly Maker[] {
  return model.sources.flatMap((source) => {
    if (source.kind === 'request-features' || source.kind === 'computed-features') return []
    const view = source.kind === 'feature-view' ? source : source.view
    const keys = entityKeys(view.entity, view.keys[model.trigger.name]).keysOf(trigger)
    const columns: (readonly [name: string, feature: Feature])[] =
      source.kind === 'feature-view'
        ? [...view.features]
        : Object.entries<BucketFeature<never>>(source.features).map(([name, { of }]) => [
            name,
            view.features.get(of)!,
          ])
    return columns.flatMap(([name, feature]): Maker[] => {
      if (feature.kind === 'derived') return []
      return [
        {
          name,
          view,
          feature,
          keys,
          keysOf: entityKeys(view.entity, view.keys[feature.source.name]).keysOf,
          read: readerOf(feature),
          takes:
            source.kind === 'bucket-features'
              ? isInBucket(source.features[name]!, feature, trigger)
              : feature.kind === 'object' && feature.where
                ? (feature.where as (event: object) => boolean)
                : () => true,
          isInside: intervalOf(feature, queryMs),
          limit,
          count: 0,
          newest: [],
        },
      ]
    })
  })
}

/** Tells the events of the categories that the trigger names; those that only share the rest beyond the bound are left out. */
function isInBucket(
  bucket: BucketFeature<never>,
  feature: Maker['feature'],
  trigger: object,
): (event: object) => boolean {
  const named = new Set(categoriesOf(bucket)(trigger))
  const read = objectReader(feature as ObjectFeature)
  return (event) => {
    const pair = read(event) as Bucketed<unknown> | null
    const category = pair === null ? undefined : categoryOf(pair[0])
    return category !== undefined && named.has(category)
  }
}

function readerOf(feature: Maker['feature']): Maker['read'] {
  if (feature.kind === 'lookup') return inputReader(feature.input, undefined)
  if (feature.kind === 'windowed') return inputReader(feature.input, feature.where)
  return null
}

/** The interval that a feature reads; windows end before the query, a lookup at it. */
function intervalOf(feature: Maker['feature'], queryMs: TimestampMs): Maker['isInside'] {
  if (feature.kind === 'lookup') return (atMs) => atMs <= queryMs && atMs >= queryMs - feature.ttlMs
  const { overMs, hopMs } = feature
  const exact = queryMs - overMs
  const fromMs = hopMs > 0 && Number.isFinite(exact) ? Math.floor(exact / hopMs) * hopMs : exact
  return (atMs) => atMs >= fromMs && atMs < queryMs
}

/** One input of each partition. */
const partitionsOf = (inputs: readonly TaskInput[]): readonly TaskInput[] => [
  ...new Map(inputs.map((input) => [`${input.topic} ${input.partition}`, input])).values(),
]

/** Shows a partition's records, as far as they were read, to the makers that they concern. */
async function feed(makers: readonly Maker[], input: TaskInput, ends: PartitionEnds): Promise<void> {
  const concerned = makers.filter(({ feature }) => feature.source.topic === input.topic)
  if (concerned.length === 0) return
  input.seek(0)
  while (input.position < ends.last && (await input.fill(1_000))) {
    while (input.head !== undefined && input.position < ends.last) {
      const record = input.take()
      if (record instanceof TaskRecord && ends.includes(record))
        for (const maker of concerned) take(maker, record)
    }
  }
}

function take(maker: Maker, record: TaskRecord): void {
  const { keys, keysOf, isInside, read, takes, newest, limit } = maker
  if (!isInside(record.timestampMs)) return
  if (!keysOf(record.value).some((key) => keys.includes(key))) return
  if (!takes(record.value)) return
  const value = read === null ? null : read(record.value)
  if (value !== null && Number.isNaN(value)) return
  maker.count++
  const { topic, partition, offset, timestampMs: atMs } = record
  const place = newest.findIndex((other) => other.atMs <= atMs)
  newest.splice(place < 0 ? newest.length : place, 0, { topic, partition, offset, atMs, value })
  if (newest.length > limit) newest.pop()
}

function originOf(
  model: Model,
  name: string,
  makers: readonly Maker[],
): Omit<ExplainedFeature, 'name' | 'value'> {
  const maker = makers.find((each) => each.name === name)
  if (maker !== undefined) {
    const { view, feature, keys, count, newest } = maker
    return {
      from: `${bucketText(model, name)}${descriptionOf(feature)}`,
      view: view.name,
      keys: keys.map((key) =>
        unpackKey(key, view.entity.length).map((part) => (typeof part === 'bigint' ? String(part) : part)),
      ),
      eventCount: count,
      events: newest,
    }
  }
  for (const source of model.sources) {
    if (source.kind === 'request-features' && name in source.features) return { from: 'request' }
    if (source.kind === 'computed-features' && name in source.features) {
      return { from: `computed of ${source.features[name]!.of.join(', ')}` }
    }
    if (source.kind !== 'feature-view') continue
    const feature = source.features.get(name)
    if (feature?.kind === 'derived') return { from: `derived of ${feature.of.join(', ')}`, view: source.name }
  }
  return { from: 'unknown' }
}

/** Which bucket a column looks up, in front of what the map is made of. */
function bucketText({ sources }: Model, name: string): string {
  const source = sources.find((each) => each.kind === 'bucket-features' && name in each.features)
  if (source?.kind !== 'bucket-features') return ''
  const { at } = source.features[name]!
  return `bucket of ${typeof at === 'string' ? at : 'a function'} in `
}

function descriptionOf(feature: Maker['feature']): string {
  if (feature.kind === 'lookup') return `latest of ${feature.source.name}, at most ${span(feature.ttlMs)} old`
  const { aggregate, source, overMs, hopMs } = feature
  return `${aggregate.name} of ${source.name} over ${span(overMs)}${hopMs > 0 && Number.isFinite(hopMs) ? ` by ${span(hopMs)}` : ''}`
}

/** A duration in the largest unit that gives a whole number. */
function span(durationMs: number): string {
  if (!Number.isFinite(durationMs)) return 'all time'
  for (const [unit, sizeMs] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const) {
    if (durationMs % sizeMs === 0) return `${durationMs / sizeMs} ${unit}`
  }
  return `${durationMs} ms`
}

/** Little-endian doubles, as a prediction carries them. */
function vectorOf(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float64Array.from({ length: bytes.byteLength / 8 }, (_, index) => view.getFloat64(index * 8, true))
}
