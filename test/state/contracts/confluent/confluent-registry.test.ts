import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ByteWriter } from '../../../../state/contracts/byte-writer.ts'
import { bindContract } from '../../../../state/contracts/codec.ts'
import {
  type ConfluentOptions,
  confluentRegistry,
} from '../../../../state/contracts/confluent/confluent-registry.ts'
import { event } from '../../../../state/contracts/event.ts'
import { schemaRegistrySuite } from '../../../conformance/schema-registry.suite.ts'
import { FakeRegistryServer } from '../../../support/fake-registry-server.ts'

const running: FakeRegistryServer[] = []

async function start(): Promise<FakeRegistryServer> {
  const server = await FakeRegistryServer.start()
  running.push(server)
  return server
}

const open = (server: FakeRegistryServer, options: Partial<ConfluentOptions> = {}) =>
  confluentRegistry({ urls: [server.url], retries: 0, retryWaitMs: 1, ...options })

// A proxy of the machine must not stand between the test and its server.
beforeEach(() => {
  vi.stubEnv('NO_PROXY', '127.0.0.1')
  vi.stubEnv('no_proxy', '127.0.0.1')
})

afterEach(async () => {
  vi.unstubAllEnvs()
  for (const server of running.splice(0)) await server.stop()
})

schemaRegistrySuite('confluent', async () => open(await start()))

schemaRegistrySuite('confluent, a server that answers a registration with the id alone', async () => {
  const server = await start()
  server.answersVersion = false
  return open(server)
})

