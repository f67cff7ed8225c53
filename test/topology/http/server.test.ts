import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { shop } from '../../support/shop-topology.ts'

const now = () => 1_800_000_000_000
let engine: Engine
let server: { readonly url: string; close(): Promise<void> }

beforeAll(async () => {
  engine = await Engine.open({ topology: shop, now })
  engine.run()
  server = await startServer(engine, {
    port: 0,
    maxBodyBytes: 4_096,
    maxBatchEvents: 5,
    receiveTimeoutMs: 1_000,
  })
})
afterAll(async () => {
  await server.close()
  await engine.close()
})

interface Answer {
  readonly status: number
  readonly type: string | null
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: the tests compare whole answers
  readonly body: any
}

async function call(path: string, init: RequestInit = {}, url = server.url): Promise<Answer> {
  const response = await fetch(`${url}${path}`, init)
  const text = await response.text()
  const type = response.headers.get('content-type')
  return {
    status: response.status,
    type,
    headers: response.headers,
    body: type?.includes('json') ? JSON.parse(text) : text,
  }
}

const post = (path: string, body: unknown, type = 'application/json') =>
  call(path, {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

const visitOf = (visitId: string, more: object = {}) => ({
  visitId,
  visitor: 'ada',
  page: '/shoes',
  at: 1_700_000_000_000,
  ...more,
})

describe('what the door does', () => {
  test('appends an event and tells where it lies', async () => {
    const { status, body } = await post('/v1/events/visit', visitOf('h1', { at: '2023-11-14T22:13:20Z' }))
    expect(status).toBe(200)
    expect(body).toEqual({
      appended: 1,
      positions: [{ topic: 'visit', partition: expect.any(Number), offset: expect.any(Number) }],
    })
  })

  test('appends lines all or none, and names the line and the field that is wrong', async () => {
    const before = await engine.inputs()
    const lines = [visitOf('n1'), visitOf('n2'), { ...visitOf('n3'), visitor: 7 }]
    const text = lines.map((line) => JSON.stringify(line)).join('\n\n')
    const refused = await post('/v1/events/visit', text, 'application/x-ndjson')
    expect(refused.status).toBe(400)
    expect(refused.type).toContain('application/problem+json')
    expect(refused.body).toMatchObject({ code: 'contract-violation', title: 'Bad request', status: 400 })
    expect(refused.body.detail).toContain('of line 5')
    expect(refused.body.detail).toContain('"visitor"')
    expect((await engine.inputs()).map(({ endOffset }) => endOffset)).toEqual(
      before.map(({ endOffset }) => endOffset),
    )
    const good = await post(
      '/v1/events/visit',
      text.split('\n\n').slice(0, 2).join('\n'),
      'application/x-ndjson',
    )
    expect(good.body.appended).toBe(2)
  })

  test('predicts, and gives the prediction again by its request id with what is behind it', async () => {
    const asked = { visitId: 'p1', visitor: 'bob', page: '/hats' }
    const made = await post('/v1/models/buys/predict', asked)
    expect(made.status).toBe(200)
    expect(made.body).toMatchObject({
      requestId: 'p1',
      model: 'buys',
      variant: 'champion',
      predictedAt: now(),
    })
    expect(made.body.features.pageLength).toBe(5)
    expect(made.body.trigger.topic).toBe('visit')
    const found = await call('/v1/models/buys/predictions/p1')
    expect(found.body).toEqual(made.body)
  })

  test('gives a request without an id one of its own', async () => {
    const { body } = await post('/v1/models/buys/predict', { visitor: 'bob', page: null })
    expect(body.requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(body.features.pageLength).toBeNull()
  })

  test('gives the features of an entity, now and as of a time', async () => {
    await post('/v1/events/outcome', {
      visitId: 'f1',
      visitor: 'eve',
      page: null,
      spent: 12,
      at: 1_700_000_000_000,
    })
    await engine.caughtUp()
    const at = await call('/v1/features/visitor/eve?at=2023-11-14T22:13:21Z')
    expect(at.body).toMatchObject({
      view: 'visitor',
      key: ['eve'],
      at: 1_700_000_001_000,
      features: { spent: 12, lastSpent: 12 },
    })
    expect((await call('/v1/features/visitor/eve')).body.features).toMatchObject({
      spent: 12,
      lastSpent: null,
    })
  })

  test('lists events, views, models, topics and lag', async () => {
    await engine.caughtUp()
    expect((await call('/v1/events')).body.map(({ name }: { name: string }) => name)).toContain('visit')
    expect((await call('/v1/features')).body[0]).toMatchObject({
      name: 'visitor',
      owner: 'shop',
      entity: ['visitor'],
    })
    expect((await call('/v1/models')).body[0]).toMatchObject({
      name: 'buys',
      trigger: 'visit',
      label: 'outcome',
    })
    expect((await call('/v1/topics')).body.map(({ name }: { name: string }) => name)).toContain(
      'shop-predictions',
    )
    const lag = (await call('/v1/lag')).body
    expect(lag.length).toBe(12)
    expect(
      lag.every(
        ({ lagRecords, lagSeconds }: { lagRecords: number; lagSeconds: number }) =>
          lagRecords + lagSeconds === 0,
      ),
    ).toBe(true)
  })

  test('is healthy and ready, and shows its figures to Prometheus', async () => {
    expect((await call('/health')).body).toEqual({ status: 'up' })
    expect((await call('/ready')).body).toEqual({ status: 'ready' })
    const { body, type } = await call('/metrics')
    expect(type).toContain('text/plain')
    expect(body).toMatch(/^headwater_predictions_total\{model="buys"\} \d+$/m)
    expect(body).toMatch(/^headwater_lag_records\{topic="visit",partition="0"\} 0$/m)
    expect(body).toMatch(
      /^headwater_http_request_seconds_count\{route="\/health",method="GET",status="200"\} \d+$/m,
    )
    for (const line of (body as string).split('\n')) {
      expect(line).toMatch(/^(#.*|[a-z_0-9]+(\{.*\})? [-+0-9.eInfNa]+|)$/)
    }
  })

  test('describes every route in an OpenAPI document whose references resolve', async () => {
    const { body } = await call('/openapi.json')
    expect(body.openapi).toBe('3.1.0')
    const text = JSON.stringify(body)
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(Object.keys(body.components.schemas)).toContain(decodeURIComponent(name))
    }
    expect(body.components.schemas.Visit.properties.visitId).toEqual({ type: 'string' })
    const { routes } = (await call('/')).body
    expect(routes).toContain('POST /v1/models/buys/predict')
    for (const route of routes as string[]) {
      const [method = '', path = ''] = route.split(' ')
      const made = path
        .replace('{view}', 'visitor')
        .replace('{model}', 'buys')
        .replace(/\{\w+\}/g, '0')
      const { status, body: answer } = await call(made, { method })
      expect([status, answer?.code]).not.toEqual([404, 'route-unknown'])
      expect(status).not.toBe(405)
    }
  })
})

describe('what the door refuses', () => {
  const cases: readonly [
    name: string,
    ask: () => Promise<Answer>,
    status: number,
    code: string,
    detail: string,
  ][] = [
    ['an unknown path', () => call('/v2/events'), 404, 'route-unknown', 'GET / lists'],
    [
      'a method that a path does not take',
      () => call('/v1/lag', { method: 'DELETE' }),
      405,
      'method-not-allowed',
      'takes GET',
    ],
    ['an unknown event', () => post('/v1/events/visits', {}), 404, 'event-unknown', 'known events: visit'],
    ['an unknown model', () => post('/v1/models/x/predict', {}), 404, 'model-unknown', 'known models: buys'],
    [
      'an unknown view',
      () => call('/v1/features/x/y'),
      404,
      'feature-view-unknown',
      'known views: visitor, page',
    ],
    [
      'an unknown prediction',
      () => call('/v1/models/buys/predictions/none'),
      404,
      'prediction-unknown',
      '"none"',
    ],
    [
      'a prediction of an unknown model',
      () => call('/v1/models/x/predictions/none'),
      404,
      'model-unknown',
      'buys',
    ],
    [
      'a key of too many parts',
      () => call('/v1/features/visitor/a/b'),
      400,
      'entity-key-mismatch',
      'takes a key of 1',
    ],
    ['a time that is none', () => call('/v1/features/visitor/a?at=soon'), 400, 'bad-request', 'ISO-8601'],
    ['no body', () => call('/v1/events/visit', { method: 'POST' }), 400, 'body-missing', 'no body'],
    ['a body that is not JSON', () => post('/v1/events/visit', '{"a":'), 400, 'json-invalid', 'not JSON'],
    ['JSON that is no object', () => post('/v1/events/visit', '[1]'), 400, 'contract-violation', 'visit'],
    [
      'JSON that nests deep',
      () => post('/v1/events/visit', '['.repeat(2_000)),
      400,
      'json-too-deep',
      '64 levels',
    ],
    [
      'a key that reaches the prototype',
      () => post('/v1/events/visit', '{"__proto__":{"admin":true}}'),
      400,
      'contract-violation',
      '__proto__',
    ],
    [
      'a field that the contract lacks',
      () => post('/v1/events/visit', { ...visitOf('x'), admin: true }),
      400,
      'contract-violation',
      'admin',
    ],
    [
      'a number where text belongs',
      () => post('/v1/models/buys/predict', { visitor: 1, page: null }),
      400,
      'contract-violation',
      'visitor',
    ],
    [
      'a time far in the future',
      () => post('/v1/events/visit', visitOf('x', { at: now() + 1e10 })),
      400,
      'event-time-refused',
      'another unit',
    ],
    [
      'a time before 1970',
      () => post('/v1/events/visit', visitOf('x', { at: -1 })),
      400,
      'event-time-refused',
      'from 0',
    ],
    [
      'a body beyond the limit',
      () => post('/v1/events/visit', visitOf('x', { page: 'p'.repeat(5_000) })),
      413,
      'body-too-large',
      '4096 bytes',
    ],
    [
      'too many lines',
      () => post('/v1/events/visit', `${JSON.stringify(visitOf('x'))}\n`.repeat(6), 'application/x-ndjson'),
      413,
      'batch-too-large',
      'more than 5 events',
    ],
    [
      'another media type',
      () => post('/v1/events/visit', 'a=1', 'application/x-www-form-urlencoded'),
      415,
      'media-type-not-supported',
      'application/json',
    ],
    [
      'a dead letter that is none',
      () => call('/v1/dead-letters/7/reinject', { method: 'POST' }),
      404,
      'dead-letter-unknown',
      'there are none',
    ],
  ]
  test.each(cases)('%s', async (_name, ask, status, code, detail) => {
    const answer = await ask()
    expect(answer.type).toContain('application/problem+json')
    expect(answer.body).toMatchObject({ status, code, type: `urn:headwater:problem:${code}` })
    expect(answer.status).toBe(status)
    expect(answer.body.detail).toContain(detail)
  })

  const raw = async (text: string): Promise<string> => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString()
    })
    socket.write(text)
    await once(socket, 'close')
    return answer
  }

  test('a client that hangs in the middle of its request', async () => {
    const answer = await raw(
      'POST /v1/events/visit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a"',
    )
    expect(answer).toContain('408')
    expect(answer).toContain('request-timeout')
  })

  test('bytes that are not HTTP', async () => {
    const answer = await raw('\x16\x03\x01\x02hello\r\n\r\n')
    expect(answer).toContain('400')
    expect(answer).toContain('http-malformed')
  })

  test('a foreign name for this address, as a page of another site would send', async () => {
    const answer = await raw('GET /v1/lag HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n')
    expect(answer).toContain('403')
    expect(answer).toContain('host-refused')
  })
})

describe('who may call', () => {
  test('another address than loopback needs a token or the word that it is open', async () => {
    await expect(startServer(engine, { host: '0.0.0.0', port: 0 })).rejects.toThrow(/token/)
    const open = await startServer(engine, { host: '0.0.0.0', port: 0, open: true })
    await open.close()
  })

  test('with a token, only those who send it, and health for all', async () => {
    const guarded = await startServer(engine, { port: 0, token: 'secret' })
    try {
      expect((await call('/v1/lag', {}, guarded.url)).body).toMatchObject({
        status: 401,
        code: 'token-needed',
      })
      const wrong = { headers: { authorization: 'Bearer secre' } }
      expect((await call('/v1/lag', wrong, guarded.url)).status).toBe(401)
      const right = { headers: { authorization: 'Bearer secret' } }
      expect((await call('/v1/lag', right, guarded.url)).status).toBe(200)
      expect((await call('/health', {}, guarded.url)).status).toBe(200)
    } finally {
      await guarded.close()
    }
  })

  test('no more at once than the limit; the others are asked to come again', async () => {
    const slow = await Engine.open({ topology: shop, now })
    // Not running, so a prediction waits until the time for an answer is over.
    const narrow = await startServer(slow, { port: 0, maxConcurrentRequests: 2, answerTimeoutMs: 1_500 })
    try {
      const ask = (id: string) =>
        call(
          '/v1/models/buys/predict',
          {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ visitId: id, visitor: 'x', page: null }),
          },
          narrow.url,
        )
      const answers = await Promise.all(['1', '2', '3', '4'].map(ask))
      const codes = answers.map(({ body }) => body.code).sort()
      expect(codes).toEqual(['answer-timeout', 'answer-timeout', 'too-many-requests', 'too-many-requests'])
      const busy = answers.find(({ status }) => status === 429)
      expect(busy?.headers.get('retry-after')).toBe('1')
    } finally {
      await narrow.close()
      await slow.close()
    }
  })

  test('a port in use is named, with what to do', async () => {
    const port = Number(new URL(server.url).port)
    await expect(startServer(engine, { port })).rejects.toMatchObject({
      code: 'port-in-use',
      context: { port },
    })
  })

  test.each([
    [{ prot: 1 }, /"prot" is not known; there are host, port/],
    [{ port: '80' }, /"port" must be a number, got "80"/],
    [{ port: -1 }, /"port" must be a whole number from 0/],
    [{ maxBodyBytes: 0.5 }, /"maxBodyBytes" must be a whole number from 1/],
    [{ token: '' }, /"token"/],
  ])('options that do not fit are named: %j', async (options, message) => {
    await expect(startServer(engine, options as object)).rejects.toThrow(message)
  })
})

test('readiness is refused, with the reason, while there is a backlog', async () => {
  const behind = await Engine.open({ topology: shop, now })
  const door = await startServer(behind, { port: 0 })
  try {
    await behind.append('visit', [visitOf('b1')])
    expect((await call('/ready', {}, door.url)).body).toMatchObject({ status: 503, code: 'not-caught-up' })
    expect(
      (await call('/v1/lag', {}, door.url)).body.some(
        ({ lagRecords }: { lagRecords: number }) => lagRecords === 1,
      ),
    ).toBe(true)
    behind.run()
    await behind.caughtUp()
    expect((await call('/ready', {}, door.url)).status).toBe(200)
  } finally {
    await door.close()
    await behind.close()
  }
})
