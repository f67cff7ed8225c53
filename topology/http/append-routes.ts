import type { FastifyInstance } from 'fastify'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Appended } from '../runtime/door.ts'
import type { Engine } from '../runtime/engine.ts'
import type { CheckedHttpOptions } from './http-options.ts'
import { isNdjson } from './media-type.ts'
import type { Metrics } from './metrics.ts'
import { HttpProblem, refusalOf } from './problem.ts'
import { type Line, parseJson, parseNdjson } from './request-body.ts'

/** What an append answers once it is durable. */
interface AppendAnswer {
  readonly appended: number
  /** One an event, in the order of the body. */
  readonly positions: readonly Appended[]
}

/** What events come in through. */
export type Appending = Pick<Engine, 'append' | 'declaration' | 'reinject'>

/** How events come in, and what can. */
export function addAppendRoutes(
  app: FastifyInstance,
  engine: Appending,
  { maxJsonDepth, maxBatchEvents }: CheckedHttpOptions,
  metrics: Pick<Metrics, 'countEvents'>,
): void {
  const append = async (event: string, values: readonly unknown[]): Promise<AppendAnswer> => {
    const positions = await engine.append(event, values)
    metrics.countEvents(event, positions.length)
    return { appended: positions.length, positions }
  }

  app.post<{ Params: { event: string }; Body: string | undefined }>(
    '/v1/events/:event',
    async ({ params: { event }, body, headers }) => {
      if (body === undefined)
        throw new HttpProblem(400, 'body-missing', 'the request has no body; send an event')
      if (!isNdjson(headers)) return append(event, [parseJson(body, maxJsonDepth)])
      const lines = parseNdjson(body, maxJsonDepth, maxBatchEvents)
      if (lines.length === 0) {
        throw new HttpProblem(
          400,
          'body-missing',
          'the body has no line with an event; send one event a line',
        )
      }
      try {
        return await append(
          event,
          lines.map(({ value }) => value),
        )
      } catch (error) {
        throw withLine(error, lines)
      }
    },
  )

  app.get('/v1/events', async () =>
    engine.declaration.events.map(({ name, topic, fieldNames, keyFields, timeField, doc = '' }) => ({
      name,
      topic,
      fields: fieldNames,
      key: keyFields,
      time: timeField,
      doc,
    })),
  )

  app.post<{ Params: { number: string } }>('/v1/dead-letters/:number/reinject', ({ params: { number } }) => {
    if (/^\d{1,15}$/.test(number)) return engine.reinject(Number(number))
    const detail = `"${number}" is not the number of a dead letter; numbers are offsets of the dead-letter topic`
    throw new HttpProblem(400, 'number-invalid', detail, { found: number, expected: 'a whole number from 0' })
  })
}

/** Names the line of the body where the engine names the place in the batch. */
function withLine(error: unknown, lines: readonly Line[]): unknown {
  if (!(error instanceof EngineError)) return error
  const { problem } = refusalOf(error)
  if (problem.field === undefined) return error
  const [, index = '0', field = problem.field] = /^\[(\d+)\]\.(.*)$/s.exec(problem.field) ?? []
  const line = lines[Number(index)]?.line ?? 1
  const detail = `line ${line}: ${problem.detail.replace(problem.field, () => field)}`
  const { found, expected, context, status, code } = problem
  return new HttpProblem(status, code, `${detail}; nothing of this request was appended`, {
    line,
    field,
    ...(found === undefined ? {} : { found }),
    ...(expected === undefined ? {} : { expected }),
    context: { ...context, field },
  })
}
