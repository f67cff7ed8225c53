import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import type { Finding } from '../../topology/cli/finding.ts'
import { type DoctorOptions, examineCluster } from '../../topology/cli/kafka-doctor.ts'
import { endAll, headwater } from '../support/command-line.ts'
import { FakeRegistryServer } from '../support/fake-registry-server.ts'
import { startKafkaBroker } from '../support/kafka-broker.ts'
import { market } from '../support/market-topology.ts'
import { shop } from '../support/shop-topology.ts'

const broker = await startKafkaBroker()
const brokers = 'missing' in broker ? ['127.0.0.1:1'] : broker.brokers
const guarded = 'missing' in broker ? undefined : broker.guarded
const nobody = '127.0.0.1:1'

let folder = ''
let registry: FakeRegistryServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-doctor-'))
  registry = await FakeRegistryServer.start()
})
afterAll(async () => {
  endAll()
  rmSync(folder, { recursive: true, force: true })
  await registry.stop()
  if (!('missing' in broker)) await broker.stop()
})

let prefixes = 0
const newPrefix = () => `doctor${process.pid}.${prefixes++}.`

async function examine(options: Partial<DoctorOptions>): Promise<readonly Finding[]> {
  const kafka = { brokers, topicPrefix: newPrefix(), patienceMs: 2_000 }
  const findings: Finding[] = []
  const wanted = { declaration: shop, kafka, now: Date.now, probe: false, ...options }
  for await (const finding of examineCluster(wanted)) findings.push(finding)
  return findings
}

const bad = (findings: readonly Finding[]) =>
  findings.filter(({ status }) => status === 'failed' || status === 'warning')

