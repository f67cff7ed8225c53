import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { InstanceStatus, TaskStatus } from '../../../topology/cluster/instance.ts'
import {
  type DoorInstance,
  type InstanceServer,
  startInstanceServer,
} from '../../../topology/http/instance-server.ts'
import { openApiOf } from '../../../topology/http/openapi.ts'
import { Engine } from '../../../topology/index.ts'
import { call, ndjson, post } from '../../support/http-calls.ts'
import { misfits } from '../../support/json-schema-check.ts'
import { shop } from '../../support/shop-topology.ts'

const now = () => 1_800_000_000_000
const token = 'a token'
const authorized = { authorization: `Bearer ${token}` }

/** An instance that does nothing but say who runs the task. */
class StillInstance implements DoorInstance {
  readonly declaration = shop
  readonly rebalances = 3
  readonly parts = new Map([['shop-0', shop]])
  readonly id: string
  owner: { readonly id: string; readonly url: string } | undefined
  role: TaskStatus['role'] = 'standby'
  stage: TaskStatus['stage'] = 'standby'

  constructor(id: string) {
    this.id = id
  }

  taskOfEntity(): string {
    return 'shop-0'
  }

  ownerOf(): { readonly id: string; readonly url: string } | undefined {
    return this.owner
  }

  async status(): Promise<InstanceStatus> {
    const { role, stage, owner = null } = this
    const tasks = [{ task: 'shop-0', role, stage, position: 7, behindOffsets: 2, owner }]
    return { id: this.id, url: `http://${this.id}`, generation: 4, rebalances: 3, tasks, instances: [] }
  }
}

let engine: Engine
let active: InstanceServer
let standby: InstanceServer
const waiting = new StillInstance('waiting')

beforeAll(async () => {
  engine = await Engine.open({ topology: shop, now })
  engine.run()
  active = await startInstanceServer({ port: 0, token })
  const running = new StillInstance('running')
  Object.assign(running, { role: 'active', stage: 'active' })
  running.owner = { id: 'running', url: active.url }
  active.attach(running)
  await active.use('shop-0', engine)
  standby = await startInstanceServer({ port: 0, token, maxBodyBytes: 2_000 })
  standby.attach(waiting)
  waiting.owner = running.owner
})
afterAll(async () => {
  await standby.close()
  await active.close()
  await engine.close()
})

const visitOf = (visitId: string) => ({ visitId, visitor: 'ada', page: '/shoes', at: 1_700_000_000_000 })