describe('the confluent registry', () => {
  test('an outage does not stop schemas that were met before', async () => {
    const server = await start()
    const registry = await open(server)
    const { id } = await registry.register('a-value', 'string')
    await server.stop()
    expect(await registry.schemaById(id)).toBe('string')
    expect(await registry.register('a-value', 'string')).toEqual({ id, version: 1 })
    await expect(registry.schemaById(id + 1)).rejects.toMatchObject({
      code: 'registry-unavailable',
      retriable: true,
    })
  })

  test('a schema is fetched once, however often it is asked for', async () => {
    const server = await start()
    const { id } = await (await open(server)).register('a-value', 'string')
    const registry = await open(server)
    server.requests.length = 0
    for (let count = 0; count < 3; count++) await registry.schemaById(id)
    expect(server.requests).toEqual([`GET /schemas/ids/${id}`])
  })

  test('a failure that may pass is tried again', async () => {
    const server = await start()
    server.failWith = { status: 503, body: { error_code: 50301, message: 'no leader' } }
    const registry = await open(server, { retries: 2 })
    await expect(registry.subjects()).rejects.toMatchObject({
      code: 'registry-unavailable',
      context: { operation: 'listing subjects', detail: expect.stringContaining('no leader') },
    })
    expect(server.requests).toHaveLength(3)
  })

  test.each([
    [401, { error_code: 40101, message: 'Unauthorized' }],
    [403, { error_code: 40301, message: 'Forbidden' }],
    [404, '<html>not a registry</html>'],
  ])('status %i is refused and not retried', async (status, body) => {
    const server = await start()
    server.failWith = { status, body }
    const registry = await open(server, { retries: 2 })
    await expect(registry.schemaById(1)).rejects.toMatchObject({
      code: 'registry-refused',
      retriable: false,
      context: { status },
    })
    expect(server.requests).toHaveLength(1)
  })

  test('a rejection that our rules do not explain carries what the registry says', async () => {
    const server = await start()
    const registry = await open(server)
    server.failWith = {
      status: 409,
      body: { error_code: 409, message: 'rule of this company' },
      when: /^POST .*\/versions$/,
    }
    await expect(registry.register('a-value', 'int')).rejects.toMatchObject({
      code: 'contract-incompatible',
      context: { subject: 'a-value', detail: expect.stringContaining('rule of this company') },
    })
  })

  test('basic credentials, a token and headers are sent and never shown', async () => {
    const server = await start()
    const basic = await open(server, {
      auth: { username: 'ann', password: 'secret' },
      headers: { 'x-cluster': 'c1' },
    })
    await basic.subjects()
    expect(server.headers[0]).toMatchObject({
      authorization: `Basic ${Buffer.from('ann:secret').toString('base64')}`,
      'x-cluster': 'c1',
    })
    await (await open(server, { auth: { token: 't0ken' } })).subjects()
    expect(server.headers[1]).toMatchObject({ authorization: 'Bearer t0ken' })
    await server.stop()
    const withSecret = await open(server, { urls: [server.url.replace('//', '//ann:secret@')] })
    const error = await withSecret.subjects().catch((thrown: unknown) => thrown)
    expect(String(error)).not.toContain('secret')
    expect(error).toMatchObject({ code: 'registry-unavailable', context: { url: server.url } })
  })

  test('a second address is asked when the first does not answer', async () => {
    const [dead, alive] = [await start(), await start()]
    const url = dead.url
    await dead.stop()
    const registry = await open(alive, { urls: [url, alive.url] })
    expect(await registry.register('a-value', 'int')).toEqual({ id: 1, version: 1 })
  })

  test('a schema that refers to another subject comes back whole', async () => {
    const server = await start()
    const registry = await open(server)
    const place = { type: 'record', name: 'Place', namespace: 'geo', fields: [{ name: 'zone', type: 'int' }] }
    await registry.register('place', place)
    const trip = {
      type: 'record',
      name: 'Trip',
      fields: [
        { name: 'from', type: 'geo.Place' },
        { name: 'to', type: 'geo.Place' },
      ],
    }
    const response = await fetch(`${server.url}/subjects/trip/versions`, {
      method: 'POST',
      body: JSON.stringify({
        schema: JSON.stringify(trip),
        references: [{ name: 'geo.Place', subject: 'place', version: 1 }],
      }),
    })
    const { id } = (await response.json()) as { id: number }
    expect(await registry.schemaById(id)).toEqual({
      type: 'record',
      name: 'Trip',
      fields: [
        {
          name: 'from',
          type: { type: 'record', name: 'geo.Place', fields: [{ name: 'zone', type: 'int' }] },
        },
        { name: 'to', type: 'geo.Place' },
      ],
    })
  })

  test('a schema of another kind is refused, and records under it are undecodable', async () => {
    const server = await start()
    const registry = await open(server)
    const trip = event('trip', { zone: 'int', at: 'timestamp' }, { key: 'zone', time: 'at' })
    const bound = await bindContract(trip, registry)
    server.failWith = { status: 200, body: { schema: 'syntax = "proto3";', schemaType: 'PROTOBUF' } }
    expect(await bound.learn(77)).toBe(false)
    expect(bound.isKnown(Buffer.from('000000004d00', 'hex'), 0, 6)).toBe(true)
    expect(() => bound.readValue(Buffer.from('000000004d00', 'hex'), 0, 6)).toThrow(/PROTOBUF/)
  })

  test('two processes bind the same contract to the same ids', async () => {
    const server = await start()
    const trip = event('trip', { zone: 'int', at: 'timestamp' }, { key: 'zone', time: 'at' })
    const [one, other] = [
      await bindContract(trip, await open(server)),
      await bindContract(trip, await open(server)),
    ]
    const out = new ByteWriter()
    one.writeValue({ zone: 7, at: 1_000 }, out)
    expect(other.readValue(out.take(), 0, out.length)).toEqual({ zone: 7, at: 1_000 })
    expect(other.isKnown(out.take(), 0, out.length)).toBe(true)
  })

  test.each([['ftp://registry'], ['registry:8081'], ['']])('the address "%s" is refused', async (url) => {
    await expect(confluentRegistry({ urls: [url] })).rejects.toThrow(RangeError)
  })
})
