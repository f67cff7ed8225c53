import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HttpServer, startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { call, ndjson, post, rawConnection, until } from '../../support/http-calls.ts'
import { shop } from '../../support/shop-topology.ts'

const now = () => 1_800_000_000_000
let engine: Engine
let server: HttpServer

beforeAll(async () => {
  engine = await Engine.open({ topology: shop, now })
  engine.run()
  server = await startServer(engine, { port: 0 })
})
afterAll(async () => {
  await server.close()
  await engine.close()
})

const visitOf = (visitId: string, more: object = {}) => ({
  visitId,
  visitor: 'ada',
  page: '/shoes',
  at: 1_700_000_000_000,
  ...more,
})
const lines = (...values: readonly unknown[]) => values.map((value) => JSON.stringify(value)).join('\n')
const endOffsets = async () => (await engine.inputs()).map(({ endOffset }) => endOffset)
const get = (path: string) => call(server.url, path)

describe('events', () => {
  test('are appended one by one, with the place where each lies', async () => {
    const event = visitOf('h1', { at: '2023-11-14T22:13:20Z' })
    const { status, body } = await post(server.url, '/v1/events/visit', event)
    expect(status).toBe(200)
    const [{ partition, offset }] = body.positions
    expect(body).toEqual({ appended: 1, positions: [{ topic: 'visit', partition, offset }] })
    const at = { topic: 'visit', partition, offset: BigInt(offset), maxBytes: 1, maxRecords: 1 }
    const batch = await engine.log.read(at)
    const bytes = batch.bytes.subarray(batch.valueStart[0], batch.valueEnd[0])
    expect(engine.assembly.events.get('visit')?.readValue(bytes, 0, bytes.length)).toEqual(visitOf('h1'))
  })

  test('are appended as lines, in their order', async () => {
    const text = lines(visitOf('l1'), visitOf('l2'), visitOf('l3'))
    const { body } = await post(server.url, '/v1/events/visit', `${text}\r\n\n`, {
      'content-type': 'application/x-ndjson; charset=utf-8',
    })
    const [first] = body.positions
    expect(body).toEqual({
      appended: 3,
      positions: [first, { ...first, offset: first.offset + 1 }, { ...first, offset: first.offset + 2 }],
    })
  })

  test.each([
    [
      'a field that does not fit',
      lines(visitOf('n1'), visitOf('n2'), { ...visitOf('n3'), visitor: 7 }).replaceAll('\n', '\n\n'),
      {
        code: 'contract-violation',
        line: 5,
        field: 'visitor',
        found: '7',
        expected: 'a string without lone surrogates',
      },
      'line 5: visit: field "visitor" is 7, expected a string',
    ],
    [
      'a time that does not fit',
      lines(visitOf('n1'), visitOf('n2', { at: -5 })),
      { code: 'event-time-refused', line: 2, field: 'at' },
      'line 2: visit: event time "at" is -5',
    ],
    [
      'what is not JSON',
      `${lines(visitOf('n1'))}\n{"a":`,
      { code: 'json-invalid', line: 2 },
      'line 2 is not JSON',
    ],
    [
      'a single line that does not fit',
      `\n${lines({ visitId: 1 })}`,
      { code: 'contract-violation', line: 2, field: 'visitId' },
      'line 2: visit: field "visitId"',
    ],
  ])('of a request with %s in one line are not appended at all', async (_name, text, problem, detail) => {
    const before = await endOffsets()
    const { status, body } = await post(server.url, '/v1/events/visit', text, ndjson)
    expect(status).toBe(400)
    expect(body).toMatchObject(problem)
    expect(body.detail).toContain(detail)
    expect(await endOffsets()).toEqual(before)
  })
})