describe('an instance that stands by', () => {
  test('hands requests on to the one that runs the task, and its answers back', async () => {
    const appended = await post(standby.url, '/v1/events/visit', visitOf('f1'), authorized)
    expect(appended).toMatchObject({ status: 200, body: { appended: 1 } })
    const lines = ['f2', 'f3'].map((id) => JSON.stringify(visitOf(id))).join('\n')
    const more = await post(standby.url, '/v1/events/visit', lines, { ...authorized, ...ndjson })
    expect(more).toMatchObject({ status: 200, body: { appended: 2 } })
    const asked = await post(standby.url, '/v1/models/buys/predict', visitOf('f4'), authorized)
    expect(asked).toMatchObject({ status: 200, body: { requestId: 'f4', model: 'buys' } })
    await engine.caughtUp()
    const features = await call(standby.url, '/v1/features/visitor/ada?at=1700000000001', {
      headers: authorized,
    })
    expect(features).toMatchObject({ status: 200, body: { features: { visits1h: 4 } } })
    const found = await call(standby.url, '/v1/models/buys/predictions/f4', { headers: authorized })
    expect(found.body).toEqual(asked.body)
  })

  test('hands refusals back as they are', async () => {
    const path = '/v1/events/visit'
    const here = await post(active.url, path, { ...visitOf('r1'), visitor: 7 }, authorized)
    const there = await post(standby.url, path, { ...visitOf('r1'), visitor: 7 }, authorized)
    expect(there).toMatchObject({ status: here.status, type: here.type, body: here.body })
    expect(await call(standby.url, '/v1/nothing', { headers: authorized })).toMatchObject({
      status: 404,
      body: { code: 'route-unknown' },
    })
  })

  test('lets nobody in who would not be let in there, and no body that is too large', async () => {
    expect(await post(standby.url, '/v1/events/visit', visitOf('t1'))).toMatchObject({ status: 401 })
    const large = { ...visitOf('t2'), page: 'x'.repeat(3_000) }
    expect(await post(standby.url, '/v1/events/visit', large, authorized)).toMatchObject({
      status: 413,
      body: { code: 'body-too-large' },
    })
  })

  test('hands nothing on that was handed on to it', async () => {
    const headers = { ...authorized, 'x-headwater-forwarded': 'another' }
    const answer = await post(standby.url, '/v1/events/visit', visitOf('l1'), headers)
    expect(answer).toMatchObject({
      status: 503,
      type: 'application/problem+json; charset=utf-8',
      body: { code: 'task-moving', found: expect.stringContaining('"another" handed this request on') },
    })
    expect(answer.headers.get('retry-after')).toBe('1')
  })

  test('answers itself how it stands', async () => {
    const { body } = await call(standby.url, '/v1/instance', { headers: authorized })
    expect(body).toEqual(await waiting.status())
    const { body: text } = await call(standby.url, '/metrics', { headers: authorized })
    const figures = (text as string).split('\n').filter((line) => /^headwater_instance/.test(line))
    expect(figures).toEqual(
      expect.arrayContaining([
        'headwater_instance_rebalances_total 3',
        'headwater_instance_task_stage{task="shop-0",stage="standby"} 1',
        'headwater_instance_task_stage{task="shop-0",stage="active"} 0',
        'headwater_instance_standby_behind_offsets{task="shop-0"} 2',
      ]),
    )
    expect(await call(standby.url, '/health')).toMatchObject({ status: 200 })
    expect(await call(standby.url, '/ready')).toMatchObject({ status: 200 })
  })

  test('describes what there is to ask it, also while no engine runs there', async () => {
    const { status, body: api } = await call(standby.url, '/openapi.json', { headers: authorized })
    expect(status).toBe(200)
    const paths = Object.keys(api.paths)
    const ofEngine = Object.keys(openApiOf(shop)['paths'] as object)
    expect(paths).toEqual([...ofEngine, '/v1/instance'])
    expect(api.components.securitySchemes).toEqual({ token: { type: 'http', scheme: 'bearer' } })
    for (const path of ['/v1/instance', '/health', '/ready', '/openapi.json', '/v1/lag']) {
      const answer = await call(standby.url, path, { headers: authorized })
      const { schema } = api.paths[path].get.responses[200].content['application/json']
      expect([path, answer.status, misfits(api, schema, answer.body)]).toEqual([path, 200, []])
    }
    const lag = { topic: 't', partition: 0, position: 1, endOffset: 2, lagRecords: 1, lagSeconds: 0 }
    expect(misfits(api, { $ref: '#/components/schemas/Lag' }, { task: 'shop-0-1', ...lag })).toEqual([])
    const strange = { ...(await waiting.status()), rebalances: 'many' }
    expect(misfits(api, { $ref: '#/components/schemas/Instance' }, strange)).toHaveLength(1)
  })

  test.each([
    ['cannot be reached', { id: 'gone', url: 'http://127.0.0.1:9' }, 'instance "gone" at http://127.0.0.1:9'],
    ['is not known', undefined, 'no instance was told to run it yet'],
    ['is this one, which is taking over', { id: 'waiting', url: 'http://waiting' }, 'is taking it over'],
  ])('asks to come again where the one that runs the task %s', async (_, owner, found) => {
    const before = waiting.owner
    waiting.owner = owner
    const answer = await call(standby.url, '/v1/lag', { headers: authorized })
    waiting.owner = before
    expect(answer).toMatchObject({
      status: 503,
      body: { code: 'task-moving', found: expect.stringContaining(found) },
    })
  })

  test('takes events itself where it has a door for them, also while nobody runs the task', async () => {
    const before = waiting.owner
    waiting.owner = undefined
    const taken: unknown[] = []
    await standby.useDoor('shop-0', {
      declaration: shop,
      async append(event, values) {
        taken.push([event, ...values])
        return values.map((_, offset) => ({ topic: event, partition: 0, offset }))
      },
      reinject: async (offset) => ({ topic: 'visit', partition: 0, offset }),
    })
    const answer = await post(standby.url, '/v1/events/visit', visitOf('o1'), authorized)
    const withoutToken = await post(standby.url, '/v1/events/visit', visitOf('o2'))
    const asked = await post(standby.url, '/v1/models/buys/predict', visitOf('o3'), authorized)
    await standby.useDoor('shop-0', undefined)
    waiting.owner = before
    expect(answer).toMatchObject({
      status: 200,
      body: { appended: 1, positions: [{ topic: 'visit', partition: 0, offset: 0 }] },
    })
    expect(withoutToken.status).toBe(401)
    expect(asked).toMatchObject({ status: 503, body: { code: 'task-moving' } })
    expect(taken).toEqual([['visit', visitOf('o1')]])
    const { body: text } = await call(standby.url, '/metrics', { headers: authorized })
    expect(text).toContain('headwater_instance_appended_events_total{event="visit"} 1')
  })

  test('is not ready while it opens its state', async () => {
    waiting.stage = 'opening'
    const answer = await call(standby.url, '/ready')
    waiting.stage = 'standby'
    expect(answer).toMatchObject({ status: 503, body: { code: 'not-caught-up', found: 'opening' } })
  })
})

describe('an instance that runs the task', () => {
  test('answers from its engine, also what was handed on to it', async () => {
    const headers = { ...authorized, 'x-headwater-forwarded': 'waiting' }
    expect(await call(active.url, '/v1/events', { headers })).toMatchObject({ status: 200 })
    const { body } = await call(active.url, '/metrics', { headers: authorized })
    const names = (body as string).split('\n').flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? [])
    expect(names).toEqual([...new Set(names)])
    expect(names).toEqual(
      expect.arrayContaining(['headwater_instances', 'headwater_lag_records', 'process_cpu_seconds_total']),
    )
  })

  test('hands requests on once the task has gone, and answers them again when it is back', async () => {
    const server = await startInstanceServer({ port: 0 })
    const instance = new StillInstance('moving')
    expect(await call(server.url, '/v1/lag')).toMatchObject({
      status: 503,
      body: { code: 'instance-joining' },
    })
    server.attach(instance)
    await server.use('shop-0', engine)
    expect(await call(server.url, '/v1/lag')).toMatchObject({ status: 200 })
    await server.use('shop-0', undefined)
    expect(await call(server.url, '/v1/lag')).toMatchObject({ status: 503, body: { code: 'task-moving' } })
    await server.use('shop-0', engine)
    expect(await call(server.url, '/v1/lag')).toMatchObject({ status: 200 })
    await server.close()
  })
})
