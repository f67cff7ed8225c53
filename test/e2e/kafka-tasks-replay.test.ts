import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TasksReport } from '../../replay/rebuild.ts'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { clusterFeatures } from '../../topology/runtime/cluster-features.ts'
import { endAll, headwater } from '../support/command-line.ts'
import { post, until } from '../support/http-calls.ts'
import { type KafkaBroker, startKafkaBroker } from '../support/kafka-broker.ts'
import { market, marketEvents, seenOf } from '../support/market-topology.ts'
import { type RunningInstance, startInstance, statusOf } from '../support/running-instances.ts'
import { seeded } from '../support/shop-topology.ts'

/* Every replay of an application that runs as nine tasks on a real Kafka cluster, by the commands. */

const length = 120
const events = marketEvents(11, length)
const topicPrefix = `tasks-replay-${process.pid}-`
const taskIds = [
  ...[0, 1, 2, 3].map((partition) => `market-0-${partition}`),
  'market-1-0',
  ...[0, 1, 2, 3].map((partition) => `market-2-${partition}`),
]
let broker: KafkaBroker | { readonly missing: string }
let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-kafka-tasks-'))
  broker = await startKafkaBroker()
}, 900_000)
afterAll(async () => {
  endAll()
  rmSync(folder, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

/** A module of the market whose one source is the events, in the order of their times. */
function writeModule(name: string, exported: string): string {
  const path = join(folder, `${name}.ts`)
  const support = fileURLToPath(new URL('../support/market-topology.ts', import.meta.url))
  writeFileSync(
    path,
    `import { ${exported}, marketEvents } from ${JSON.stringify(support)}
const rows = Object.entries(marketEvents(11, ${length}))
  .flatMap(([name, values]) => values.map((value: { readonly at: number }) => [name, value] as const))
  .sort(([, left], [, right]) => left.at - right.at)
export default {
  ...${exported},
  sources: [{ name: 'events', rows: () => rows.map((row) => [row]) }],
}
`,
  )
  return path
}

/** Where each partition of the cluster ends. */
async function ends(brokers: readonly string[]): Promise<Record<string, string>> {
  const log = await openKafkaLog({ brokers, topicPrefix, clientId: 'onlooker', now: Date.now })
  try {
    const found: Record<string, string> = {}
    for (const { name, partitions } of await log.topics()) {
      for (let partition = 0; partition < partitions; partition++) {
        found[`${name}[${partition}]`] = String((await log.offsets(name, partition)).end)
      }
    }
    return found
  } finally {
    await log.close()
  }
}

/** Each in the state of the task that has it, as a list of all events gives it. */
async function entitiesAreFound(brokers: readonly string[]): Promise<void> {
  const atMs = 1_800_000_000_000
  const featuresOf = async (view: string, key: number) => {
    const kafka = { brokers, topicPrefix }
    return await clusterFeatures({ topology: market, kafka, view, key: [`${key}`], atMs, now: Date.now })
  }
  const sumOf = (rows: readonly { readonly amount: number }[]) =>
    rows.reduce((sum, { amount }) => sum + amount, 0)
  const tasks = new Set<string>()
  for (let customer = 0; customer < 12; customer += 2) {
    const { task, features } = await featuresOf('customer', customer)
    tasks.add(task)
    const paid = sumOf(events.payment.filter((each) => each.customer === customer))
    expect({ customer, ...features }).toEqual({ customer, paid, payments1h: 0 })
  }
  expect(tasks.size).toBeGreaterThan(1)
  const sold = events.payment.filter((each) => each.shop === 1)
  expect(await featuresOf('shop', 1)).toMatchObject({
    task: 'market-1-0',
    features: { sales: sold.length, taken: sumOf(sold) },
  })
  await expect(featuresOf('shops', 1)).rejects.toMatchObject({ code: 'feature-view-unknown' })
}

test('an application of nine tasks is run to its end in one process, and every replay goes over its tasks', {
  timeout: 300_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const { brokers } = broker
  const topology = writeModule('market', 'market')
  const config = join(folder, 'kafka.json')
  writeFileSync(config, JSON.stringify({ topicPrefix }))
  const data = join(folder, 'state')
  const cluster = ['--kafka', brokers.join(','), '--kafka-config', config]
  const run = async (args: readonly string[], codes: readonly number[] = [0]) => {
    const { code, out, errors } = await headwater([...args, ...cluster, '--json'])
    expect({ args, errors, code, isTold: codes.includes(code ?? -1) }).toMatchObject({ isTold: true })
    return JSON.parse(out) as Record<string, unknown>
  }
  const ran = await run(['run', topology, '--once', '--data', data])
  expect(ran).toMatchObject({
    predictions: length,
    labels: events.refund.length,
    lateEvents: 0,
    deadLetters: 0,
  })
  const again = await run(['run', topology, '--once', '--data', data])
  expect(again['digest']).toBe(ran['digest'])
  const before = await ends(brokers)

  const of = ['--topology', topology]
  const counts = { predictions: length, mismatches: 0, unpaired: 0 }
  expect(await run(['replay', 'audit', ...of])).toEqual({
    ...counts,
    examples: [],
    tasks: [{ task: 'market-1-0', ...counts }],
  })
  expect(await run(['replay', 'audit', '--from', '#1', '--task', 'market-1-0', ...of])).toMatchObject({
    mismatches: 0,
  })
  const rebuilt = (await run(['replay', 'rebuild', '--data', data, ...of])) as {
    readonly tasks: readonly { readonly task: string; readonly before: string; readonly after: string }[]
  }
  expect(rebuilt).toMatchObject({ equal: true, after: ran['digest'] })
  expect(rebuilt.tasks.map(({ task, before: was, after }) => [task, was === after])).toEqual(
    taskIds.map((task) => [task, true]),
  )
  expect(await run(['replay', 'rebuild', '--task', 'market-2-3', ...of])).toMatchObject({
    tasks: [{ task: 'market-2-3', after: rebuilt.tasks.at(-1)!.after }],
  })

  const seen = seenOf(events).at(-1)!
  const { paymentId, shop: _, at, ...features } = seen
  const explained = await run(['replay', 'explain', paymentId, ...of])
  expect(explained).toMatchObject({ requestId: paymentId, recomputed: 'equal', predictedAt: at })
  const found = explained['features'] as readonly { readonly name: string; readonly value: number }[]
  expect(Object.fromEntries(found.map(({ name, value }) => [name, value]))).toEqual(features)

  const next = `${writeModule('next', 'candidateMarket')}#quick`
  const strict = writeModule('strict', 'strictMarket')
  expect(await run(['replay', 'evaluate', '--bootstrap', '20', '--candidate', next, ...of])).toMatchObject({
    rows: events.refund.length,
    unanswered: 0,
  })
  expect(await run(['replay', 'drift', '--every', '4h', ...of], [0, 1])).toMatchObject({ passedOver: 0 })
  expect(
    await run(
      [
        'replay',
        'drift',
        '--reference-from',
        '#0',
        '--reference-to',
        '#1',
        '--from',
        '#1',
        '--to',
        '#2',
        ...of,
      ],
      [0, 1],
    ),
  ).toBeDefined()
  expect(await run(['replay', 'counterfactual', '--candidate', next, ...of])).toMatchObject({
    answered: length,
    unanswered: 0,
  })
  expect(await run(['quality', 'report', ...of], [1])).toMatchObject({ order: 'recorded' })
  expect(await run(['quality', 'report', '--topology', strict], [1])).toMatchObject({ order: 'event-time' })
  expect(await run(['features', 'show', 'shop', ...of])).toMatchObject({ view: 'shop' })

  await entitiesAreFound(brokers)
  const last = Math.max(...events.payment.map((each) => each.at), ...events.refund.map((each) => each.at)) + 1
  const got = await run(['features', 'get', 'visitor', '3', '--at', `${last}`, ...of])
  const visits = events.visit.filter((each) => each.visitor === 3).length
  expect(got).toEqual({ view: 'visitor', key: [3], at: last, features: { visits } })
  for (const args of [
    ['features', 'get', 'visitor', '3'],
    ['predictions', 'show', 'p1'],
    ['log', 'dead-letters', 'reinject', '0'],
    ['log', 'append', 'visit'],
  ]) {
    const refused = await headwater([...args, '--data', data, ...of])
    expect({ args, ...refused }).toMatchObject({
      args,
      code: 2,
      errors: expect.stringContaining('holds no log'),
    })
  }
  expect(existsSync(join(data, 'log'))).toBe(false)

  const csv = (name: string) => join(folder, `${name}.csv`)
  for (const name of ['first', 'second']) {
    await run(['replay', 'training-set', '--out', csv(name), '--strict', ...of])
  }
  expect(readFileSync(csv('second')).equals(readFileSync(csv('first')))).toBe(true)
  expect(readFileSync(csv('first'), 'utf8').trimEnd().split('\n')).toHaveLength(events.refund.length + 1)
  expect(
    await run([
      'replay',
      'training-set',
      '--out',
      csv('time'),
      '--label-event',
      'payment',
      '--view',
      'customer',
      ...of,
    ]),
  ).toMatchObject({ mode: 'time', rows: length })

  const refused = await headwater(['replay', 'audit', '--topology', strict, ...cluster])
  expect(refused.code).toBe(3)
  expect(refused.errors).toContain('began as 9 tasks')
  expect(await ends(brokers)).toEqual(before)
})

test('what processes that share the tasks did, while they were killed, is replayed to the last bit', {
  timeout: 300_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const module = join(folder, 'shared.ts')
  const support = fileURLToPath(new URL('../support/market-topology.ts', import.meta.url))
  writeFileSync(module, `export { market as default } from ${JSON.stringify(support)}\n`)
  const config = join(folder, 'shared.json')
  const prefix = `tasks-shared-${process.pid}-`
  writeFileSync(config, JSON.stringify({ topicPrefix: prefix }))
  const cluster = ['--kafka', broker.brokers.join(','), '--kafka-config', config]
  const setting = { module, root: folder, cluster, sessionMs: 2_000 }
  const running = new Map<string, RunningInstance>()
  for (const name of ['one', 'two']) running.set(name, await startInstance(name, setting))
  const allActive = () =>
    until(async () => {
      const statuses = await Promise.all([...running.values()].map(statusOf))
      const active = statuses
        .flatMap((status) => status?.tasks ?? [])
        .filter(({ stage }) => stage === 'active')
      return new Set(active.map(({ task }) => task)).size === taskIds.length
    })
  await allActive()

  const shared = marketEvents(12, 240)
  const rows = Object.entries(shared)
    .flatMap(([name, values]) => values.map((value: { readonly at: number }) => ({ name, value })))
    .sort((left, right) => left.value.at - right.value.at)
  const random = seeded(12)
  const send = async (from: number, to: number) => {
    for (const { name, value } of rows.slice(from, to)) {
      // Nobody answers for a moment after a kill; what was taken all the same comes twice.
      await until(async () => {
        const all = [...running.values()]
        const { url } = all[Math.floor(random() * all.length)]!
        const answer = await post(url, `/v1/events/${name}`, value).catch(() => undefined)
        return answer?.status === 200
      })
    }
  }
  for (const [part, victim] of ['one', 'two'].entries()) {
    await send(part * 250, part * 250 + 250)
    const { child, ended } = running.get(victim)!
    child.kill('SIGKILL')
    await ended
    running.delete(victim)
    await send(part * 250 + 250, part * 250 + 280)
    running.set(victim, await startInstance(victim, setting))
    await allActive()
  }
  await send(530, rows.length)

  const of = ['--topology', module, ...cluster, '--json']
  const read = async (...args: string[]) => {
    const { code, out, errors } = await headwater([...args, ...of])
    expect({ args, code, errors }).toMatchObject({ args, code: 0 })
    return JSON.parse(out) as Record<string, unknown>
  }
  // Beside those who run the application, and after them.
  expect(await read('replay', 'audit')).toMatchObject({ mismatches: 0, unpaired: 0 })
  for (const { child } of running.values()) child.kill('SIGTERM')
  for (const { ended } of running.values()) expect(await ended).toMatchObject({ code: 0 })
  const audited = await read('replay', 'audit')
  expect(audited).toMatchObject({ mismatches: 0, unpaired: 0 })
  expect(audited['predictions']).toBeGreaterThanOrEqual(240)
  const compared = new Set<string>()
  for (const name of ['one', 'two']) {
    const report = (await read('replay', 'rebuild', '--data', join(folder, name))) as unknown as TasksReport
    expect(report.equal).toBe(true)
    for (const { task, before } of report.tasks) if (before !== undefined) compared.add(task)
  }
  expect([...compared].sort()).toEqual(taskIds)
  const strict = await read('replay', 'training-set', '--out', join(folder, 'shared.parquet'), '--strict')
  expect(strict).toMatchObject({ predictions: { mismatches: 0, unmade: 0 } })
})