describe('models', () => {
  test('answer, and give the answer again by its request id with what is behind it', async () => {
    const asked = { visitId: 'p1', visitor: 'bob', page: '/hats' }
    const made = await post(server.url, '/v1/models/buys/predict', asked)
    expect(made.status).toBe(200)
    expect(made.body).toEqual({
      requestId: 'p1',
      model: 'buys',
      modelVersion: 0,
      variant: 'champion',
      role: 'champion',
      propensity: 1,
      output: expect.any(Number),
      features: expect.objectContaining({ pageLength: 5 }),
      position: {
        task: expect.any(String),
        offsets: expect.objectContaining({ 'visit[0]': expect.any(Number) }),
      },
      trigger: { topic: 'visit', partition: expect.any(Number), offset: expect.any(Number) },
      predictedAt: now(),
    })
    const found = await get('/v1/models/buys/predictions/p1')
    expect(found.body).toEqual(made.body)
  })

  test('are given a request id for a request without one', async () => {
    const { body } = await post(server.url, '/v1/models/buys/predict', { visitor: 'bob', page: null })
    expect(body.requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(body.features.pageLength).toBeNull()
  })

  test('answer each of many callers at once with its own prediction', async () => {
    const ids = Array.from({ length: 60 }, (_, number) => `many-${number}`)
    const answers = await Promise.all(
      ids.map((visitId) =>
        post(server.url, '/v1/models/buys/predict', { visitId, visitor: `v-${visitId}`, page: '/' }),
      ),
    )
    expect(answers.map(({ body }) => body.requestId)).toEqual(ids)
  })
})

test('features of an entity are those of now, or of the time asked for', async () => {
  const spent = { visitId: 'f1', visitor: 'eve/é 1', page: null, spent: 12, at: 1_700_000_000_000 }
  await post(server.url, '/v1/events/outcome', spent)
  await engine.caughtUp()
  const path = `/v1/features/visitor/${encodeURIComponent('eve/é 1')}`
  const at = {
    view: 'visitor',
    key: ['eve/é 1'],
    at: 1_700_000_001_000,
    features: { spent: 12, lastSpent: 12 },
  }
  expect((await get(`${path}?at=2023-11-14T22:13:21Z`)).body).toMatchObject(at)
  expect((await get(`${path}?at=1700000001000`)).body).toMatchObject(at)
  expect((await get(path)).body).toMatchObject({ at: now(), features: { spent: 12, lastSpent: null } })
})

test('events, views, models, topics and lag are listed', async () => {
  await engine.caughtUp()
  expect((await get('/v1/events')).body[0]).toEqual({
    name: 'visit',
    topic: 'visit',
    fields: ['visitId', 'visitor', 'page', 'at'],
    key: ['visitor'],
    time: 'at',
    doc: '',
  })
  expect((await get('/v1/features')).body[0]).toMatchObject({
    name: 'visitor',
    owner: 'shop',
    description: 'What a visitor did',
    entity: ['visitor'],
    features: ['visits1h', 'visitsExact', 'spent', 'meanSpent', 'lastSpent'],
    events: ['visit', 'outcome'],
  })
  expect((await get('/v1/models')).body[0]).toMatchObject({
    name: 'buys',
    trigger: 'visit',
    label: 'outcome',
  })
  const topics = (await get('/v1/topics')).body as { name: string; offsets: { end: number }[] }[]
  const visits = topics.find(({ name }) => name === 'visit')
  expect(visits?.offsets.length).toBe(3)
  expect(visits?.offsets.reduce((sum, { end }) => sum + end, 0)).toBeGreaterThan(60)
  const lag = (await get('/v1/lag')).body as Record<string, number>[]
  expect(lag.length).toBe(12)
  for (const { lagRecords, lagSeconds, position, endOffset } of lag) {
    expect([lagRecords, lagSeconds, position]).toEqual([0, 0, endOffset])
  }
})

test('the index names the application and every route', async () => {
  const { body } = await get('/')
  expect(body).toMatchObject({ name: 'shop', models: ['buys'], views: ['visitor', 'page'] })
  expect(body.routes).toContain('POST /v1/models/:model/predict')
  expect(body.routes).toContain('GET /metrics')
})

test('an engine is ready once it has processed what was there', async () => {
  const behind = await Engine.open({ topology: shop, now })
  const door = await startServer(behind, { port: 0 })
  try {
    await behind.append('visit', [visitOf('b1'), visitOf('b2')])
    const refused = await call(door.url, '/ready')
    expect(refused.body).toMatchObject({ status: 503, code: 'not-caught-up', found: 2 })
    expect(refused.headers.get('retry-after')).toBe('1')
    const lag = (await call(door.url, '/v1/lag')).body as { lagRecords: number }[]
    expect(lag.reduce((sum, { lagRecords }) => sum + lagRecords, 0)).toBe(2)
    expect((await call(door.url, '/health')).body).toEqual({ status: 'up' })
    behind.run()
    await behind.caughtUp()
    expect((await call(door.url, '/ready')).body).toEqual({ status: 'ready' })
  } finally {
    await door.close()
    await behind.close()
  }
})

describe('a door that closes', () => {
  const waiting = { visitId: 'w1', visitor: 'ada', page: '/' }

  test('finishes what it has in hand and takes nothing more', async () => {
    const late = await Engine.open({ topology: shop, now })
    // Longer than this test may take: it closes because nothing is left to wait for.
    const door = await startServer(late, { port: 0, closeTimeoutMs: 600_000 })
    const answer = post(door.url, '/v1/models/buys/predict', waiting)
    await until(async () => (await late.inputs()).some(({ lag }) => lag > 0))
    const idle = await rawConnection(door.url, '')
    const closed = door.close()
    expect(door.close()).toBe(closed)
    await expect(call(door.url, '/health')).rejects.toThrow('fetch failed')
    // Some looks later the request in hand is still there.
    await new Promise((resolve) => setTimeout(resolve, 100))
    late.run()
    expect((await answer).status).toBe(200)
    await closed
    if (!idle.closed) await once(idle, 'close')
    await late.close()
  })

  test('cuts off what is not answered in time', async () => {
    const stuck = await Engine.open({ topology: shop, now })
    const door = await startServer(stuck, { port: 0, closeTimeoutMs: 50 })
    const answer = post(door.url, '/v1/models/buys/predict', waiting)
    const failed = expect(answer).rejects.toThrow('fetch failed')
    await until(async () => (await stuck.inputs()).some(({ lag }) => lag > 0))
    await door.close()
    await failed
    await stuck.close()
  })

  test('leaves its port free', async () => {
    const first = await startServer(engine, { port: 0 })
    const port = Number(new URL(first.url).port)
    await call(first.url, '/health')
    await first.close()
    const second = await startServer(engine, { port })
    expect((await call(second.url, '/health')).status).toBe(200)
    await second.close()
  })
})
