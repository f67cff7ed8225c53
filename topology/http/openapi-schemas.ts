import type { JsonSchema } from './json-schema.ts'

const count: JsonSchema = { type: 'integer', minimum: 0 }
const text: JsonSchema = { type: 'string' }
const texts: JsonSchema = { type: 'array', items: text }
const instant: JsonSchema = { type: 'integer', description: 'Milliseconds since 1970.' }
const object = (properties: Readonly<Record<string, JsonSchema>>, more: JsonSchema = {}): JsonSchema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  ...more,
})

const withOptional = (
  optional: Readonly<Record<string, JsonSchema>>,
  required: Readonly<Record<string, JsonSchema>>,
): JsonSchema => ({ ...object(required), properties: { ...optional, ...required } })

const featureValues: JsonSchema = {
  type: 'object',
  additionalProperties: { type: ['number', 'null'] },
  description: 'By name; null where there is no value.',
}

/** What the door answers in every application. */
export const answerSchemas = {
  Problem: {
    type: 'object',
    description: 'RFC 9457.',
    properties: {
      type: text,
      title: text,
      status: { type: 'integer' },
      detail: { type: 'string', description: 'What was found, what was expected and what to do.' },
      code: { type: 'string', description: 'Names the kind of problem, the same for ever.' },
      field: text,
      line: { type: 'integer', minimum: 1, description: 'Line of an NDJSON body.' },
      found: {},
      expected: {},
      action: text,
      context: { type: 'object', description: 'The parts of the detail, for programs.' },
    },
    required: ['type', 'title', 'status', 'detail', 'code'],
  },
  Place: object({ topic: text, partition: count, offset: count }),
  Appended: object({
    appended: count,
    positions: {
      type: 'array',
      items: { $ref: '#/components/schemas/Place' },
      description: 'One an event, in the order of the body.',
    },
  }),
  Features: object({
    view: text,
    key: { type: 'array', items: { type: ['string', 'number'] } },
    at: { ...instant, description: 'Query time, milliseconds since 1970.' },
    features: {
      type: 'object',
      additionalProperties: { type: ['number', 'null', 'string', 'array', 'object'] },
      description:
        'By name; null where there is no value. Of aggregates such as lastK a list, of bucketBy a map.',
    },
  }),
  Prediction: object({
    requestId: text,
    model: text,
    modelVersion: { type: 'integer', description: 'Examples learned before it: names exact weights.' },
    variant: text,
    role: text,
    propensity: { type: 'number' },
    output: { type: 'number' },
    features: featureValues,
    position: object(
      { task: text, offsets: { type: 'object', additionalProperties: count } },
      { description: 'Where each input stood: a replay up to here computes the same.' },
    ),
    trigger: { $ref: '#/components/schemas/Place' },
    predictedAt: instant,
  }),
  Lag: withOptional(
    { task: { type: 'string', description: 'Where several tasks run here.' } },
    {
      topic: text,
      partition: count,
      position: { ...count, description: 'Next offset to be processed.' },
      endOffset: { ...count, description: 'Next offset to be written.' },
      lagRecords: count,
      lagSeconds: {
        type: 'number',
        description: 'Since the oldest record that is not processed was appended.',
      },
    },
  ),
  Event: object({ name: text, topic: text, fields: texts, key: texts, time: text, doc: text }),
  View: object({
    name: text,
    entity: texts,
    owner: text,
    description: text,
    freshness: text,
    version: { type: 'integer' },
    features: texts,
    events: texts,
  }),
  Model: object({
    name: text,
    owner: text,
    description: text,
    trigger: text,
    label: text,
    columns: texts,
    labels: { type: 'object', additionalProperties: count },
    quality: {
      type: 'object',
      additionalProperties: { type: 'object', additionalProperties: { type: ['number', 'null'] } },
      description: 'Progressive metrics, of the model and of its baselines.',
    },
  }),
  Topic: object({
    name: text,
    offsets: { type: 'array', items: object({ partition: count, start: count, end: count }) },
  }),
  Address: object({
    id: text,
    url: { type: 'string', description: 'Where the other processes reach this one.' },
  }),
  Instance: object({
    id: { type: 'string', description: 'The same for every start on the same data folder.' },
    url: text,
    generation: { type: 'integer', description: 'Round in which the tasks were shared out last.' },
    rebalances: { ...count, description: 'Rounds since this process started.' },
    tasks: {
      type: 'array',
      items: object({
        task: text,
        role: { type: 'string', enum: ['active', 'standby', 'none'], description: 'What it was told to do.' },
        stage: {
          type: 'string',
          enum: ['idle', 'opening', 'standby', 'taking', 'active'],
          description: 'How far it has come with that.',
        },
        position: { ...count, description: 'Records folded into the state here.' },
        behindOffsets: {
          ...count,
          description: 'Of a standby: commits that it has not followed yet, in offsets of their topic.',
        },
        owner: {
          anyOf: [{ $ref: '#/components/schemas/Address' }, { type: 'null' }],
          description: 'The process that answers for it; null while nobody is known.',
        },
      }),
    },
    instances: { type: 'array', items: { $ref: '#/components/schemas/Address' } },
  }),
  Status: object({ status: text }),
  Index: object({
    name: text,
    events: texts,
    models: texts,
    views: texts,
    description: { type: 'string', description: 'Where this document is.' },
    routes: texts,
  }),
} as const satisfies Readonly<Record<string, JsonSchema>>

export type AnswerName = keyof typeof answerSchemas
