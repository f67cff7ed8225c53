import { createHash } from 'node:crypto'
import { fieldReader } from '../../processors/feature/input-reader.ts'
import { VectorSlab } from '../../processors/feature/vector-slab.ts'
import type { ViewState } from '../../processors/feature/view-state.ts'
import type { GraphContext, GraphPart, Want } from '../../processors/graph.ts'
import type { Emit } from '../../processors/outputs.ts'
import { eachRecord } from '../../processors/stream/each-record.ts'
import type { TaskRecord } from '../../processors/task-input.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { OrderedStore, StateStore } from '../../state/store/state-store.ts'
import { ProgressiveEvaluation } from '../evaluation/progressive.ts'
import type { ExplainableLearner, Learner } from '../learner.ts'
import type { Model } from '../model.ts'
import { BaselineState } from './baseline-state.ts'
import { LearnerStore } from './learner-store.ts'
import { ModelVector } from './model-vector.ts'

/** Where a model's events go. */
export interface ModelOutputs {
  readonly prediction: Emit
  readonly label: Emit
  readonly example: Emit
  readonly snapshot: Emit
}

export interface ModelPartOptions {
  readonly model: Model
  readonly viewStates: ReadonlyMap<string, ViewState>
  readonly outputs: ModelOutputs
  /** The task's name and the offsets before the record in hand: a prediction's position. */
  readonly task: string
  readonly offsets: readonly number[]
  /** Told of every prediction as it is made, muted or not: the audit listens here. */
  readonly onPrediction?: (prediction: Prediction) => void
}

/** A prediction as its event carries it. */
export interface Prediction {
  readonly requestId: string
  readonly model: string
  /** Examples learned before it: names exact weights. */
  readonly modelVersion: number
  /** The action taken; `champion` for a model that decides nothing. */
  readonly variant: string
  readonly role: 'champion'
  readonly propensity: number
  readonly entityKeys: Readonly<Record<string, string>>
  /** Digest of the columns' names, in order. */
  readonly featureSet: string
  /** Little-endian doubles in column order; NaN is null. */
  readonly features: Uint8Array
  readonly output: number
  /** Expected reward of each declared action; null for a model that decides nothing. */
  readonly scores: readonly number[] | null
  readonly latencyMicros: null
  readonly position: { readonly task: string; readonly offsets: readonly number[] }
  readonly triggerTopic: string
  readonly triggerPartition: number
  readonly triggerOffset: number
  readonly predictedAt: TimestampMs
}

/** A prediction that waits for its label. */
interface Pending {
  readonly features: Uint8Array
  /** Of the model, then of each baseline. */
  readonly scores: readonly number[]
  readonly baselineKeys: readonly (string | number | null)[]
  readonly predictedAt: TimestampMs
}

/** `terms` add up to the score before its link function; `differences` are in the unit of the output and do not add up. */
export interface Contributions {
  readonly kind: 'terms' | 'differences'
  readonly values: readonly { readonly name: string; readonly value: number }[]
}

const isExplainable = (learner: Learner): learner is ExplainableLearner =>
  'contributions' in learner && 'termNames' in learner

/** Labels and predictions that found no partner, and why. */
export interface LabelCounts {
  /** Predictions made. */
  predictions: number
  /** Labels joined to their prediction and learned. */
  joined: number
  /** Labels whose request id has no prediction waiting. */
  unmatched: number
  /** Labels that came after `within`. */
  late: number
  /** Label events that carried no label. */
  empty: number
  /** Predictions whose label never came within `within`. */
  missing: number
}

/**
 * A model in a task's graph: a prediction for each trigger, and for each
 * label first the judgement, then the lesson (test, then train).
 */
export class ModelPart implements GraphPart {
  readonly model: Model
  readonly learner: Learner
  readonly evaluation: ProgressiveEvaluation
  readonly vector: ModelVector
  readonly counts: LabelCounts = { predictions: 0, joined: 0, unmatched: 0, late: 0, empty: 0, missing: 0 }
  readonly stores: readonly StateStore[]
  readonly featureSet: string

  readonly #options: ModelPartOptions
  readonly #weights: LearnerStore
  readonly #features: Float64Array
  /** The same memory. */
  readonly #featureBytes: Uint8Array
  /** Copies that are kept with predictions. */
  readonly #kept: VectorSlab
  readonly #entityFields: readonly { readonly field: string; readonly read: (event: object) => unknown }[]
  readonly #joinOf: (event: object) => unknown
  #baselines: readonly BaselineState[] = []
  #pending!: OrderedStore<Pending>
  #deadlines!: OrderedStore<true>
  #tally!: OrderedStore<LabelCounts>
  /** Triggers that were answered ahead of their turn: `[topic, partition, offset]`. */
  #answered!: OrderedStore<true>

