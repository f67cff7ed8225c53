import type { FastifyInstance, FastifyRequest } from 'fastify'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Engine } from '../runtime/engine.ts'
import type { CheckedHttpOptions } from './http-options.ts'
import type { Metrics } from './metrics.ts'
import { openApiOf } from './openapi.ts'
import { HttpProblem } from './problem.ts'
import { parseJson, parseNdjson } from './request-body.ts'

/** Everything that can be asked for. Handlers return plain data; errors become problems elsewhere. */
export function addRoutes(
  app: FastifyInstance,
  engine: Engine,
  { maxJsonDepth, maxBatchEvents }: CheckedHttpOptions,
  metrics: Metrics,
): void {
  const { declaration } = engine
  const body = (request: FastifyRequest): unknown => {
    if (request.body === undefined) throw new HttpProblem(400, 'body-missing', 'the request has no body')
    return parseJson(request.body as string, maxJsonDepth)
  }

  app.post<{ Params: { event: string } }>('/v1/events/:event', async (request) => {
    const isNdjson = (request.headers['content-type'] ?? '').startsWith('application/x-ndjson')
    if (!isNdjson) {
      const positions = await engine.append(request.params.event, [body(request)])
      return { appended: positions.length, positions }
    }
    const lines = parseNdjson((request.body as string | undefined) ?? '', maxJsonDepth, maxBatchEvents)
    const values = lines.map(({ value }) => value)
    try {
      const positions = await engine.append(request.params.event, values)
      return { appended: positions.length, positions }
    } catch (error) {
      throw withLine(error, lines)
    }
  })

  app.post<{ Params: { model: string } }>('/v1/models/:model/predict', (request) =>
    engine.predict(request.params.model, body(request)),
  )

  app.get<{ Params: { view: string; '*': string }; Querystring: { at?: string } }>(
    '/v1/features/:view/*',
    async ({ params, query }) => {
      const key = engine.entityKey(params.view, params['*'].split('/'))
      const at = query.at === undefined ? engine.now() : timeOf(query.at)
      const features = await engine.features(params.view, key, at)
      return {
        view: params.view,
        key: key.map((part) => (typeof part === 'bigint' ? String(part) : part)),
        at,
        features,
      }
    },
  )

  app.get<{ Params: { model: string; requestId: string } }>(
    '/v1/models/:model/predictions/:requestId',
    async ({ params: { model, requestId } }) => {
      engine.model(model)
      const found = await engine.prediction(model, requestId)
      if (found !== undefined) return found
      throw new HttpProblem(
        404,
        'prediction-unknown',
        `model "${model}" has no prediction for request "${requestId}" on its log`,
      )
    },
  )

  app.post<{ Params: { number: string } }>('/v1/dead-letters/:number/reinject', ({ params: { number } }) => {
    if (!/^\d{1,15}$/.test(number)) throw new RangeError(`"${number}" is not the number of a dead letter`)
    return engine.reinject(Number(number))
  })

  app.get('/v1/events', async () =>
    declaration.events.map(({ name, topic, fieldNames, keyFields, timeField, doc = '' }) => ({
      name,
      topic,
      fields: fieldNames,
      key: keyFields,
      time: timeField,
      doc,
    })),
  )

  app.get('/v1/features', async () =>
    declaration.views.map(({ name, entity, owner, description, freshness, version, features, sources }) => ({
      name,
      entity: entity.map(({ field }) => field),
      owner,
      description,
      freshness,
      version,
      features: [...features.keys()],
      events: sources.map((source) => source.name),
    })),
  )

  app.get('/v1/models', async () =>
    [...engine.assembly.models.values()].map((part) => ({
      name: part.model.name,
      owner: part.model.owner,
      description: part.model.description,
      trigger: part.model.trigger.name,
      label: part.model.label.from.name,
      columns: part.model.columns,
      labels: part.tally(),
      quality: part.evaluation.quality(),
    })),
  )

  app.get('/v1/topics', async () =>
    Promise.all(
      (await engine.log.topics()).map(async ({ name, partitions }) => ({
        name,
        offsets: await Promise.all(
          Array.from({ length: partitions }, async (_, partition) => {
            const { start, end } = await engine.log.offsets(name, partition)
            return { partition, start: Number(start), end: Number(end) }
          }),
        ),
      })),
    ),
  )

  app.get('/v1/lag', () => engine.lag())

  app.get('/health', async () => ({ status: 'up' }))

  app.get('/ready', async () => {
    if (engine.failure !== undefined) {
      const reason = engine.failure instanceof Error ? engine.failure.message : String(engine.failure)
      throw new HttpProblem(503, 'engine-failed', `processing has stopped: ${reason}`)
    }
    if (engine.isCaughtUp) return { status: 'ready' }
    const behind = (await engine.lag()).reduce((sum, { lagRecords }) => sum + lagRecords, 0)
    if (behind === 0) return { status: 'ready' }
    throw new HttpProblem(503, 'not-caught-up', `${behind} records are not processed yet`, {
      'retry-after': '1',
    })
  })

  app.get('/metrics', async (_request, reply) => {
    reply.type(metrics.contentType)
    return metrics.text()
  })

  const document = openApiOf(declaration)
  app.get('/openapi.json', async () => document)

  app.get('/', async () => ({
    name: declaration.name,
    routes: Object.entries(document['paths'] as Record<string, object>).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    ),
  }))
}

/** Names the line of the body where the engine names the place in the batch. */
function withLine(error: unknown, lines: readonly { line: number }[]): unknown {
  if (!(error instanceof EngineError) || error.code !== 'contract-violation') return error
  const context = error.context as { contract: string; field: string; found: string; expected: string }
  const [, index, field] = /^\[(\d+)\]\.(.*)$/s.exec(context.field) ?? []
  const line = index === undefined ? lines[0]?.line : lines[Number(index)]?.line
  return new EngineError('contract-violation', {
    ...context,
    field: `${field ?? context.field}" of line ${line ?? 1}, "${field ?? context.field}`,
  })
}

function timeOf(text: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isFinite(ms)) return ms
  throw new RangeError(`"at" is "${text}", expected ISO-8601 text or milliseconds since 1970`)
}
