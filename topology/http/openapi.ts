import type { Declaration } from '../../models/declaration.ts'
import { type JsonSchema, SchemaDefinitions } from './json-schema.ts'
import { type AnswerName, answerSchemas } from './openapi-schemas.ts'

type Paths = Readonly<Record<string, Readonly<Record<string, JsonSchema>>>>

const refusals = {
  400: 'The request does not fit: the detail names the field, what was found and what was expected.',
  404: 'There is nothing of that name; the detail lists what there is.',
  409: 'This request id is being answered already.',
  413: 'The body or the batch is too large.',
  415: 'The body has another media type.',
  503: 'The engine is starting, stopping, moving to another process or has failed, or the answer took too long.',
} as const

/** What every route under /v1 may answer. */
const common = {
  401: 'A token is needed and was not sent.',
  403: 'Without a token the door answers to callers of this machine only.',
  429: 'Too many requests at once; come again after Retry-After seconds.',
} as const

/**
 * The OpenAPI 3.1 document of one application: its own events and models,
 * typed, under their own paths; everything else by path parameters. With
 * `ofInstance` it is that of one of several processes.
 */
export function openApiOf(
  declaration: Declaration,
  { withToken = false, ofInstance = false } = {},
): JsonSchema {
  const definitions = new SchemaDefinitions(Object.keys(answerSchemas))
  const paths = {
    ...eventPaths(declaration, definitions),
    ...modelPaths(declaration, definitions),
    ...featurePaths(declaration),
    ...logPaths(),
    ...statusPaths(ofInstance),
    ...(ofInstance ? instancePaths() : {}),
  }
  return {
    openapi: '3.1.0',
    info: {
      title: `headwater: ${declaration.name}`,
      version: '1',
      description:
        'Errors are problem documents (RFC 9457). Names in paths are those of the topology that runs.',
    },
    paths,
    components: {
      schemas: { ...definitions.all, ...answerSchemas },
      ...(withToken ? { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } : {}),
    },
    ...(withToken ? { security: [{ token: [] }] } : {}),
  }
}

const ref = (name: AnswerName): JsonSchema => ({ $ref: `#/components/schemas/${name}` })
const json = (schema: JsonSchema): JsonSchema => ({ 'application/json': { schema } })
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })

const problem = (description: string): JsonSchema => ({
  description,
  content: { 'application/problem+json': { schema: ref('Problem') } },
})

const answers = (
  description: string,
  schema: JsonSchema,
  statuses: readonly (keyof typeof refusals)[] = [503],
): JsonSchema => ({
  200: { description, content: json(schema) },
  ...Object.fromEntries(Object.entries(common).map(([status, text]) => [status, problem(text)])),
  ...Object.fromEntries(statuses.map((status) => [status, problem(refusals[status])])),
})

const parameter = (name: string, description: string, values: readonly string[] = []): JsonSchema => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string', ...(values.length === 0 ? {} : { enum: values }) },
})

const get = (id: string, summary: string, schema: JsonSchema): { get: JsonSchema } => ({
  get: { operationId: id, summary, responses: answers('Found.', schema) },
})

function eventPaths({ events }: Declaration, definitions: SchemaDefinitions): Paths {
  const paths: Record<string, Readonly<Record<string, JsonSchema>>> = {
    '/v1/events': get('events', 'The events that can be appended', list(ref('Event'))),
  }
  for (const { name, record, timeField, keyFields, doc } of events) {
    const keyed = `Its key is ${keyFields.join(', ')}, its event time "${timeField}".`
    paths[`/v1/events/${encodeURIComponent(name)}`] = {
      post: {
        operationId: `append-${name}`,
        summary: `Append ${name} events`,
        description: [
          ...(doc === undefined ? [] : [doc]),
          keyed,
          'One event as JSON, or one a line as NDJSON. An NDJSON request is all or nothing: when one line is refused, which is named, nothing of the request is appended.',
          'The answer comes when everything is durable.',
        ].join(' '),
        requestBody: {
          required: true,
          content: {
            ...json(definitions.of(record)),
            'application/x-ndjson': {
              schema: { type: 'string', description: 'One event a line; empty lines are passed over.' },
            },
          },
        },
        responses: answers('Appended and durable.', ref('Appended'), [400, 413, 415, 503]),
      },
    }
  }
  return paths
}

