import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Engine } from '../runtime/engine.ts'
import type { CheckedHttpOptions } from './http-options.ts'
import { isNdjson } from './media-type.ts'
import { HttpProblem } from './problem.ts'
import { mediaTypeRefused } from './refusals.ts'
import { parseJson } from './request-body.ts'

/** Asking models, and asking about them. */
export function addModelRoutes(
  app: FastifyInstance,
  engine: Engine,
  { maxJsonDepth }: CheckedHttpOptions,
): void {
  type Ask = { Params: { model: string }; Body: string | undefined }
  app.post<Ask>('/v1/models/:model/predict', async (request) => {
    const { body, headers, params } = request
    if (body === undefined) {
      throw new HttpProblem(
        400,
        'body-missing',
        "the request has no body; send the fields of the model's event",
      )
    }
    if (isNdjson(headers)) throw mediaTypeRefused(request as FastifyRequest, ['application/json'])
    return engine.predict(params.model, parseJson(body, maxJsonDepth))
  })

  app.get<{ Params: { model: string; requestId: string } }>(
    '/v1/models/:model/predictions/:requestId',
    async ({ params: { model, requestId } }) => {
      engine.model(model)
      const found = await engine.prediction(model, requestId)
      if (found !== undefined) return found
      const detail = `model "${model}" has no prediction for request "${requestId}" on its log`
      throw new HttpProblem(404, 'prediction-unknown', detail, { found: requestId })
    },
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
}
