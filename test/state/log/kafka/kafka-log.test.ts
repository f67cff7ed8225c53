import { randomBytes } from 'node:crypto'
import kafkajs, { type Admin } from 'kafkajs'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { type KafkaLog, openKafkaLog } from '../../../../state/log/kafka/kafka-log.ts'
import type { KafkaLogOptions } from '../../../../state/log/kafka/kafka-options.ts'
import type { LogWriter } from '../../../../state/log/log.ts'
import { logSuite } from '../../../conformance/log.suite.ts'
import { startKafkaBroker } from '../../../support/kafka-broker.ts'
import { readAll, writeRecord } from '../../../support/log-records.ts'

const broker = await startKafkaBroker()
const brokers = 'missing' in broker ? [] : broker.brokers

afterAll(async () => {
  if (!('missing' in broker)) await broker.stop()
})

const open = (topicPrefix: string) =>
  openKafkaLog({ brokers, clientId: 'conformance', now: Date.now, topicPrefix })

describe.skipIf('missing' in broker)('against a broker', () => {
  logSuite(
    'Kafka',
    async () => {
      const prefix = `${randomBytes(6).toString('hex')}.`
      return { log: await open(prefix), reopen: () => open(prefix) }
    },
    undefined,
    { offsetsPerCommit: 1, runs: 6 },
  )
})

