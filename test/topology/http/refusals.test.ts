import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HttpServer, startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { type Answer, call, ndjson, post, rawAnswer, rawConnection } from '../../support/http-calls.ts'
import { shop } from '../../support/shop-topology.ts'

const now = () => 1_800_000_000_000
let engine: Engine
let server: HttpServer

beforeAll(async () => {
  engine = await Engine.open({ topology: shop, now })
  engine.run()
  server = await startServer(engine, {
    port: 0,
    maxBodyBytes: 4_096,
    maxBatchEvents: 5,
  })
})
afterAll(async () => {
  await server.close()
  await engine.close()
})

const visitOf = (more: object = {}) => ({
  visitId: 'x',
  visitor: 'ada',
  page: '/',
  at: 1_700_000_000_000,
  ...more,
})
const get = (path: string, init?: RequestInit) => call(server.url, path, init)
const send = (path: string, body: unknown, headers?: Record<string, string>) =>
  post(server.url, path, body, headers)
const visit = (body: unknown, headers?: Record<string, string>) => send('/v1/events/visit', body, headers)

type Case = readonly [name: string, ask: () => Promise<Answer>, status: number, code: string, detail: string]

const unknown: readonly Case[] = [
  ['a path', () => get('/v2/events'), 404, 'route-unknown', 'GET / lists'],
  ['an event', () => send('/v1/events/visits', {}), 404, 'event-unknown', 'known events: visit, outcome'],
  ['a model', () => send('/v1/models/x/predict', {}), 404, 'model-unknown', 'known models: buys'],
  ['a view', () => get('/v1/features/x/y'), 404, 'feature-view-unknown', 'known views: visitor, page'],
  ['a prediction', () => get('/v1/models/buys/predictions/none'), 404, 'prediction-unknown', '"none"'],
  ['the model of a prediction', () => get('/v1/models/x/predictions/none'), 404, 'model-unknown', 'buys'],
  [
    'a dead letter',
    () => get('/v1/dead-letters/7/reinject', { method: 'POST' }),
    404,
    'dead-letter-unknown',
    'none',
  ],
  ['a parameter', () => get('/v1/features/visitor/a?att=1'), 400, 'parameter-unknown', '"att"'],
]

const paths: readonly Case[] = [
  [
    'a method that it does not take',
    () => get('/v1/lag', { method: 'DELETE' }),
    405,
    'method-not-allowed',
    'takes GET',
  ],
  [
    'the wrong method among routes with names',
    () => get('/v1/models/buys/predict'),
    405,
    'method-not-allowed',
    'takes POST',
  ],
  [
    'a key of too many parts',
    () => get('/v1/features/visitor/a/b'),
    400,
    'entity-key-mismatch',
    'takes a key of 1',
  ],
  ['a time that is none', () => get('/v1/features/visitor/a?at=soon'), 400, 'time-invalid', 'ISO-8601'],
  [
    'a time without a zone',
    () => get('/v1/features/visitor/a?at=2024-01-01T00:00'),
    400,
    'time-invalid',
    'time zone',
  ],
  ['two times', () => get('/v1/features/visitor/a?at=1&at=2'), 400, 'time-invalid', 'expected'],
  [
    'a number that is none',
    () => get('/v1/dead-letters/x/reinject', { method: 'POST' }),
    400,
    'number-invalid',
    '"x"',
  ],
  ['bytes that are no text', () => get('/v1/features/visitor/%ff'), 400, 'url-malformed', '%25'],
  ['half an escape', () => get('/v1/models/%zz/predictions/1'), 400, 'url-malformed', '%25'],
  [
    'a segment without end',
    () => get(`/v1/features/${'v'.repeat(2_000)}/a`),
    414,
    'path-too-long',
    'too long',
  ],
]

