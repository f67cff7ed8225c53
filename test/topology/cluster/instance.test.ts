import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Instance } from '../../../topology/cluster/instance.ts'
import type { Door } from '../../../topology/runtime/door.ts'
import { Engine } from '../../../topology/runtime/engine.ts'
import { type KafkaBroker, startKafkaBroker } from '../../support/kafka-broker.ts'
import { shopEvents, shop as shopOfTasks } from '../../support/shop-topology.ts'

/* Instances of one application in one process, on a real Kafka cluster. */

const now = () => 1_800_000_000_000
const sessionTimeoutMs = 2_000
/** Taken over as a whole. */
const shop = { ...shopOfTasks, tasks: 'one' as const }
let broker: KafkaBroker | { readonly missing: string }
let root = ''

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'headwater-instance-'))
  broker = await startKafkaBroker()
}, 900_000)
afterAll(async () => {
  rmSync(root, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

interface Running {
  readonly instance: Instance
  readonly notices: string[]
  door: Door | undefined
}

function clusterOf(app: string) {
  if (!('brokers' in broker)) throw new Error(broker.missing)
  const name = `${app}-${process.pid}`
  return { brokers: broker.brokers, topicPrefix: `${name}-`, clientId: name }
}

async function start(app: string, id: string): Promise<Running> {
  const notices: string[] = []
  const running: { door: Door | undefined } = { door: undefined }
  const instance = await Instance.start({
    topology: shop,
    data: join(root, app, id),
    kafka: clusterOf(app),
    id,
    url: `http://${id}`,
    sessionTimeoutMs,
    now,
    engine: { task: { batchRecords: 40 } },
    onNotice: (text) => notices.push(text),
    onDoor: (_, door) => {
      running.door = door
    },
  })
  return Object.assign(running, { instance, notices })
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(10)
}

const stageOf = async ({ instance }: Running) => (await instance.status()).tasks[0]!.stage

/** The one of them that runs the task, once it does. */
async function engineOf({ instance }: Running): Promise<Engine> {
  await until(() => instance.engine !== undefined)
  return instance.engine!
}

/** A standby that has followed everything that is on the log. */
async function caughtUp(running: Running): Promise<void> {
  await until(async () => {
    const [task] = (await running.instance.status()).tasks
    return task!.stage === 'standby' && task!.behindOffsets === 0
  })
}

async function bring(engine: Engine, from: number, to: number): Promise<void> {
  const rows = shopEvents(to).map((event) => [event])
  await engine.importer.run(`shop-${from}`, rows.slice(from))
  await engine.caughtUp()
}

/** What the whole log comes to, folded anew by a process of its own. */
async function digestAnew(app: string): Promise<string> {
  const engine = await Engine.open({
    topology: shop,
    data: join(root, app, 'anew'),
    kafka: clusterOf(app),
    now,
  })
  const digest = await engine.digest()
  await engine.close()
  return digest
}

describe('instances of one application', () => {
  test('hand a task over when the one that runs it is closed, with nothing to process again', async (context) => {
    if (!('brokers' in broker)) return context.skip(broker.missing)
    const app = 'handover'
    const first = await start(app, 'first')
    const engine = await engineOf(first)
    const second = await start(app, 'second')
    await bring(engine, 0, 400)
    await caughtUp(second)
    const features = await engine.features('visitor', ['visitor-3'], 1_700_010_000_000)
    const startedAt = performance.now()
    await first.instance.close()
    const closedAt = performance.now()
    const heir = await engineOf(second)
    const tookOverAt = performance.now()
    expect(await heir.features('visitor', ['visitor-3'], 1_700_010_000_000)).toEqual(features)
    await bring(heir, 400, 600)
    // Back again, it takes up its own state and follows what came meanwhile.
    const again = await start(app, 'first')
    await caughtUp(again)
    await second.instance.close()
    const digest = await (await engineOf(again)).digest()
    await again.instance.close()
    expect(digest).toBe(await digestAnew(app))
    expect([...first.notices, ...second.notices, ...again.notices]).toEqual([])
    console.log(
      `handover: ${Math.round(closedAt - startedAt)} ms to close, ${Math.round(tookOverAt - closedAt)} ms until the other runs it`,
    )
  }, 60_000)

  test('take events where they stand by, and go on after the cluster was away', async (context) => {
    if (!('brokers' in broker)) return context.skip(broker.missing)
    if (broker.process === undefined) return context.skip('the cluster is none of ours to kill')
    const app = 'outage'
    const one = await start(app, 'one')
    const engine = await engineOf(one)
    await bring(engine, 0, 200)
    const two = await start(app, 'two')
    await caughtUp(two)
    const visit = { visitId: 'asked-at-two', visitor: 'ada', page: '/hats', at: 1_700_020_000_000 }
    await two.door!.append('visit', [visit])
    await until(async () => (await one.instance.engine?.prediction('buys', 'asked-at-two')) !== undefined)
    await broker.process.crash()
    // Whoever runs it now: the cluster may have taken both for dead.
    const runner = async () => {
      for (;;) {
        const active = [one, two].find(
          ({ instance }) => instance.engine?.failure === undefined && instance.engine,
        )
        if (active !== undefined) return active
        await sleep(20)
      }
    }
    for (let number = 0; number < 5; number++) {
      const active = await runner()
      const answer = await active.instance
        .engine!.predict('buys', { ...visit, visitId: `after-${number}` })
        .catch(() => undefined)
      if (answer === undefined) number--
    }
    const stages = async () => [await stageOf(one), await stageOf(two)].sort()
    await until(async () => (await stages()).join() === 'active,standby')
    const active = await runner()
    await active.instance.engine!.caughtUp()
    const digest = await active.instance.engine!.digest()
    await one.instance.close()
    await two.instance.close()
    expect(digest).toBe(await digestAnew(app))
    expect([one.instance.failure, two.instance.failure]).toEqual([undefined, undefined])
  }, 90_000)

  test('do not end each other in turn when a stranger takes the task: they take it back in another round', async (context) => {
    if (!('brokers' in broker)) return context.skip(broker.missing)
    const app = 'stranger'
    const one = await start(app, 'one')
    await bring(await engineOf(one), 0, 100)
    const before = await one.instance.status()
    const engine = one.instance.engine!
    // A process outside of the group, as `run --once` is.
    const stranger = await Engine.open({
      topology: shop,
      data: join(root, app, 'x'),
      kafka: clusterOf(app),
      now,
    })
    await stranger.close()
    // It may have found out by itself.
    await one.instance.engine?.append('visit', [
      { visitId: 'v', visitor: 'ada', page: '/hats', at: 1_700_020_000_000 },
    ])
    await until(() => one.instance.engine !== undefined && one.instance.engine !== engine)
    await one.instance.engine!.caughtUp()
    const after = await one.instance.status()
    expect(after.generation).toBe(before.generation + 1)
    expect(one.notices).toEqual([
      expect.stringContaining('shop-0 was stopped here: writer "engine" was ended'),
    ])
    const digest = await one.instance.engine!.digest()
    await one.instance.close()
    expect(digest).toBe(await digestAnew(app))
  }, 60_000)
})

test('a folder that another process works on is refused', async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const one = await start('folder', 'one')
  await engineOf(one)
  await expect(start('folder', 'one')).rejects.toMatchObject({ code: 'store-locked' })
  await one.instance.close()
})
