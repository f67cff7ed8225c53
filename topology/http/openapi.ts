import type { Declaration } from '../../models/declaration.ts'
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts'

type Operation = Readonly<Record<string, unknown>>

const json = (schema: JsonSchema): JsonSchema => ({ 'application/json': { schema } })

const parameter = (name: string, description: string, values?: readonly string[]): JsonSchema => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string', ...(values === undefined || values.length === 0 ? {} : { enum: values }) },
})

const problem = (description: string): JsonSchema => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
})

const answers = (
  description: string,
  schema: JsonSchema,
  refusals: Readonly<Record<string, string>>,
): JsonSchema => ({
  200: { description, content: json(schema) },
  ...Object.fromEntries(Object.entries(refusals).map(([status, text]) => [status, problem(text)])),
})

const refusals = {
  400: 'The request does not fit: the detail names the field, what was found and what was expected.',
  401: 'A token is needed and was not sent.',
  404: 'There is nothing of that name; the detail lists what there is.',
  413: 'The body or the batch is too large.',
  415: 'The body has another media type.',
  429: 'Too many requests at once; come again after Retry-After seconds.',
  503: 'The engine is starting, stopping or has failed.',
} as const

const pick = (...statuses: (keyof typeof refusals)[]): Readonly<Record<string, string>> =>
  Object.fromEntries(statuses.map((status) => [status, refusals[status]]))