async function withAdmin<Result>(work: (admin: kafkajs.Admin) => Promise<Result>): Promise<Result> {
  const admin = new kafkajs.Kafka({
    brokers: [...brokers],
    clientId: 'other',
    logLevel: kafkajs.logLevel.NOTHING,
  }).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

describe.skipIf('missing' in broker)('a doctor of a Kafka cluster', () => {
  test('finds nothing wrong with an empty cluster, and leaves it as it was', async () => {
    const topicPrefix = newPrefix()
    const findings = await examine({ kafka: { brokers, topicPrefix }, probe: true })
    expect(bad(findings)).toEqual([])
    expect(new Set(findings.map(({ area }) => area))).toEqual(
      new Set(['brokers', 'tasks', 'topics', 'co-partitioning', 'permissions', 'registry', 'clock']),
    )
    expect(findings.find(({ area }) => area === 'topics')?.found).toMatch(
      /^\d+ topics are created at the first start: .*visit, .*shop-commits/,
    )
    expect(findings.find(({ area }) => area === 'clock')?.found).toMatch(/^the broker's clock is \d+ ms /)
    const topics = await withAdmin((admin) => admin.listTopics())
    expect(topics.filter((name) => name.startsWith(topicPrefix))).toEqual([])
  })

  test('names each setting of a topic that differs, and the command that mends it', async () => {
    const topicPrefix = newPrefix()
    const entry = (name: string, value: string) => ({ name, value })
    await withAdmin((admin) =>
      admin.createTopics({
        waitForLeaders: true,
        topics: [
          { topic: `${topicPrefix}visit`, numPartitions: 2 },
          {
            topic: `${topicPrefix}price`,
            numPartitions: 3,
            configEntries: [
              entry('cleanup.policy', 'compact'),
              entry('message.timestamp.type', 'LogAppendTime'),
              entry('max.message.bytes', '2000'),
              entry('min.insync.replicas', '2'),
            ],
          },
        ],
      }),
    )
    const alter = (topic: string, config: string) =>
      `kafka-configs.sh --bootstrap-server ${brokers[0]} --alter --entity-type topics --entity-name ${topicPrefix}${topic} --add-config ${config}`
    const findings = bad(await examine({ kafka: { brokers, topicPrefix } }))
    expect(findings.map(({ found, advice }) => [found.replaceAll(topicPrefix, ''), advice])).toEqual([
      [
        'topic "visit" has 2 partitions, the topology declares 3',
        `declare 2 partitions, or, while it is empty: kafka-topics.sh --bootstrap-server ${brokers[0]} --alter --topic ${topicPrefix}visit --partitions 3`,
      ],
      [
        'topic "visit" has retention.ms=604800000, wanted is -1: the engine sets it at its start; until then other records are dropped',
        alter('visit', 'retention.ms=-1'),
      ],
      [
        'topic "price" has cleanup.policy=compact, wanted is delete: records would be dropped that the declaration keeps, or kept for ever',
        alter('price', 'cleanup.policy=delete'),
      ],
      [
        'topic "price" has message.timestamp.type=LogAppendTime, wanted is CreateTime: record times are event times',
        alter('price', 'message.timestamp.type=CreateTime'),
      ],
      [
        'topic "price" has max.message.bytes=2000, wanted is 1048588: the longest record does not fit',
        alter('price', 'max.message.bytes=1048588'),
      ],
      [
        'topic "price" wants 2 copies in sync (min.insync.replicas) and has 1: no commit succeeds',
        `set it to 1 or less: ${alter('price', 'min.insync.replicas=1')}`,
      ],
      [
        'view "visitor" reads topics of unequal partitions: visit 2, outcome 3',
        'one task reads all their partitions then, and processes cannot share it: give these events the same `partitions`',
      ],
      [
        'view "page" reads topics of unequal partitions: visit 2, outcome 3',
        'one task reads all their partitions then, and processes cannot share it: give these events the same `partitions`',
      ],
      [
        'model "buys" reads topics of unequal partitions: visit 2, outcome 3',
        'one task reads all their partitions then, and processes cannot share it: give these events the same `partitions`',
      ],
    ])
  })

  test('finds nothing wrong with the topics that a log has created', async () => {
    const topicPrefix = newPrefix()
    const log = await openKafkaLog({ brokers, topicPrefix, clientId: 'shop', now: Date.now })
    for (const name of ['visit', 'outcome', 'price']) await log.createTopic({ name, partitions: 3 })
    await log.close()
    const findings = await examine({ kafka: { brokers, topicPrefix } })
    expect(bad(findings)).toEqual([])
    expect(findings.map(({ found }) => found)).toContain('3 topics are as the topology declares them')
  })

  test('says how an application is split, and goes by the tasks that it began with', async () => {
    const tasksOf = (findings: readonly Finding[]) =>
      findings.filter(({ area }) => area === 'tasks').map(({ status, found }) => [status, found])
    const began = async (partitions: number, declaration = market) => {
      const topicPrefix = newPrefix()
      const log = await openKafkaLog({ brokers, topicPrefix, clientId: 'market', now: Date.now })
      await log.createTopic({ name: 'market-commits', partitions })
      await log.createTopic({ name: 'market-changelog', partitions, compacted: true })
      await log.close()
      return await examine({ declaration, kafka: { brokers, topicPrefix } })
    }
    const planned = [
      ['ok', '9 tasks, which as many processes can share'],
      ['ok', '"payment": a task for each of 4 partitions'],
      [
        'ok',
        '"sale", "refund": one task for all partitions, since model "fraud" learns from all partitions; the expectations of "sale" count over all partitions',
      ],
      ['ok', '"visit": a task for each of 4 partitions'],
    ]
    const empty = await examine({ declaration: market })
    expect(tasksOf(empty)).toEqual(planned)
    const asPlanned = await began(9)
    expect(bad(asPlanned)).toEqual([])
    expect(tasksOf(asPlanned)).toEqual(planned)
    expect(asPlanned.map(({ found }) => found)).toContain('2 topics are as the topology declares them')

    const asOne = await began(1)
    expect(bad(asOne)).toEqual([])
    expect(tasksOf(asOne)).toEqual([
      ['ok', expect.stringContaining('began as one task on this cluster and goes on as one')],
    ])
    const changed = await began(5)
    expect(tasksOf(changed)).toEqual([['failed', expect.stringContaining('began as 5 tasks')]])
    expect(bad(changed)).toHaveLength(1)
    const declaredOne = await began(1, { ...market, tasks: 'one' })
    expect(bad(declaredOne)).toEqual([])
    expect(tasksOf(declaredOne)).toEqual([['ok', 'one task, as the topology declares it']])
  })

  test('tells an address where nobody answers from a cluster that cannot be reached', async () => {
    const some = await examine({ kafka: { brokers: [nobody, ...brokers], patienceMs: 1_000 } })
    expect(bad(some).map(({ area, status, found }) => [area, status, found.slice(0, 30)])).toEqual([
      ['brokers', 'warning', `nobody answers at ${nobody}:`],
    ])
    expect(some.length).toBeGreaterThan(3)
    const none = await examine({ kafka: { brokers: [nobody], patienceMs: 1_000 } })
    expect(none.map(({ area, status }) => [area, status])).toEqual([
      ['brokers', 'failed'],
      ['registry', 'ok'],
    ])
  })

  test('sees how far the clocks are apart', async () => {
    const slow = await examine({ now: () => Date.now() - 7_200_000, probe: true })
    const clock = slow.find(({ area }) => area === 'clock')
    expect(clock?.found).toMatch(/^the broker's clock is (7199\d\d\d|720\d\d\d\d) ms ahead of this one/)
    expect(clock?.status).toBe('warning')
    const declaration = { ...shop, maxAheadMs: 3_600_000 }
    const beyond = await examine({ declaration, now: () => Date.now() + 7_200_000, probe: true })
    expect(beyond.find(({ area }) => area === 'clock')).toMatchObject({
      status: 'failed',
      found: expect.stringContaining('ms behind this one'),
    })
  })

  test.skipIf(guarded === undefined)('says what a user without rights may not do', async () => {
    if (guarded === undefined) return
    const { brokers: doors, guest: username, password } = guarded
    const sasl = { mechanism: 'plain', username, password } as const
    const findings = await examine({ kafka: { brokers: doors, sasl, patienceMs: 2_000 }, probe: true })
    expect(bad(findings)).toMatchObject([
      { area: 'permissions', found: expect.stringMatching(/^\d+ topics are missing or may not be seen, /) },
      {
        area: 'permissions',
        found: expect.stringMatching(
          /may not commit positions to group "shop": .*GROUP_AUTHORIZATION_FAILED/,
        ),
      },
      {
        area: 'permissions',
        found: expect.stringMatching(
          /may not share tasks out in group ".*shop-instances": .*GROUP_AUTHORIZATION_FAILED/,
        ),
      },
      { area: 'permissions', found: expect.stringContaining('a topic of the moment could not be written') },
    ])
    expect(findings.find(({ area }) => area === 'permissions')?.advice).toContain(
      `kafka-topics.sh --bootstrap-server ${doors[0]} --create --topic shop-commits --partitions 4 --config cleanup.policy=delete --config retention.ms=-1`,
    )
    const wrong = await examine({
      kafka: { brokers: doors, sasl: { ...sasl, password: 'guessed' }, patienceMs: 1_000 },
    })
    expect(bad(wrong)).toMatchObject([{ area: 'brokers', status: 'failed' }])
  })

  test('asks the registry whether it takes the declared schemas', async () => {
    const kafka = { brokers, topicPrefix: newPrefix(), registry: { urls: [registry.url] } }
    const post = (subject: string, schema: object) =>
      fetch(`${registry.url}/subjects/${subject}/versions`, {
        method: 'POST',
        body: JSON.stringify({ schema: JSON.stringify(schema) }),
      })
    await post('visit-value', { type: 'record', name: 'Visit', fields: [{ name: 'visitId', type: 'int' }] })
    const findings = (await examine({ kafka })).filter(({ area }) => area === 'registry')
    expect(findings.filter(({ status }) => status === 'failed').map(({ found }) => found)).toContainEqual(
      expect.stringContaining('the schema of "visit-value" is refused: field "visitId"'),
    )
    registry.failWith = { status: 500 }
    const silent = await examine({ kafka: { ...kafka, registry: { urls: [registry.url], retries: 0 } } })
    registry.failWith = undefined
    expect(silent.filter(({ area }) => area === 'registry')).toMatchObject([{ status: 'failed' }])
  })

  test('speaks on the command line, and its exit code is the verdict', async () => {
    const config = join(folder, 'kafka.json')
    writeFileSync(config, JSON.stringify({ topicPrefix: newPrefix() }))
    const movies = 'topology/examples/movies/topology.ts'
    const args = ['--kafka', brokers.join(','), '--kafka-config', config]
    const { code, out } = await headwater(['kafka', 'doctor', movies, ...args])
    expect(out).toMatch(/\nready: \d+ ok, 0 warnings, 0 failed\n$/)
    expect(code).toBe(0)
    writeFileSync(config, JSON.stringify({ patienceMs: 500 }))
    const lost = await headwater(['kafka', 'doctor', '--kafka', nobody, '--kafka-config', config, '--json'])
    expect(
      lost.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { area: 'brokers', status: 'failed', advice: expect.stringContaining('check the address') },
      { area: 'registry', status: 'ok' },
    ])
    expect(lost.code).toBe(1)
  })
})