const bodies: readonly Case[] = [
  ['none', () => get('/v1/events/visit', { method: 'POST' }), 400, 'body-missing', 'no body'],
  [
    'none for a model',
    () => get('/v1/models/buys/predict', { method: 'POST' }),
    400,
    'body-missing',
    'no body',
  ],
  ['no line', () => visit('\n \n', ndjson), 400, 'body-missing', 'no line'],
  ['half of JSON', () => visit('{"a":'), 400, 'json-invalid', 'not JSON'],
  ['JSON that is no object', () => visit('[1]'), 400, 'contract-violation', 'visit'],
  ['JSON that nests deep', () => visit('['.repeat(2_000)), 400, 'json-too-deep', '64 levels'],
  [
    'a line that nests deep',
    () => visit(`{}\n${'{"a":'.repeat(80)}`, ndjson),
    400,
    'json-too-deep',
    'line 2 nests',
  ],
  [
    'a field that the contract lacks',
    () => visit(visitOf({ admin: true })),
    400,
    'contract-violation',
    'admin',
  ],
  [
    'a field that is missing',
    () => visit({ visitId: 'x' }),
    400,
    'contract-violation',
    '"visitor" is missing',
  ],
  [
    'a number where text belongs',
    () => send('/v1/models/buys/predict', { visitor: 1 }),
    400,
    'contract-violation',
    'visitor',
  ],
  ['a time far ahead', () => visit(visitOf({ at: now() + 1e10 })), 400, 'event-time-refused', 'another unit'],
  ['a time before 1970', () => visit(visitOf({ at: -1 })), 400, 'event-time-refused', 'from 0'],
  ['bytes that are not UTF-8', () => visit(Buffer.from([0x22, 0xff, 0x22])), 400, 'text-not-utf8', 'UTF-8'],
  [
    'half of a surrogate pair',
    () => visit('{"visitId":"\\ud800","visitor":"a","page":null,"at":1}'),
    400,
    'contract-violation',
    'visitId',
  ],
  [
    'a body beyond the limit',
    () => visit(visitOf({ page: 'p'.repeat(5_000) })),
    413,
    'body-too-large',
    'the limit is 4096',
  ],
  [
    'too many lines',
    () => visit('{}\n'.repeat(6), ndjson),
    413,
    'batch-too-large',
    'has 6 events, the limit is 5',
  ],
  [
    'a form',
    () => visit('a=1', { 'content-type': 'application/x-www-form-urlencoded' }),
    415,
    'media-type-not-supported',
    'application/x-ndjson',
  ],
  [
    'plain text',
    () => visit('{}', { 'content-type': 'text/plain' }),
    415,
    'media-type-not-supported',
    'text/plain',
  ],
  [
    'lines for a model',
    () => send('/v1/models/buys/predict', '{}', ndjson),
    415,
    'media-type-not-supported',
    'expected application/json',
  ],
  [
    'a zipped body',
    () => visit(gzipSync('{}'), { 'content-encoding': 'gzip' }),
    415,
    'encoding-not-supported',
    'gzip',
  ],
]

async function expectRefusal(...[, ask, status, code, detail]: Case): Promise<void> {
  const before = (await engine.inputs()).map(({ endOffset }) => endOffset)
  const { body, ...answer } = await ask()
  expect(answer.type).toMatch(/^application\/problem\+json/)
  expect(body).toMatchObject({
    status,
    code,
    type: `urn:headwater:problem:${code}`,
    title: expect.any(String),
  })
  expect(answer.status).toBe(status)
  expect(body.detail).toContain(detail)
  expect((await engine.inputs()).map(({ endOffset }) => endOffset)).toEqual(before)
}

describe('a name that is not known is refused, with those that are:', () => {
  test.each(unknown)('%s', expectRefusal)
})
describe('a path is refused with', () => {
  test.each(paths)('%s', expectRefusal)
})
describe('a body is refused and nothing appended:', () => {
  test.each(bodies)('%s', expectRefusal)
})

test('a refused method is told which there are', async () => {
  const { headers } = await get('/v1/lag', { method: 'DELETE' })
  expect(headers.get('allow')).toBe('GET, HEAD')
})

