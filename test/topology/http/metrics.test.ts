import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HttpServer, startServer } from '../../../topology/http/server.ts'
import { Engine } from '../../../topology/index.ts'
import { call, post, rawConnection, until } from '../../support/http-calls.ts'
import { shop } from '../../support/shop-topology.ts'

let engine: Engine
let server: HttpServer
beforeAll(async () => {
  engine = await Engine.open({ topology: shop })
  engine.run()
  server = await startServer(engine, { port: 0, maxConnections: 3 })
})
afterAll(async () => {
  await server.close()
  await engine.close()
})

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads the text format 0.0.4; throws for a line that is not of it, a sample without a type, or one that is there twice. */
function parseMetrics(text: string): { samples: Sample[]; types: Map<string, string> } {
  const types = new Map<string, string>()
  const seen = new Set<string>()
  const samples = text.split('\n').flatMap((line): Sample[] => {
    const [, typed, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? []
    if (typed !== undefined && type !== undefined) types.set(typed, type)
    if (line === '' || line.startsWith('#')) return []
    const [, name, inner = '', value] = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw new Error(`not a sample: ${line}`)
    const pairs = [...inner.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)/g)]
    if (pairs.map(([pair]) => pair).join('') !== inner) throw new Error(`not labels: ${line}`)
    if (!types.has(name) && !types.has(name.replace(/_(bucket|sum|count)$/, '')))
      throw new Error(`no type: ${line}`)
    const id = line.slice(0, line.lastIndexOf(' '))
    if (seen.has(id)) throw new Error(`there twice: ${id}`)
    seen.add(id)
    const number = value === '+Inf' ? Number.POSITIVE_INFINITY : value === 'Nan' ? Number.NaN : Number(value)
    return [
      {
        name,
        labels: Object.fromEntries(pairs.map(([, key = '', text = '']) => [key, text])),
        value: number,
      },
    ]
  })
  return { samples, types }
}

async function metrics() {
  const { body, type } = await call(server.url, '/metrics')
  expect(type).toMatch(/^text\/plain; version=0\.0\.4/)
  const { samples, types } = parseMetrics(body)
  const value = (name: string, labels: Readonly<Record<string, string>> = {}): number | undefined =>
    samples.find(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels[key] === text),
    )?.value
  return { samples, types, value }
}

test('what goes through the door and the engine is counted', async () => {
  const at = Date.now()
  const visit = (visitId: string) => ({ visitId, visitor: 'ada', page: '/', at })
  for (const id of ['1', '2']) await post(server.url, '/v1/events/visit', visit(id))
  await post(server.url, '/v1/events/visit', {})
  await post(server.url, '/v1/models/buys/predict', { visitor: 'ada', page: '/' })
  await post(server.url, '/v1/events/outcome', { ...visit('1'), spent: 5 })
  await call(server.url, '/nothing')
  await engine.caughtUp()
  const { value, types } = await metrics()
  expect(value('headwater_http_events_total', { event: 'visit' })).toBe(2)
  expect(value('headwater_http_events_total', { event: 'outcome' })).toBe(1)
  expect(value('headwater_http_events_total', { event: 'price' })).toBe(0)
  // Three visits, an outcome, and a page visit for each visit.
  expect(value('headwater_records_total')).toBe(7)
  expect(value('headwater_predictions_total', { model: 'buys' })).toBe(3)
  expect(value('headwater_labels_total', { model: 'buys', outcome: 'joined' })).toBe(1)
  expect(value('headwater_dead_letters_total')).toBe(0)
  expect(value('headwater_late_events_total', { view: 'visitor' })).toBe(0)
  expect(value('headwater_lag_records', { topic: 'visit', partition: '0' })).toBe(0)
  expect(value('headwater_lag_seconds', { topic: 'visit', partition: '0' })).toBe(0)
  expect(value('headwater_up')).toBe(1)
  const requests = 'headwater_http_request_seconds_count'
  expect(value(requests, { route: '/v1/events/:event', method: 'POST', status: '200' })).toBe(3)
  expect(value(requests, { route: '/v1/events/:event', method: 'POST', status: '400' })).toBe(1)
  expect(value(requests, { route: '/v1/models/:model/predict', status: '200' })).toBe(1)
  expect(value(requests, { route: 'unknown', status: '404' })).toBe(1)
  expect(value('headwater_commit_seconds_count', { stage: 'append' })).toBeGreaterThan(3)
  expect(value('headwater_commit_seconds_count', { stage: 'sync' })).toBeGreaterThan(3)
  await engine.assembly.task.checkpoint()
  const stored = await metrics()
  expect(stored.value('headwater_store_seconds_count', { operation: 'write' })).toBeGreaterThan(0)
  expect(stored.value('headwater_store_bytes_total', { operation: 'write' })).toBeGreaterThan(100)
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0)
  expect(types.get('headwater_http_request_seconds')).toBe('histogram')
  expect(types.get('headwater_records_total')).toBe('counter')
})

test('the buckets of a histogram grow up to its count', async () => {
  const { samples, value } = await metrics()
  const labels = { route: '/v1/events/:event', method: 'POST', status: '200' }
  const buckets = samples.filter(
    ({ name, labels: { route, status } }) =>
      name === 'headwater_http_request_seconds_bucket' && route === labels.route && status === labels.status,
  )
  const counts = buckets.map(({ value: count }) => count)
  expect(counts).toEqual([...counts].sort((a, b) => a - b))
  expect(buckets.at(-1)?.labels['le']).toBe('+Inf')
  expect(counts.at(-1)).toBe(value('headwater_http_request_seconds_count', labels))
})

test('a caller that went away and a connection too many are counted', async () => {
  // fetch keeps connections of its own, so this is a door of its own.
  const stuck = await Engine.open({ topology: shop })
  const door = await startServer(stuck, { port: 0, maxConnections: 1 })
  try {
    const body = '{"visitor":"a","page":null}'
    const asking = await rawConnection(
      door.url,
      `POST /v1/models/buys/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    await until(async () => (await stuck.inputs()).some(({ lag }) => lag > 0))
    const second = await rawConnection(door.url, 'GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await until(() => second.closed)
    asking.destroy()
    let text = ''
    await until(async () => {
      text = await call(door.url, '/metrics').then(
        ({ body: answer }) => answer,
        () => '',
      )
      return text.includes('status="aborted"')
    })
    expect(text).toMatch(
      /^headwater_http_request_seconds_count\{route="\/v1\/models\/:model\/predict",method="POST",status="aborted"\} 1$/m,
    )
    expect(text).toMatch(/^headwater_http_connections_refused_total [1-9]\d*$/m)
  } finally {
    await door.close()
    await stuck.close()
  }
})
