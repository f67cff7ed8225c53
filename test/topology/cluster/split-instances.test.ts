import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endAll } from '../../support/command-line.ts'
import { call, ndjson } from '../../support/http-calls.ts'
import { startKafkaBroker } from '../../support/kafka-broker.ts'
import { type RunningInstance, startInstance, statusOf } from '../../support/running-instances.ts'
import { seeded } from '../../support/shop-topology.ts'
import { judgementsOf, type Payment, split } from '../../support/split-topology.ts'
import { contents } from '../../support/topic-contents.ts'

/*
 * Three processes share the eight tasks of an application; one or two of them
 * are killed again and again while events come in. `SPLIT_KILLS=100` makes a
 * long run of it.
 */

const kills = Number(process.env['SPLIT_KILLS'] ?? 6)
const seed = Number(process.env['SPLIT_SEED'] ?? 20_261_124)
const sessionMs = 2_000
const firstAt = 1_700_000_000_000

const broker = await startKafkaBroker()
const module = fileURLToPath(new URL('../../support/split-topology.ts', import.meta.url))

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-split-'))
})
afterAll(async () => {
  endAll()
  rmSync(root, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

type Running = ReadonlyMap<string, RunningInstance>

/** The tasks that run, each at one process at least that says so. */
async function activeTasks(running: Running): Promise<ReadonlySet<string>> {
  const statuses = await Promise.all([...running.values()].map(statusOf))
  const tasks = statuses.flatMap((status) => status?.tasks ?? [])
  return new Set(tasks.filter(({ stage }) => stage === 'active').map(({ task }) => task))
}

async function allActive(running: Running): Promise<void> {
  while ((await activeTasks(running)).size < 2 * split.partitions) await sleep(20)
}

/**
 * Appends payments in the order of their times, a few at a time. When nobody
 * says that some are on the log they may be or not, and are left at that.
 */
function appendPayments(running: Running) {
  const acknowledged: string[] = []
  let unsettled = 0
  let isStopped = false
  const work = async () => {
    const random = seeded(seed + 1)
    let at = firstAt
    for (let number = 0; !isStopped; number += 10) {
      const payments: Payment[] = Array.from({ length: 10 }, (_, index) => {
        at += 1 + Math.floor(random() * 60_000)
        return {
          paymentId: `p${number + index}`,
          customer: Math.floor(random() * 12),
          shop: Math.floor(random() * 5),
          amount: 1 + Math.floor(random() * 100),
          at,
        }
      })
      const all = [...running.values()]
      const { url } = all[Math.floor(random() * all.length)]!
      const answer = await call(url, '/v1/events/payment', {
        method: 'POST',
        headers: ndjson,
        body: payments.map((each) => JSON.stringify(each)).join('\n'),
        signal: AbortSignal.timeout(3_000),
      }).catch(() => undefined)
      if (answer?.status === 200) acknowledged.push(...payments.map(({ paymentId }) => paymentId))
      else {
        if (answer !== undefined) expect(answer).toMatchObject({ status: 503 })
        unsettled++
        await sleep(20)
      }
      await sleep(5)
    }
  }
  const ended = work()
  return {
    acknowledged,
    unsettled: () => unsettled,
    async stop() {
      isStopped = true
      await ended
    },
  }
}

type Judgement = ReturnType<typeof judgementsOf>[number]

/**
 * Payments that came to the log behind later ones, since nobody had answered
 * for them in time: what is judged between the two times may lack them.
 */
function lateOf(partitions: readonly (readonly Payment[])[]): readonly { at: number; untilMs: number }[] {
  return partitions.flatMap((payments) => {
    let untilMs = 0
    return payments.flatMap(({ at }) => {
      untilMs = Math.max(untilMs, at)
      return at < untilMs ? [{ at, untilMs }] : []
    })
  })
}

const byId = <Row extends { readonly paymentId: string }>(rows: readonly Row[]) =>
  [...rows].sort((left, right) => (left.paymentId < right.paymentId ? -1 : 1))

test(`${kills} times some of three processes that share an application by its partitions are killed, and one is frozen: nothing is lost, doubled or read too early`, {
  timeout: 120_000 + kills * 30_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const topicPrefix = `split-${process.pid}-`
  writeFileSync(
    join(root, 'split.ts'),
    `import { split } from ${JSON.stringify(module)}\nexport default split\n`,
  )
  const clientId = `split-${process.pid}`
  writeFileSync(join(root, 'kafka.json'), JSON.stringify({ topicPrefix, clientId }))
  const cluster = ['--kafka', broker.brokers.join(','), '--kafka-config', join(root, 'kafka.json')]
  const setting = { module: join(root, 'split.ts'), root, cluster, sessionMs }
  const names = ['one', 'two', 'three']
  const started = await Promise.all(names.map((name) => startInstance(name, setting)))
  const running = new Map(started.map((each) => [each.name, each]))
  await allActive(running)

  const random = seeded(seed)
  const appender = appendPayments(running)
  const takeovers: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    await sleep(random() * 1_500)
    const victims = [...running.values()].sort(() => random() - 0.5).slice(0, random() < 0.3 ? 2 : 1)
    for (const { child } of victims) child.kill('SIGKILL')
    const killedAt = performance.now()
    await Promise.all(victims.map(({ ended }) => ended))
    for (const { name } of victims) running.delete(name)
    // One that is back in time gets its tasks again.
    const restarting = victims.map(async ({ name }) => {
      running.set(name, await startInstance(name, setting))
    })
    await allActive(running)
    takeovers.push(Math.round(performance.now() - killedAt))
    await Promise.all(restarting)
  }

  const [frozen] = running.values()
  frozen!.child.kill('SIGSTOP')
  await allActive(new Map([...running].slice(1)))
  await sleep(500)
  frozen!.child.kill('SIGCONT')
  await sleep(sessionMs)

  await appender.stop()
  await allActive(running)
  const now = () => 1_800_000_000_000
  const options = { kafka: { brokers: broker.brokers, topicPrefix, clientId }, app: 'split', now }
  const count = async (topic: string) => (await contents(options, topic, split.partitions)).flat().length
  // What a killed process was appending hides what came behind it, until it is rolled back.
  for (let appended = -1; ; await sleep(1_000)) {
    const before = appended
    appended = await count('payment')
    if (appended === before && (await count('judged')) >= appended) break
  }

  const partitions = await contents<Payment>(options, 'payment', split.partitions)
  const payments = partitions.flat()
  const ids = new Set(payments.map(({ paymentId }) => paymentId))
  expect(appender.acknowledged.filter((id) => !ids.has(id))).toEqual([])
  expect(ids.size).toBe(payments.length)
  const judged = (await contents<Judgement>(options, 'judged', split.partitions)).flat()
  const wanted = judgementsOf(payments)
  const late = lateOf(partitions)
  expect(byId(judged).map(({ paymentId }) => paymentId)).toEqual(
    byId(wanted).map(({ paymentId }) => paymentId),
  )
  const found = new Map(judged.map((each) => [each.paymentId, each]))
  const inOrder = wanted.filter(({ at }) => !late.some((each) => each.at < at && at <= each.untilMs))
  expect(inOrder.map(({ paymentId }) => found.get(paymentId))).toEqual(inOrder)
  expect(inOrder.length).toBeGreaterThan(payments.length / 2)

  // Whoever is asked has the features of every key, from where they are.
  const taken = (shop: number) => {
    const own = payments.filter((each) => each.shop === shop)
    return { sales: own.length, taken: own.reduce((sum, { amount }) => sum + amount, 0) }
  }
  for (const { url } of running.values()) {
    const shops = await Promise.all([0, 1, 2, 3, 4].map((shop) => call(url, `/v1/features/shop/${shop}`)))
    expect(shops.map(({ body }) => (body as { features: unknown }).features)).toEqual(
      [0, 1, 2, 3, 4].map(taken),
    )
  }

  for (const { child } of running.values()) child.kill('SIGTERM')
  const endings = await Promise.all([...running.values()].map(({ ended }) => ended))
  expect(endings.map(({ code }) => code)).toEqual([0, 0, 0])
  const sorted = takeovers.toSorted((left, right) => left - right)
  console.log(
    `${payments.length} payments, ${late.length} of them late, ${appender.unsettled()} appends nobody answered for. All tasks run again with a session of ${sessionMs} ms: median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)} ms`,
  )
})