describe('a key that reaches a prototype is refused:', () => {
  test.each([
    ['{"__proto__":{"admin":true}}', '__proto__'],
    ['{"a":[{"\\u005f_proto__":1}]}', 'a.0.__proto__'],
    ['{"constructor":{"prototype":{"admin":true}}}', 'constructor.prototype'],
    ['{"a":{"\\u0063onstructor":{"prototype":1}}}', 'a.constructor.prototype'],
  ])('%s', async (text, field) => {
    for (const path of ['/v1/events/visit', '/v1/models/buys/predict']) {
      expect((await send(path, text)).body).toMatchObject({ status: 400, code: 'json-key-refused', field })
    }
    const { body } = await visit(`${JSON.stringify(visitOf())}\n${text}`, ndjson)
    expect(body).toMatchObject({ code: 'json-key-refused', field, line: 2 })
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
  })

  test('but not a value that spells one', async () => {
    const { status } = await visit(visitOf({ visitor: '__proto__', page: 'constructor' }))
    expect(status).toBe(200)
  })
})

describe('what is not even a request is answered', () => {
  // Only those who hang call it, since a busy machine can take longer over a whole request.
  let hasty: HttpServer
  beforeAll(async () => {
    hasty = await startServer(engine, { port: 0, receiveTimeoutMs: 200 })
  })
  afterAll(() => hasty.close())

  const post100 =
    'POST /v1/events/visit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n'
  test.each([
    ['a client that hangs in the middle of its body', `${post100}{"a"`, 408, 'request-timeout'],
    [
      'a client that hangs in the middle of its head',
      'GET /v1/lag HTTP/1.1\r\nhost: loc',
      408,
      'request-timeout',
    ],
    ['bytes that are not HTTP', '\x16\x03\x01\x02hello\r\n\r\n', 400, 'http-malformed'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nhost: localhost\r\na: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
  ])('%s', async (_name, text, status, code) => {
    const answer = await rawAnswer(hasty.url, text)
    expect(answer).toContain(`HTTP/1.1 ${status} `)
    expect(answer).toContain('content-type: application/problem+json')
    const problem = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))
    expect(problem).toMatchObject({ status, code })
  })

  test('a client that says its body is larger than the limit, before it sends any', async () => {
    const text = post100.replace('content-length: 100', 'content-length: 1000000')
    const answer = await rawAnswer(server.url, text)
    expect(answer).toContain('HTTP/1.1 413 ')
    expect(answer).toContain('the body has 1000000 bytes, the limit is 4096')
  })

  test('a client that sends more than the limit in chunks', async () => {
    const head = post100.replace('content-length: 100', 'transfer-encoding: chunked')
    const answer = await rawAnswer(server.url, `${head}1001\r\n${'a'.repeat(0x1001)}\r\n`)
    expect(answer).toContain('HTTP/1.1 413 ')
    expect(answer).toContain('body-too-large')
  })

  test('a client that breaks off in the middle of its body: the next one is served', async () => {
    const socket = await rawConnection(server.url, `${post100}{"a"`)
    socket.destroy()
    await once(socket, 'close')
    expect((await get('/health')).status).toBe(200)
  })
})

test('a failed engine refuses with the reason, and is not ready any more', async () => {
  const failing = await Engine.open({
    topology: shop,
    now,
    onStep() {
      throw new Error('the disk is gone')
    },
  })
  const door = await startServer(failing, { port: 0 })
  try {
    failing.run()
    const asked = await post(door.url, '/v1/models/buys/predict', { visitor: 'a', page: null })
    expect(asked.body).toMatchObject({ status: 503, code: 'engine-failed' })
    for (const answer of [
      await call(door.url, '/ready'),
      await post(door.url, '/v1/models/buys/predict', { visitor: 'a', page: null }),
      await post(door.url, '/v1/events/visit', visitOf()),
    ]) {
      expect(answer.body).toMatchObject({ status: 503, code: 'engine-failed' })
      expect(answer.body.detail).toContain('the disk is gone')
    }
    expect((await call(door.url, '/health')).status).toBe(200)
    expect((await call(door.url, '/metrics')).body).toMatch(/^headwater_up 0$/m)
  } finally {
    await door.close()
    await failing.abort()
  }
})