function modelPaths({ models }: Declaration, definitions: SchemaDefinitions): Paths {
  const paths: Record<string, Readonly<Record<string, JsonSchema>>> = {
    '/v1/models': get('models', 'The models, how good they are, and beside what', list(ref('Model'))),
  }
  for (const { name, trigger, label, description } of models) {
    const optional = new Set([trigger.timeField, label.join])
    paths[`/v1/models/${encodeURIComponent(name)}/predict`] = {
      post: {
        operationId: `predict-${name}`,
        summary: description || `Ask ${name}`,
        description: `The body is a ${trigger.name} event, and becomes one. "${trigger.timeField}" and "${label.join}" may be left out: the door gives them. The answer comes when the prediction is durable on the log.`,
        requestBody: { required: true, content: json(definitions.recordOf(trigger.record, optional)) },
        responses: answers(
          'The prediction and what it was made of.',
          ref('Prediction'),
          [400, 409, 413, 415, 503],
        ),
      },
    }
  }
  paths['/v1/models/{model}/predictions/{requestId}'] = {
    get: {
      operationId: 'prediction',
      summary: 'A past prediction and what is behind it',
      parameters: [
        parameter(
          'model',
          'Model.',
          models.map(({ name }) => name),
        ),
        parameter('requestId', 'Request id.'),
      ],
      responses: answers('The prediction.', ref('Prediction'), [404, 503]),
    },
  }
  return paths
}

function featurePaths({ views }: Declaration): Paths {
  const names = views.map(({ name }) => name)
  const key = 'Key of the entity; a composite key has each further part as a further segment of the path.'
  return {
    '/v1/features': get(
      'views',
      'The feature views: what they are about, who answers for them',
      list(ref('View')),
    ),
    '/v1/features/{view}/{key}': {
      get: {
        operationId: 'features',
        summary: 'The features of an entity',
        parameters: [
          parameter('view', 'Feature view.', names),
          parameter('key', key),
          {
            name: 'at',
            in: 'query',
            required: false,
            description:
              'As of this time: ISO-8601 with a time zone, or milliseconds since 1970. Now, unless given.',
            schema: { type: 'string' },
          },
        ],
        responses: answers('The features by name.', ref('Features'), [400, 404, 503]),
      },
    },
  }
}

function logPaths(): Paths {
  return {
    '/v1/topics': get('topics', 'The topics of the log', list(ref('Topic'))),
    '/v1/lag': get('lag', 'What is not processed yet, by input, in records and seconds', list(ref('Lag'))),
    '/v1/dead-letters/{number}/reinject': {
      post: {
        operationId: 'reinject',
        summary: 'Append the original bytes of a dead letter to its topic again',
        parameters: [parameter('number', 'Its offset on the dead-letter topic.')],
        responses: answers('Appended and durable.', ref('Place'), [400, 404, 503]),
      },
    },
  }
}

const readyEngine = 'What was on the log at the start is processed, and the engine works'
const readyInstance =
  'Every task of this process stands by, or works and has processed what was on the log when it began'

function instancePaths(): Paths {
  return {
    '/v1/instance': get(
      'instance',
      'This process among those that run the application: its tasks, what it does about each, and who answers for them',
      ref('Instance'),
    ),
  }
}

function statusPaths(ofInstance: boolean): Paths {
  const open = { security: [] }
  const status = (id: string, summary: string, more: JsonSchema = {}): { get: JsonSchema } => ({
    get: {
      operationId: id,
      summary,
      responses: { 200: { description: 'Yes.', content: json(ref('Status')) }, ...more },
      ...open,
    },
  })
  const notReady = problem('Not yet, or not any more; the detail says why.')
  return {
    '/health': status('health', 'The process is up'),
    '/ready': status('ready', ofInstance ? readyInstance : readyEngine, { 503: notReady }),
    '/metrics': {
      get: {
        operationId: 'metrics',
        summary: 'Figures for Prometheus',
        responses: {
          200: {
            description: 'Text format 0.0.4.',
            content: { 'text/plain': { schema: { type: 'string' } } },
          },
        },
      },
    },
    '/openapi.json': get('openapi', 'This document', { type: 'object' }),
    '/': get('index', 'What there is to ask for', ref('Index')),
  }
}
