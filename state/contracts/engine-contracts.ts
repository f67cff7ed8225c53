import { type EventOf, event } from './event.ts'
import { array, enumeration, map, nullable, record, withDefault } from './field-type.ts'

/**
 * Where a task stood: the next offset of each of its inputs, in the order of
 * the task's declaration.
 */
const position = record('Position', { task: 'string', offsets: array('long') })

/** What a model version was doing when it scored. Each name is one role at a time. */
const roles = ['champion', 'challenger', 'shadow', 'canary'] as const

const lifecycleSteps = [
  'registered',
  'evaluated',
  'rejected',
  'shadowed',
  'ramped',
  'promoted',
  'rolledBack',
] as const

/**
 * The engine's own events, under one application's topics. Every decision the
 * engine takes is one of these, so it can be replayed and explained.
 *
 * Feature vectors travel as `bytes`, little-endian doubles in the order of the
 * feature set whose digest is in `featureSet`; NaN stands for missing.
 */
export function engineContracts(app: string): EngineContracts {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$/.test(app)) {
    throw new RangeError(
      `app "${app}" is not a prefix for topics: letters, digits, '.', '_' and '-', at most 200`,
    )
  }
  return declare(app)
}

/** By name: `prediction`, `label`, `example` and so on. */
export type EngineContracts = ReturnType<typeof declare>

export type PredictionEvent = EventOf<EngineContracts['prediction']>
export type LabelEvent = EventOf<EngineContracts['label']>
export type ExampleEvent = EventOf<EngineContracts['example']>
export type FeatureUpdateEvent = EventOf<EngineContracts['featureUpdate']>
export type ModelSnapshotEvent = EventOf<EngineContracts['modelSnapshot']>
export type ModelLifecycleEvent = EventOf<EngineContracts['modelLifecycle']>
export type DriftMetricEvent = EventOf<EngineContracts['driftMetric']>
export type AlertEvent = EventOf<EngineContracts['alert']>
export type DeadLetterEvent = EventOf<EngineContracts['deadLetter']>
export type CommitEvent = EventOf<EngineContracts['commit']>
export type TaskLayoutEvent = EventOf<EngineContracts['taskLayout']>
export type FeatureViewEvent = EventOf<EngineContracts['featureView']>

const declare = (app: string) => ({
  ...decisionContracts(app),
  ...modelContracts(app),
  ...observationContracts(app),
  ...bookkeepingContracts(app),
})

/** What was answered, what came true, and the two joined. */
const decisionContracts = (app: string) => ({
  prediction: event(
    'prediction',
    {
      requestId: 'string',
      model: 'string',
      modelVersion: 'long',
      variant: 'string',
      /** Probability with which the policy picked what it picked, in (0, 1]. */
      propensity: 'double',
      role: enumeration('Role', roles),
      entityKeys: map('string'),
      features: 'bytes',
      featureSet: 'string',
      output: 'double',
      /** One score a class or a candidate; null where the output says all. */
      scores: nullable(array('double')),
      position,
      triggerTopic: 'string',
      triggerPartition: 'int',
      triggerOffset: 'long',
      latencyMicros: nullable('long'),
      predictedAt: 'timestamp',
    },
    { key: 'requestId', time: 'predictedAt', topic: `${app}-predictions` },
  ),
  label: event(
    'label',
    { requestId: 'string', model: 'string', value: 'double', labeledAt: 'timestamp' },
    { key: 'requestId', time: 'labeledAt', topic: `${app}-labels` },
  ),
  example: event(
    'example',
    {
      requestId: 'string',
      model: 'string',
      features: 'bytes',
      featureSet: 'string',
      label: 'double',
      weight: withDefault('double', 1),
      predictedAt: 'timestamp',
      labeledAt: 'timestamp',
    },
    { key: 'requestId', time: 'labeledAt', topic: `${app}-examples` },
  ),
})

