import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HttpServer, startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { call, rawAnswer } from '../../support/http-calls.ts'
import { shop } from '../../support/shop-topology.ts'

let engine: Engine
beforeAll(async () => {
  engine = await Engine.open({ topology: shop })
})
afterAll(() => engine.close())

const ask = (host: string, more = '') =>
  `GET /v1/lag HTTP/1.1\r\nhost: ${host}\r\n${more}connection: close\r\n\r\n`

async function served<Result>(
  options: object,
  use: (server: HttpServer) => Promise<Result>,
): Promise<Result> {
  const server = await startServer(engine, { port: 0, ...options })
  try {
    return await use(server)
  } finally {
    await server.close()
  }
}

describe('on loopback without a token', () => {
  test.each(['localhost', 'LocalHost:7070', '127.0.0.1', '127.8.9.1:80', '[::1]:7070'])(
    'a request for %s is served',
    async (host) => {
      const answer = await served({}, ({ url }) => rawAnswer(url, ask(host)))
      expect(answer).toContain('HTTP/1.1 200 ')
    },
  )

  // A page of another site whose name was made to point at this address.
  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:7070', '0.0.0.0', '[::2]'])(
    'a request for %s is refused',
    async (host) => {
      const answer = await served({}, ({ url }) => rawAnswer(url, ask(host)))
      expect(answer).toContain('HTTP/1.1 403 ')
      expect(answer).toContain('"code":"host-refused"')
    },
  )

  test.each([
    ['http://localhost:3000', 200],
    ['https://evil.example', 403],
    ['null', 403],
  ])('a request from a page of %s answers %i', async (origin, status) => {
    const answer = await served({}, ({ url }) => rawAnswer(url, ask('localhost', `origin: ${origin}\r\n`)))
    expect(answer).toContain(`HTTP/1.1 ${status} `)
    expect(answer.includes('"code":"origin-refused"')).toBe(status === 403)
  })
})

describe('with a token', () => {
  const secret = 'a secret ü'
  test.each([
    [undefined, 401],
    ['Bearer a secre', 401],
    ['Bearer a secret üü', 401],
    ['Bearer ', 401],
    [`Basic ${secret}`, 401],
    [`Bearer ${secret}`, 200],
    [`bearer  ${secret}`, 200],
  ])('a request with %s answers %i', async (authorization, status) => {
    const line = authorization === undefined ? '' : `authorization: ${authorization}\r\n`
    const answer = await served({ token: Buffer.from(secret).toString('latin1') }, ({ url }) =>
      rawAnswer(url, ask('any.example', line)),
    )
    expect(answer).toContain(`HTTP/1.1 ${status} `)
    if (status === 401) {
      expect(answer).toContain('www-authenticate: Bearer')
      expect(answer).toContain('"code":"token-needed"')
    }
    expect(answer).not.toContain('secret')
  })

  test('health and readiness need none, metrics do', async () => {
    await served({ token: 'x' }, async ({ url }) => {
      const statuses = ['/health', '/ready', '/metrics', '/openapi.json', '/'].map(
        async (path) => (await call(url, path)).status,
      )
      expect(await Promise.all(statuses)).toEqual([200, 200, 401, 401, 401])
    })
  })
})

describe('on an address that other machines reach', () => {
  test('a door without a token does not open', async () => {
    for (const host of ['0.0.0.0', '::', 'example.org']) {
      await expect(startServer(engine, { host, port: 0 })).rejects.toMatchObject({
        code: 'door-unguarded',
        context: { host },
        message: expect.stringContaining('--token'),
      })
    }
  })

  test('it opens when it is said to be open, for every name', async () => {
    const answer = await served({ host: '0.0.0.0', open: true }, ({ url }) =>
      rawAnswer(url, ask('any.example')),
    )
    expect(answer).toContain('HTTP/1.1 200 ')
  })

  test('it opens with a token', async () => {
    const answer = await served({ host: '0.0.0.0', token: 'x' }, ({ url }) =>
      rawAnswer(url, ask('any.example')),
    )
    expect(answer).toContain('HTTP/1.1 401 ')
  })
})

test('a port in use and an address of another machine are told, with what to do', async () => {
  await served({}, async ({ url }) => {
    const port = Number(new URL(url).port)
    await expect(startServer(engine, { port })).rejects.toMatchObject({
      code: 'port-in-use',
      context: { host: '127.0.0.1', port },
      message: expect.stringContaining('--port'),
    })
  })
  // 192.0.2.0/24 is for documentation, so no machine has it.
  await expect(startServer(engine, { host: '192.0.2.1', port: 0, open: true })).rejects.toMatchObject({
    code: 'address-unusable',
  })
})