let prefix = ''
const opened: KafkaLog[] = []
const openLog = async (options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> => {
  const settings = { brokers, clientId: 'behaviour', now: Date.now, topicPrefix: prefix, ...options }
  const log = await openKafkaLog(settings)
  opened.push(log)
  return log
}
const freshLog = async (options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> => {
  prefix = `${randomBytes(6).toString('hex')}.`
  const log = await openLog(options)
  await log.createTopic({ name: 'events', partitions: 2 })
  return log
}

afterEach(async () => {
  for (const log of opened.splice(0)) await log.close()
})

const put = (writer: LogWriter, partition: number, value: string, timestampMs = 1_000) =>
  writeRecord(writer, 'events', partition, { key: 'k', value, timestampMs })

const valuesOf = async (log: KafkaLog, partition: number, maxBytes?: number) =>
  (await readAll(log, 'events', partition, undefined, maxBytes)).map(({ value }) => value)

const failure = async (work: unknown): Promise<unknown> =>
  Promise.resolve(work).then(
    () => 'none',
    (error: unknown) => error,
  )

/** The cluster's own client, for what other programs do. */
const kafkaOf = () => {
  const { Kafka, logLevel } = kafkajs
  return new Kafka({ brokers: [...brokers], clientId: 'other', logLevel: logLevel.NOTHING })
}

const withAdmin = async (work: (admin: Admin) => Promise<unknown>): Promise<void> => {
  const admin = kafkaOf().admin()
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.disconnect()
  }
}

describe.skipIf('missing' in broker)('writing', () => {
  test('a commit larger than a batch may be is split, and stays one commit', async () => {
    const log = await freshLog({ maxRecordBytes: 10_000 })
    const writer = await log.writer('w')
    const written = Array.from({ length: 400 }, (_, index) => `${index}`.padStart(8_000, '.'))
    for (const [index, value] of written.entries()) put(writer, index % 2, value)
    const { firstOffsets } = await writer.commit()
    expect([...firstOffsets]).toEqual([
      ['events\x000', 0n],
      ['events\x001', 0n],
    ])
    const read = [await valuesOf(log, 0), await valuesOf(log, 1)]
    expect(read).toEqual([0, 1].map((odd) => written.filter((_, index) => index % 2 === odd)))
    // One marker behind each partition's records, so it was one transaction.
    expect(await log.offsets('events', 0)).toEqual({ start: 0n, end: 201n })
  })

  test('commits that come together share transactions, in order, each with its own offsets', async () => {
    const log = await freshLog()
    const writer = await log.writer('w')
    const tickets = Array.from({ length: 100 }, (_, index) => {
      put(writer, 0, `${index}`)
      return writer.commit([{ topic: 'events', partition: 1, offset: BigInt(index) }])
    })
    const firsts = (await Promise.all(tickets)).map(({ firstOffsets }) => firstOffsets.get('events\x000'))
    const records = await readAll(log, 'events', 0)
    expect(records.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`))
    expect(firsts).toEqual(records.map(({ offset }) => BigInt(offset)))
    await expect.poll(() => log.consumed('events', 1), { timeout: 10_000 }).toBe(99n)
    const { end } = await log.offsets('events', 0)
    expect(Number(end)).toBeLessThan(110)
  })

  test('of commits that come together only the one that is refused fails', async () => {
    const log = await freshLog({ maxRecordBytes: 900_000 })
    const writer = await log.writer('w')
    await withAdmin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: `${prefix}events`,
            configEntries: [{ name: 'max.message.bytes', value: '1000' }],
          },
        ],
      }),
    )
    await expect
      .poll(async () => {
        put(writer, 1, 'x'.repeat(2_000))
        return failure(writer.commit())
      })
      .toMatchObject({
        code: 'kafka-refused',
        context: { detail: expect.stringContaining('MESSAGE_TOO_LARGE') },
      })
    const commits = ['a', 'y'.repeat(2_000), 'b', 'c'].map((value) => {
      put(writer, 0, value)
      return failure(writer.commit())
    })
    const outcomes = await Promise.all(commits)
    expect(outcomes.map((outcome) => outcome instanceof Error)).toEqual([false, true, false, false])
  })

  test('positions alone make a commit', async () => {
    const log = await freshLog()
    const writer = await log.writer('w')
    expect(await log.consumed('events', 0)).toBe(undefined)
    await writer.commit([{ topic: 'events', partition: 0, offset: 2n ** 40n }])
    // The broker answers before the marker of the transaction is written with the offsets.
    await expect.poll(() => log.consumed('events', 0), { timeout: 10_000 }).toBe(2n ** 40n)
    expect(await log.offsets('events', 0)).toEqual({ start: 0n, end: 0n })
  })

  test('a record that is ahead of the clock tells when it was written', async () => {
    const log = await freshLog({ now: () => 5_000 })
    const writer = await log.writer('w')
    for (const timestampMs of [4_999, 5_001, 8e12]) put(writer, 0, 'v', timestampMs)
    await writer.commit()
    const batch = await log.read({ topic: 'events', partition: 0, offset: 0n, maxBytes: 1e6 })
    expect([...batch.timestampsMs]).toEqual([4_999, 5_001, 8e12])
    expect([...batch.appendedAtMs]).toEqual([4_999, 5_000, 5_000])
    expect([0, 1, 2].map((index) => batch.headers(index))).toEqual([[], [], []])
  })
})

describe.skipIf('missing' in broker)('reading', () => {
  test.each([
    ['far ahead', {}],
    ['in small fetches', { fetchBytes: 2_000 }],
    ['with nothing read ahead', { fetchBytes: 2_000, prefetchBytes: 0 }],
  ])('%s gives every record once, in order', async (_, options) => {
    const log = await freshLog(options)
    const writer = await log.writer('w')
    const written = Array.from({ length: 500 }, (_, index) => `${index}`.padStart(100, '.'))
    for (const [index, value] of written.entries()) {
      put(writer, 0, value)
      if (index % 50 === 49) await writer.commit()
    }
    expect(await valuesOf(log, 0)).toEqual(written)
    expect(await valuesOf(log, 0, 777)).toEqual(written)
  })

  test('appended wakes for what another process writes to a partition that was read', async () => {
    const log = await freshLog()
    expect(await valuesOf(log, 0)).toEqual([])
    const empty = await log.read({ topic: 'events', partition: 0, offset: 0n, maxBytes: 1e6 })
    expect(empty.count).toBe(0)
    const elsewhere = await openLog()
    const writer = await elsewhere.writer('w')
    for (const value of ['one', 'two']) {
      const { end } = await log.offsets('events', 0)
      const woken = log.appended(new AbortController().signal)
      put(writer, 0, value)
      await writer.commit()
      await woken
      const batch = await log.read({ topic: 'events', partition: 0, offset: end, maxBytes: 1e6 })
      expect(batch.bytes.toString('utf8', batch.valueStart[0], batch.valueEnd[0])).toBe(value)
    }
  })

  test('a time finds a record, not a marker or what was rolled back', async () => {
    const log = await freshLog()
    const producer = kafkaOf().producer({
      transactionalId: `${prefix}t`,
      maxInFlightRequests: 1,
      idempotent: true,
    })
    await producer.connect()
    const aborted = await producer.transaction()
    const messages = [{ key: 'k', value: 'aborted', partition: 0, timestamp: '3000' }]
    await aborted.send({ topic: `${prefix}events`, messages })
    await aborted.abort()
    await producer.disconnect()
    const writer = await log.writer('w')
    for (const timestampMs of [1_000, 2_000, 3_000]) {
      put(writer, 0, `${timestampMs}`, timestampMs)
      await writer.commit()
    }
    const found: bigint[] = []
    for (const atMs of [0, 1_000, 1_001, 2_500, 3_001]) found.push(await log.offsetForTime('events', 0, atMs))
    expect(found).toEqual([2n, 2n, 4n, 6n, 8n])
  })

  test('what other programs write with gzip, and a compression that is not known', async () => {
    const log = await freshLog()
    const producer = kafkaOf().producer()
    await producer.connect()
    const topic = `${prefix}events`
    const messages = ['one', 'two'].map((value) => ({ key: null, value, partition: 0, timestamp: '1000' }))
    await producer.send({ topic, messages, compression: kafkajs.CompressionTypes.GZIP })
    await producer.send({ topic, messages })
    await producer.disconnect()
    expect(await valuesOf(log, 0)).toEqual(['one', 'two', 'one', 'two'])
  })

  test('a topic that another process deleted is unknown', async () => {
    const log = await freshLog()
    expect(await valuesOf(log, 0)).toEqual([])
    await withAdmin((admin) => admin.deleteTopics({ topics: [`${prefix}events`] }))
    await expect
      .poll(() => failure(log.read({ topic: 'events', partition: 0, offset: 0n, maxBytes: 1e6 })))
      .toMatchObject({ code: 'topic-unknown', context: { topic: 'events', known: [] } })
  })
})

describe.skipIf('missing' in broker)('topics', () => {
  test('of which the broker sets the times, or that take only short records, do not fit', async () => {
    const log = await freshLog()
    const configured = (topic: string, name: string, value: string) => ({
      topic: prefix + topic,
      numPartitions: 1,
      configEntries: [{ name, value }],
    })
    await withAdmin((admin) =>
      admin.createTopics({
        topics: [
          configured('timed', 'message.timestamp.type', 'LogAppendTime'),
          configured('short', 'max.message.bytes', '1000'),
          configured('kept', 'cleanup.policy', 'compact'),
        ],
      }),
    )
    expect(await failure(log.createTopic({ name: 'timed', partitions: 1, retentionMs: 1e9 }))).toMatchObject({
      code: 'topic-mismatch',
      context: { topic: 'timed', what: 'message.timestamp.type', found: 'LogAppendTime' },
    })
    expect(await failure(log.createTopic({ name: 'short', partitions: 1, retentionMs: 1e9 }))).toMatchObject({
      code: 'topic-mismatch',
      context: { topic: 'short', what: 'max.message.bytes', found: '1000' },
    })
    const tool = (name: string) => `${name}.sh --bootstrap-server ${brokers[0]} --alter`
    expect(await failure(log.createTopic({ name: 'kept', partitions: 1 }))).toMatchObject({
      code: 'topic-mismatch',
      message: `topic "kept" has compacted true, wanted is false; change it: ${tool('kafka-configs')} --entity-type topics --entity-name ${prefix}kept --add-config cleanup.policy=[delete]`,
    })
    expect(await failure(log.createTopic({ name: 'kept', partitions: 3, compacted: true }))).toMatchObject({
      message: `topic "kept" has partitions 1, wanted is 3; declare 1, or, while it is empty: ${tool('kafka-topics')} --topic ${prefix}kept --partitions 3`,
    })
  })

  test('of another prefix, and the cluster own ones, are out of sight', async () => {
    const log = await freshLog()
    await log.createTopic({ name: 'more', partitions: 1 })
    const writer = await log.writer('w')
    await writer.commit([{ topic: 'events', partition: 0, offset: 0n }])
    expect((await log.topics()).map(({ name }) => name)).toEqual(['events', 'more'])
    const all = await openLog({ topicPrefix: '' })
    const names = (await all.topics()).map(({ name }) => name)
    expect(names).toContain(`${prefix}events`)
    expect(names.filter((name) => name.startsWith('__'))).toEqual([])
  })
})

const door = 'missing' in broker ? undefined : broker.guarded

describe.skipIf(door === undefined)('a broker that wants a password', () => {
  // A skipped suite's body runs all the same.
  const { username = '', password = '', brokers: guarded = [] } = door ?? {}

  test('takes the right one', async () => {
    const log = await freshLog({ brokers: guarded, sasl: { mechanism: 'plain', username, password } })
    const writer = await log.writer('w')
    put(writer, 0, 'v')
    await writer.commit()
    expect(await valuesOf(log, 0)).toEqual(['v'])
  })

  test('refuses a wrong one at once, and the password is not told', async () => {
    const sasl = { mechanism: 'plain', username, password: 'hush' } as const
    const error = await failure(freshLog({ brokers: guarded, sasl }))
    expect(error).toMatchObject({ code: 'kafka-refused', context: { operation: 'connecting' } })
    expect((error as Error).message).not.toContain('hush')
  })
})

test('a cluster that is not there is unavailable', async () => {
  const options = { brokers: ['127.0.0.1:1'], clientId: 'a', now: Date.now, patienceMs: 100 }
  expect(await failure(openKafkaLog(options))).toMatchObject({ code: 'kafka-unavailable', retriable: true })
})