const modelContracts = (app: string) => ({
  modelSnapshot: event(
    'model-snapshot',
    {
      model: 'string',
      version: 'long',
      /** How many examples the state has learnt from. */
      examples: 'long',
      /** How `state` is written: the learner and the version of its layout. */
      format: 'string',
      state: 'bytes',
      position,
      at: 'timestamp',
    },
    { key: 'model', time: 'at', topic: `${app}-model-snapshots` },
  ),
  modelLifecycle: event(
    'model-lifecycle',
    {
      model: 'string',
      version: 'long',
      step: enumeration('LifecycleStep', lifecycleSteps),
      /** Who decided: a person, or the gate that did. */
      actor: 'string',
      reason: 'string',
      metrics: map('double'),
      dataSnapshotId: nullable('string'),
      at: 'timestamp',
    },
    { key: 'model', time: 'at', topic: `${app}-model-lifecycle` },
  ),
})

const observationContracts = (app: string) => ({
  featureUpdate: event(
    'feature-update',
    {
      view: 'string',
      /** The entity's key as text. */
      entityKey: 'string',
      features: 'bytes',
      featureSet: 'string',
      position,
      at: 'timestamp',
    },
    { key: 'entityKey', time: 'at', topic: `${app}-feature-updates` },
  ),
  driftMetric: event(
    'drift-metric',
    {
      /** What was watched, such as a feature, a prediction or an error of a model. */
      subject: 'string',
      detector: 'string',
      statistic: 'double',
      threshold: 'double',
      isDrift: 'boolean',
      /** Events behind the statistic. */
      count: 'long',
      details: map('double'),
      at: 'timestamp',
    },
    { key: 'subject', time: 'at', topic: `${app}-drift-metrics` },
  ),
  alert: event(
    'alert',
    {
      subject: 'string',
      rule: 'string',
      severity: enumeration('Severity', ['info', 'warning', 'critical']),
      message: 'string',
      value: nullable('double'),
      threshold: nullable('double'),
      /** Where the task stood before the record that it came of. */
      position: nullable(position),
      at: 'timestamp',
    },
    { key: 'subject', time: 'at', topic: `${app}-alerts` },
  ),
})

const bookkeepingContracts = (app: string) => ({
  deadLetter: event(
    'dead-letter',
    {
      topic: 'string',
      partition: 'int',
      offset: 'long',
      schemaId: nullable('long'),
      /** A short stable word to count by. */
      reason: 'string',
      /** The same for a person: what was found and what was expected. */
      detail: 'string',
      /** The original bytes, header included, so that the record can be injected again. */
      key: nullable('bytes'),
      value: nullable('bytes'),
      /** The record's own event time, as it was given. */
      timestampMs: 'long',
      at: 'timestamp',
    },
    { key: 'topic', time: 'at', topic: `${app}-dead-letters` },
  ),
  commit: event(
    'commit',
    {
      task: 'string',
      /** From 0, one more with each commit of the task. */
      sequence: 'long',
      /** Next offset of each input after the batch, in the order of the task's declaration. */
      offsets: array('long'),
      /** Records in the batch. */
      count: 'int',
      /** Which of the task's layouts the offsets belong to. */
      layout: withDefault('string', ''),
      /** Requests further on in the inputs that were answered at this position, ahead of their turn. */
      answered: withDefault(
        array(record('Answered', { topic: 'string', partition: 'int', offset: 'long' })),
        [],
      ),
      at: 'timestamp',
    },
    { key: 'task', time: 'at', topic: `${app}-commits` },
  ),
  taskLayout: event(
    'task-layout',
    {
      task: 'string',
      layout: 'string',
      /** `topic[partition]` of each input, in the order of a commit's offsets. */
      inputs: array('string'),
      /** Sequence number of the commit that is the first of this layout; -1 where it is not known. */
      from: withDefault('long', -1),
      /** Where each partition of the predictions ended before that commit. */
      predictions: withDefault(array('long'), []),
      at: 'timestamp',
    },
    { key: 'task', time: 'at', topic: `${app}-task-layouts` },
  ),
  featureView: event(
    'feature-view',
    {
      view: 'string',
      version: 'int',
      /** JSON of what the values depend on: the entity, and of each feature source, aggregate, window and so on. */
      meaning: 'string',
      entity: array('string'),
      owner: 'string',
      description: 'string',
      freshness: 'string',
      sources: array('string'),
      /** Models and streams that read it. */
      usedBy: array('string'),
      at: 'timestamp',
    },
    { key: 'view', time: 'at', topic: `${app}-feature-views` },
  ),
})
