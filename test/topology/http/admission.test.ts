import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type HttpServer, startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { call, post, rawConnection, until } from '../../support/http-calls.ts'
import { shop } from '../../support/shop-topology.ts'

// It does not run, so a prediction waits until the test lets it.
let engine: Engine
let server: HttpServer | undefined
beforeEach(async () => {
  engine = await Engine.open({ topology: shop })
})
afterEach(async () => {
  await server?.close()
  await engine.close()
})

const ask = (visitId: string) =>
  post(server?.url ?? '', '/v1/models/buys/predict', { visitId, visitor: 'x', page: null })
const waiting = async () => (await engine.inputs()).reduce((sum, { lag }) => sum + lag, 0)

describe('requests beyond the limit', () => {
  test('are asked to come again, and those before them are answered', async () => {
    server = await startServer(engine, { port: 0, maxConcurrentRequests: 2 })
    const first = [ask('1'), ask('2')]
    await until(async () => (await waiting()) === 2)
    const refused = await ask('3')
    expect(refused.body).toMatchObject({
      status: 429,
      code: 'too-many-requests',
      expected: 'at most 2 at once',
    })
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await call(server.url, '/health')).status).toBe(200)
    expect((await call(server.url, '/metrics')).status).toBe(200)
    expect((await call(server.url, '/v1/lag')).status).toBe(429)
    engine.run()
    expect((await Promise.all(first)).map(({ body }) => body.requestId)).toEqual(['1', '2'])
    expect((await ask('4')).status).toBe(200)
  })

  test('are not let in because earlier callers hung up', async () => {
    server = await startServer(engine, { port: 0, maxConcurrentRequests: 1, answerTimeoutMs: 1_500 })
    const body = '{"visitId":"gone","visitor":"a","page":null}'
    const head = `POST /v1/models/buys/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    const socket = await rawConnection(server.url, head + body)
    await until(async () => (await waiting()) === 1)
    socket.destroy()
    await once(socket, 'close')
    expect((await ask('next')).status).toBe(429)
    // Once the time for an answer is over there is room again.
    await until(async () => (await call(server?.url ?? '', '/v1/lag')).status === 200)
  })

  test('are let in again after callers broke off in the middle of their bodies', async () => {
    server = await startServer(engine, { port: 0, maxConcurrentRequests: 1, answerTimeoutMs: 60_000 })
    const head =
      'POST /v1/events/visit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{'
    for (let round = 0; round < 3; round++) {
      const socket = await rawConnection(server.url, head)
      await until(async () => (await call(server?.url ?? '', '/v1/lag')).status === 429)
      socket.destroy()
      await until(async () => (await call(server?.url ?? '', '/v1/lag')).status === 200)
    }
  })
})

test('an answer that takes too long is told as such, and comes to nothing later', async () => {
  server = await startServer(engine, { port: 0, answerTimeoutMs: 50 })
  const late = await ask('late')
  expect(late.body).toMatchObject({ status: 503, code: 'answer-timeout' })
  expect(late.body.detail).toContain('within 50 ms; what was appended stays appended')
  expect(late.headers.get('retry-after')).toBe('1')
  engine.run()
  await engine.caughtUp()
  expect((await call(server.url, '/v1/models/buys/predictions/late')).body.requestId).toBe('late')
})

test('a request id that is being answered is refused', async () => {
  server = await startServer(engine, { port: 0 })
  const first = ask('same')
  await until(async () => (await waiting()) === 1)
  expect((await ask('same')).body).toMatchObject({
    status: 409,
    code: 'request-repeated',
    context: { model: 'buys', requestId: 'same' },
  })
  engine.run()
  expect((await first).status).toBe(200)
})