  constructor(options: ModelPartOptions) {
    const { model, viewStates } = options
    this.#options = options
    this.model = model
    this.vector = new ModelVector(model, viewStates)
    this.learner = model.learner.build(model.columns)
    this.#weights = new LearnerStore(`${model.name}.weights`, this.learner)
    const scorers = [model.name, ...model.baselines.map(({ name }) => name)]
    this.evaluation = new ProgressiveEvaluation(
      `${model.name}.evaluation`,
      scorers,
      model.learner.task === 'classification',
    )
    this.stores = [this.#weights, this.evaluation]
    this.#features = new Float64Array(this.vector.width)
    this.#featureBytes = new Uint8Array(this.#features.buffer)
    this.#kept = new VectorSlab(this.vector.width)
    this.#joinOf = fieldReader(model.label.join)
    this.featureSet = createHash('sha256').update(model.columns.join(',')).digest('hex').slice(0, 16)
    const fields = new Set(
      model.views.flatMap((view) =>
        view.entity.map(({ field }) => view.keys[model.trigger.name]?.[field] ?? field),
      ),
    )
    this.#entityFields = [...fields].map((field) => ({ field, read: fieldReader(field) }))
  }

  /** Examples learned so far: the version of the weights. */
  get version(): number {
    return this.#weights.version
  }

  connect(context: GraphContext): void {
    const { model } = this
    const before = model.learner.task === 'classification' ? 0.5 : 0
    this.#baselines = model.baselines.map(
      (baseline) => new BaselineState(baseline, context.store(`${model.name}.${baseline.name}`), before),
    )
    this.#pending = context.store(`${model.name}.pending`)
    this.#deadlines = context.store(`${model.name}.deadlines`)
    this.#tally = context.store(`${model.name}.tally`)
    context.onStreamTime((streamTimeMs) => this.#expire(streamTimeMs))
    this.#answered = context.store(`${model.name}.answered`)
    const take = (topic: string, handle: (record: TaskRecord) => void): void =>
      context.drive(context.source(topic).pipe(eachRecord<TaskRecord, never>(context, handle)))
    take(model.trigger.topic, (record) => {
      if (!this.#wasAnswered(record)) this.#predict(record)
    })
    take(model.label.from.topic, (record) => this.#takeLabel(record))
  }

  /**
   * Answers a trigger now that comes later in its input; when its turn comes
   * nothing is left for it to ask. The read is as of the trigger's time, with
   * what was folded so far.
   */
  answer(record: TaskRecord): void {
    if (record.topic !== this.model.trigger.topic) return
    this.#answered.put([record.topic, record.partition, record.offset], true)
    this.#predict(record)
  }

  #wasAnswered({ topic, partition, offset }: TaskRecord): boolean {
    if (this.#answered.size === 0) return false
    const key = [topic, partition, offset]
    if (this.#answered.get(key) === undefined) return false
    this.#answered.delete(key)
    return true
  }

  want(record: TaskRecord, want: Want): void {
    if (record.topic === this.model.trigger.topic) this.vector.want(record.value, want)
  }

  /** The score of a feature vector under the current weights. Changes nothing. */
  score(features: Float64Array): number {
    return this.learner.predict(this.#weights.state, features)
  }

  /**
   * What each feature did to the score of this vector under the current
   * weights: the terms of the sum where the model is one, else how the output
   * differs from that with the feature missing.
   */
  contributions(features: Float64Array): Contributions {
    const { learner } = this
    const { state } = this.#weights
    const { columns } = this.model
    if (isExplainable(learner)) {
      const terms = new Float64Array(learner.termNames.length)
      learner.contributions(state, features, terms)
      const nameOf = (term: string): string => columns[Number(/^feature (\d+)$/.exec(term)?.[1])] ?? term
      return {
        kind: 'terms',
        values: learner.termNames.map((term, index) => ({ name: nameOf(term), value: terms[index]! })),
      }
    }
    const output = learner.predict(state, features)
    const without = features.slice()
    const values = columns.map((name, index) => {
      without[index] = Number.NaN
      const value = output - learner.predict(state, without)
      without[index] = features[index]!
      return { name, value }
    })
    return { kind: 'differences', values }
  }

  /** Counts kept with the state, so that a restart goes on counting. */
  tally(): LabelCounts {
    return { ...(this.#tally.get([]) ?? this.counts) }
  }

  #predict(record: TaskRecord): void {
    const { model, task, offsets, outputs, onPrediction } = this.#options
    const { value, timestampMs } = record
    const features = this.#features
    this.vector.read(value, timestampMs, features)
    const output = this.score(features)
    const scores = [output]
    const baselineKeys: (string | number | null)[] = []
    for (const baseline of this.#baselines) {
      const key = baseline.keyOf(value)
      baselineKeys.push(key)
      scores.push(baseline.predict(key))
    }
    const join = this.#joinOf(value)
    const requestId =
      join === null || join === undefined
        ? `${record.topic}-${record.partition}-${record.offset}`
        : String(join)
    const kept = this.#kept.take()
    kept.set(features)
    const featureBytes = new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength)
    this.#pending.put([requestId], { features: featureBytes, scores, baselineKeys, predictedAt: timestampMs })
    this.#deadlines.put([timestampMs + model.label.withinMs, requestId], true)
    this.#count('predictions')
    const decided = model.decision?.decide(output, requestId)
    const prediction: Prediction = {
      requestId,
      model: model.name,
      modelVersion: this.#weights.version,
      variant: decided?.action ?? 'champion',
      role: 'champion',
      propensity: decided?.propensity ?? 1,
      entityKeys: this.#entityKeys(value),
      featureSet: this.featureSet,
      features: featureBytes,
      output,
      scores: decided?.values ?? null,
      latencyMicros: null,
      position: { task, offsets: offsets.slice() },
      triggerTopic: record.topic,
      triggerPartition: record.partition,
      triggerOffset: record.offset,
      predictedAt: timestampMs,
    }
    outputs.prediction(prediction, timestampMs)
    onPrediction?.(prediction)
  }

  #entityKeys(trigger: object): Record<string, string> {
    const keys: Record<string, string> = {}
    for (const { field, read } of this.#entityFields) {
      const part = read(trigger)
      if (part !== null && part !== undefined)
        keys[field] = Array.isArray(part) ? part.join('|') : String(part)
    }
    return keys
  }

  #takeLabel(record: TaskRecord): void {
    const { label } = this.model
    const value = label.value(record.value as never)
    const requestId = String(this.#joinOf(record.value))
    const pending = this.#pending.get([requestId])
    if (value === null || Number.isNaN(Number(value))) this.#count('empty')
    else if (pending === undefined) this.#count('unmatched')
    else if (record.timestampMs > pending.predictedAt + label.withinMs) this.#count('late')
    else {
      this.#forget(requestId, pending)
      this.#count('joined')
      this.#learn(requestId, pending, Number(value), record.timestampMs)
    }
  }

  #learn(requestId: string, pending: Pending, label: number, labeledAt: TimestampMs): void {
    const { model, outputs, task, offsets } = this.#options
    this.evaluation.add(pending.scores, label, labeledAt)
    this.#featureBytes.set(pending.features)
    this.#weights.learn(this.#features, label, 1)
    for (const [index, baseline] of this.#baselines.entries()) {
      baseline.learn(pending.baselineKeys[index] ?? null, label)
    }
    outputs.label({ requestId, model: model.name, value: label, labeledAt }, labeledAt)
    outputs.example(
      {
        requestId,
        model: model.name,
        features: pending.features,
        featureSet: this.featureSet,
        label,
        weight: 1,
        predictedAt: pending.predictedAt,
        labeledAt,
      },
      labeledAt,
    )
    const version = this.#weights.version
    if (version % model.snapshotEvery === 0) {
      outputs.snapshot(
        {
          model: model.name,
          version,
          examples: version,
          format: this.learner.name,
          state: this.#weights.state.snapshot(),
          position: { task, offsets: offsets.slice() },
          at: labeledAt,
        },
        labeledAt,
      )
    }
  }

  /** Lets go of predictions whose time for a label is over. */
  #expire(streamTimeMs: TimestampMs): void {
    for (const [key] of this.#deadlines.range(undefined, [streamTimeMs])) {
      const requestId = key[1] as string
      const pending = this.#pending.get([requestId])
      this.#deadlines.delete(key)
      if (pending === undefined || pending.predictedAt + this.model.label.withinMs !== key[0]) continue
      this.#pending.delete([requestId])
      this.#count('missing')
      const { missing, withinMs } = this.model.label
      if (missing !== undefined) this.#learn(requestId, pending, missing, pending.predictedAt + withinMs)
    }
  }

  #forget(requestId: string, pending: Pending): void {
    this.#pending.delete([requestId])
    this.#deadlines.delete([pending.predictedAt + this.model.label.withinMs, requestId])
  }

  #count(name: keyof LabelCounts): void {
    const counts = this.#tally.get([]) ?? { ...this.counts }
    counts[name]++
    this.#tally.put([], counts)
  }
}
