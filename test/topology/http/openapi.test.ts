import { afterAll, beforeAll, expect, test } from 'vitest'
import movies from '../../../topology/examples/movies/topology.ts'
import { openApiOf } from '../../../topology/http/openapi.ts'
import { type HttpServer, startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { call, post } from '../../support/http-calls.ts'
import { misfits, resolved } from '../../support/json-schema-check.ts'
import { shop } from '../../support/shop-topology.ts'

type Json = Readonly<Record<string, unknown>>
interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Json }>> }
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content: Readonly<Record<string, { schema: Json }>> }
    >
  >
}
interface OpenApi extends Json {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

let engine: Engine
let server: HttpServer
let document: OpenApi
beforeAll(async () => {
  engine = await Engine.open({ topology: shop })
  engine.run()
  server = await startServer(engine, { port: 0 })
  document = (await call(server.url, '/openapi.json')).body
})
afterAll(async () => {
  await server.close()
  await engine.close()
})

const operationsOf = ({ paths }: OpenApi) =>
  Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation,
    })),
  )

test.each([
  ['served', () => document],
  [
    'of another application',
    () => JSON.parse(JSON.stringify(openApiOf(movies, { withToken: true }))) as OpenApi,
  ],
])('the document %s has the structure of OpenAPI 3.1', (_name, made) => {
  const api = made()
  expect(api).toMatchObject({
    openapi: '3.1.0',
    info: { title: expect.any(String), version: expect.any(String) },
  })
  for (const [, reference = ''] of JSON.stringify(api).matchAll(/"\$ref":"([^"]+)"/g))
    resolved(api, reference)
  for (const name of Object.keys(resolved(api, '#/components/schemas')))
    expect(name).toMatch(/^[a-zA-Z0-9._-]+$/)
  const operations = operationsOf(api)
  const ids = operations.map(({ operation }) => operation.operationId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const { path, method, operation } of operations) {
    expect(path).toMatch(/^\/[^?#]*$/)
    expect(['GET', 'POST']).toContain(method)
    expect(operation.summary).not.toBe('')
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    const declared = (operation.parameters ?? []).filter((each) => each.in === 'path')
    expect(declared.map(({ name }) => name)).toEqual(inPath)
    expect(declared.every(({ required }) => required)).toBe(true)
    expect(Object.keys(operation.responses)).toContain('200')
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      expect(status).toMatch(/^[1-5]\d\d$/)
      expect(description).not.toBe('')
      for (const { schema } of Object.values(content)) expect(schema).toBeTypeOf('object')
    }
  }
})

test('every route of the server is in the document, and the other way round', async () => {
  const routes = (await call(server.url, '/')).body.routes as string[]
  const patterns = routes.map((route) => ({
    route,
    pattern: new RegExp(`^${route.replaceAll('.', '\\.').replace(/:\w+|\*/g, '[^/]+')}$`),
  }))
  const found = operationsOf(document).map(({ method, path }) => {
    const matching = patterns.filter(({ pattern }) => pattern.test(`${method} ${path}`))
    expect([method, path, matching.length]).toEqual([method, path, 1])
    return matching[0]?.route
  })
  expect([...new Set(found)].sort()).toEqual([...routes].sort())
  expect(routes.length).toBe(15)
})

test('what the server answers fits the document', async () => {
  const at = Date.now()
  const visit = { visitId: 'v', visitor: 'ada', page: '/', at }
  const asked: readonly (readonly [method: string, path: string, actual: string, body?: unknown])[] = [
    ['POST', '/v1/events/visit', '/v1/events/visit', visit],
    ['POST', '/v1/events/visit', '/v1/events/visit', {}],
    ['POST', '/v1/models/buys/predict', '/v1/models/buys/predict', { visitId: 'asked', visitor: 'ada' }],
    ['GET', '/v1/models/{model}/predictions/{requestId}', '/v1/models/buys/predictions/asked'],
    ['GET', '/v1/models/{model}/predictions/{requestId}', '/v1/models/buys/predictions/none'],
    ['GET', '/v1/features/{view}/{key}', '/v1/features/visitor/ada'],
    ['GET', '/v1/features/{view}/{key}', '/v1/features/none/ada'],
    ['POST', '/v1/dead-letters/{number}/reinject', '/v1/dead-letters/0/reinject'],
    ...['/v1/events', '/v1/features', '/v1/models', '/v1/topics', '/v1/lag', '/health', '/ready', '/'].map(
      (path) => ['GET', path, path] as const,
    ),
  ]
  const statuses: number[] = []
  for (const [method, path, actual, body] of asked) {
    const answer =
      body === undefined ? await call(server.url, actual, { method }) : await post(server.url, actual, body)
    const { content } = document.paths[path]?.[method.toLowerCase()]?.responses[answer.status] ?? {}
    const schema = content?.[answer.type.split(';')[0] ?? '']?.schema
    expect([actual, answer.status, answer.type, schema]).toEqual([
      actual,
      answer.status,
      answer.type,
      expect.anything(),
    ])
    expect(misfits(document, schema ?? {}, answer.body)).toEqual([])
    statuses.push(answer.status)
  }
  expect(statuses.filter((status) => status === 200).length).toBe(12)
  expect(statuses.filter((status) => status === 404).length).toBe(3)
})

test('a request may leave out what the door gives it, an event may not', () => {
  const bodyOf = (path: string) =>
    document.paths[path]?.['post']?.requestBody?.content['application/json']?.schema ?? {}
  const asked = { visitor: 'ada' }
  expect(misfits(document, bodyOf('/v1/models/buys/predict'), asked)).toEqual([])
  expect(misfits(document, bodyOf('/v1/models/buys/predict'), { ...asked, other: 1 })).toHaveLength(1)
  expect(misfits(document, bodyOf('/v1/events/visit'), asked)).toHaveLength(1)
  expect(misfits(document, bodyOf('/v1/events/visit'), { ...asked, visitId: 'v', at: 5 })).toEqual([])
  expect(document.paths['/v1/events/visit']?.['post']?.description).toContain('all or nothing')
})

test('the commands that the movies example prints ask for routes of the document', () => {
  const { paths } = openApiOf(movies) as unknown as OpenApi
  const patterns = Object.keys(paths).map((path) => new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`))
  expect(movies.tryIt.length).toBeGreaterThan(2)
  for (const line of movies.tryIt) {
    const path = /\{url\}(\S+)/.exec(line)?.[1] ?? ''
    expect([path, patterns.filter((pattern) => pattern.test(path)).length]).toEqual([path, 1])
  }
})
