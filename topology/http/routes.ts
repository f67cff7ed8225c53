import type { FastifyInstance } from 'fastify'
import type { Engine } from '../runtime/engine.ts'
import { addAppendRoutes } from './append-routes.ts'
import { addFeatureRoutes } from './feature-routes.ts'
import type { CheckedHttpOptions } from './http-options.ts'
import type { Metrics } from './metrics.ts'
import { addModelRoutes } from './model-routes.ts'
import { openApiOf } from './openapi.ts'
import { HttpProblem, retryAfter } from './problem.ts'
import { Readiness } from './readiness.ts'
import { engineFailure } from './refusals.ts'

/** Everything that can be asked for. Handlers return plain data; errors become problems elsewhere. */
export function addRoutes(
  app: FastifyInstance,
  engine: Engine,
  options: CheckedHttpOptions,
  metrics: Metrics,
): void {
  const { declaration } = engine
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) if (each !== 'HEAD') routes.push(`${each} ${url}`)
  })

  addAppendRoutes(app, engine, options, metrics)
  addModelRoutes(app, engine, options)
  addFeatureRoutes(app, engine)
  addLogRoutes(app, engine)
  addStatusRoutes(app, engine)

  app.get('/metrics', async (_request, reply) => {
    reply.type(metrics.contentType)
    return metrics.text()
  })

  const document = JSON.stringify(openApiOf(declaration, { withToken: options.token !== undefined }))
  app.get('/openapi.json', async (_request, reply) => {
    reply.type('application/json')
    return document
  })

  app.get('/', async () => ({
    name: declaration.name,
    events: declaration.events.map(({ name }) => name),
    models: declaration.models.map(({ name }) => name),
    views: declaration.views.map(({ name }) => name),
    description: '/openapi.json',
    routes,
  }))
}

function addLogRoutes(app: FastifyInstance, engine: Engine): void {
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
}

function addStatusRoutes(app: FastifyInstance, engine: Engine): void {
  app.get('/health', async () => ({ status: 'up' }))

  const readiness = new Readiness(engine)
  app.get('/ready', async () => {
    if (engine.failure !== undefined) throw engineFailure(engine, engine.failure) ?? engine.failure
    const behind = await readiness.behind()
    if (behind > 0) {
      const detail = `${behind} records that were on the log at the start are not processed yet`
      throw new HttpProblem(503, 'not-caught-up', detail, { found: behind, expected: 0, headers: retryAfter })
    }
    return { status: 'ready' }
  })
}
