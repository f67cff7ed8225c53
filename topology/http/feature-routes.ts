import type { FastifyInstance } from 'fastify'
import { parseTimestamp } from '../../state/contracts/timestamp-text.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Engine } from '../runtime/engine.ts'
import { HttpProblem } from './problem.ts'

/** What the features are, and those of one entity. */
export function addFeatureRoutes(app: FastifyInstance, engine: Engine): void {
  app.get<{ Params: { view: string }; Querystring: Record<string, unknown> }>(
    '/v1/features/:view/*',
    async ({ params: { view }, query, raw }) => {
      const key = keyOf(engine, view, keyTexts(raw.url ?? ''))
      const at = queryTime(query) ?? engine.now()
      const features = await engine.features(view, key, at)
      return {
        view,
        key: key.map((part) => (typeof part === 'bigint' ? String(part) : part)),
        at,
        features,
      }
    },
  )

  app.get('/v1/features', async () =>
    engine.declaration.views.map(
      ({ name, entity, owner, description, freshness, version, features, sources }) => ({
        name,
        entity: entity.map(({ field }) => field),
        owner,
        description,
        freshness,
        version,
        features: [...features.keys()],
        events: sources.map((source) => source.name),
      }),
    ),
  )
}

/** The parts of the key: each a segment of its own, so that an encoded slash stays in its part. */
function keyTexts(url: string): readonly string[] {
  const [path = ''] = url.split('?')
  return path.split('/').slice(4).map(decodeURIComponent)
}

function keyOf(
  engine: Engine,
  view: string,
  texts: readonly string[],
): readonly (string | number | bigint)[] {
  try {
    return engine.entityKey(view, texts)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new HttpProblem(400, 'entity-key-invalid', error.message, { found: texts.join('/') })
  }
}

/** Undefined: now. */
function queryTime(query: Readonly<Record<string, unknown>>): TimestampMs | undefined {
  const unknown = Object.keys(query).find((name) => name !== 'at')
  if (unknown !== undefined) {
    const detail = `"${unknown}" is not a parameter of this route; there is "at"`
    throw new HttpProblem(400, 'parameter-unknown', detail, { found: unknown, expected: 'at' })
  }
  const { at } = query
  if (at === undefined) return undefined
  const ms = typeof at === 'string' ? (/^\d{1,15}$/.test(at) ? Number(at) : parseTimestamp(at)) : undefined
  if (ms !== undefined) return ms
  const expected = 'milliseconds since 1970, or ISO-8601 text with a time zone'
  throw new HttpProblem(400, 'time-invalid', `"at" is ${JSON.stringify(at)}, expected ${expected}`, {
    field: 'at',
    found: at,
    expected,
  })
}