/** The OpenAPI 3.1 document of one application: its own events and models, typed. */
export function openApiOf(declaration: Declaration): JsonSchema {
  const definitions = new Map<string, JsonSchema>()
  const paths: Record<string, Operation> = {}
  for (const contract of declaration.events) {
    const event = jsonSchemaOf(contract, definitions)
    paths[`/v1/events/${contract.name}`] = {
      post: {
        operationId: `append-${contract.name}`,
        summary: `Append ${contract.name} events`,
        description:
          'One event as JSON, or one a line as NDJSON: then all are appended or none. The answer comes when they are durable.',
        requestBody: {
          required: true,
          content: { ...json(event), 'application/x-ndjson': { schema: { type: 'string' } } },
        },
        responses: answers(
          'Appended and durable.',
          { $ref: '#/components/schemas/Appended' },
          pick(400, 401, 413, 415, 429, 503),
        ),
      },
    }
  }
  for (const { name, trigger, label, description } of declaration.models) {
    const event = jsonSchemaOf(trigger, definitions)
    paths[`/v1/models/${name}/predict`] = {
      post: {
        operationId: `predict-${name}`,
        summary: description || `Ask ${name}`,
        description: `The body is a ${trigger.name} event. "${trigger.timeField}" and "${label.join}" may be left out: the door gives them. The answer comes when the prediction is durable on the log.`,
        requestBody: { required: true, content: json({ ...event, required: [] }) },
        responses: answers(
          'The prediction and what it was made of.',
          { $ref: '#/components/schemas/Prediction' },
          {
            ...pick(400, 401, 413, 415, 429, 503),
            409: 'This request id is being answered already.',
          },
        ),
      },
    }
  }
  Object.assign(paths, fixedPaths(declaration))
  return {
    openapi: '3.1.0',
    info: { title: `headwater: ${declaration.name}`, version: '1' },
    paths,
    components: {
      schemas: { ...Object.fromEntries(definitions), ...fixedSchemas },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  }
}

const get = (id: string, summary: string, schema: JsonSchema, more: Operation = {}): Operation => ({
  get: { operationId: id, summary, responses: answers('Found.', schema, pick(401, 503)), ...more },
})

const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
const object: JsonSchema = { type: 'object' }

function fixedPaths({ views, models }: Declaration): Record<string, Operation> {
  const modelNames = models.map(({ name }) => name)
  return {
    '/v1/events': get('events', 'The events that can be appended', list(object)),
    '/v1/models': get('models', 'The models, how good they are, and beside what', list(object)),
    '/v1/features': get(
      'views',
      'The feature views: what they are about, who answers for them',
      list(object),
    ),
    '/v1/topics': get('topics', 'The topics of the log', list(object)),
    '/v1/lag': get(
      'lag',
      'What is not processed yet, by input, in records and seconds',
      list({ $ref: '#/components/schemas/Lag' }),
    ),
    '/v1/features/{view}/{key}': get(
      'features',
      'The features of an entity',
      { $ref: '#/components/schemas/Features' },
      {
        parameters: [
          parameter(
            'view',
            'Feature view.',
            views.map(({ name }) => name),
          ),
          parameter(
            'key',
            'The key of the entity; a composite key has its parts as further segments of the path.',
          ),
          {
            name: 'at',
            in: 'query',
            required: false,
            description: 'As of this time: ISO-8601, or milliseconds since 1970. Now, unless given.',
            schema: { type: 'string' },
          },
        ],
        responses: answers(
          'The features by name.',
          { $ref: '#/components/schemas/Features' },
          pick(400, 401, 404, 503),
        ),
      },
    ),
    '/v1/models/{model}/predictions/{requestId}': get(
      'prediction',
      'A past prediction and what is behind it',
      object,
      {
        parameters: [parameter('model', 'Model.', modelNames), parameter('requestId', 'Request id.')],
        responses: answers(
          'The prediction.',
          { $ref: '#/components/schemas/Prediction' },
          pick(401, 404, 503),
        ),
      },
    ),
    '/v1/dead-letters/{number}/reinject': {
      post: {
        operationId: 'reinject',
        summary: 'Append a dead letter to its topic again',
        parameters: [parameter('number', 'Its offset on the dead-letter topic.')],
        responses: answers('Appended and durable.', object, pick(400, 401, 404, 503)),
      },
    },
    '/health': get('health', 'The process is up', object),
    '/ready': get('ready', 'Everything on the log is processed, and the engine answers', object),
    '/metrics': {
      get: {
        operationId: 'metrics',
        summary: 'Prometheus metrics',
        responses: {
          200: { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
    '/openapi.json': get('openapi', 'This document', object),
    '/': get('index', 'What there is to ask for', object),
  }
}

const fixedSchemas: Readonly<Record<string, JsonSchema>> = {
  Problem: {
    type: 'object',
    description: 'RFC 9457.',
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string', description: 'What was found, what was expected and what to do.' },
      code: { type: 'string' },
      context: { type: 'object' },
    },
    required: ['type', 'title', 'status', 'detail'],
  },
  Appended: {
    type: 'object',
    properties: {
      appended: { type: 'integer' },
      positions: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            topic: { type: 'string' },
            partition: { type: 'integer' },
            offset: { type: 'integer' },
          },
        },
      },
    },
    required: ['appended', 'positions'],
  },
  Features: {
    type: 'object',
    properties: {
      view: { type: 'string' },
      key: { type: 'array', items: { type: ['string', 'number'] } },
      at: { type: 'integer', description: 'Query time, ms since 1970.' },
      features: { type: 'object', additionalProperties: { type: ['number', 'null'] } },
    },
    required: ['view', 'key', 'at', 'features'],
  },
  Prediction: {
    type: 'object',
    properties: {
      requestId: { type: 'string' },
      model: { type: 'string' },
      modelVersion: { type: 'integer', description: 'Examples learned before it: names exact weights.' },
      variant: { type: 'string' },
      role: { type: 'string' },
      propensity: { type: 'number' },
      output: { type: 'number' },
      features: { type: 'object', additionalProperties: { type: ['number', 'null'] } },
      position: {
        type: 'object',
        description: 'Where each input stood: a replay up to here computes the same.',
      },
      trigger: { type: 'object' },
      predictedAt: { type: 'integer' },
    },
    required: ['requestId', 'model', 'modelVersion', 'output', 'features', 'position'],
  },
  Lag: {
    type: 'object',
    properties: {
      topic: { type: 'string' },
      partition: { type: 'integer' },
      position: { type: 'integer' },
      endOffset: { type: 'integer' },
      lagRecords: { type: 'integer' },
      lagSeconds: { type: 'number', description: 'Age of the oldest record that is not processed.' },
    },
    required: ['topic', 'partition', 'lagRecords', 'lagSeconds'],
  },
}
