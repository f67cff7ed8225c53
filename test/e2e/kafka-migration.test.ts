import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tasksOnLog } from '../../replay/task-plan.ts'
import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import { type KafkaLog, openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { PlacedWriter } from '../../state/log/kafka/placed-writer.ts'
import type { Log } from '../../state/log/log.ts'
import { copyAll, type Migration, planMigration, verifyMigration } from '../../topology/cli/migration.ts'
import { Instance } from '../../topology/cluster/instance.ts'
import { Engine } from '../../topology/index.ts'
import { endAll, headwater } from '../support/command-line.ts'
import { startKafkaBroker } from '../support/kafka-broker.ts'
import { type NewRecord, readAll, writeRecord } from '../support/log-records.ts'
import { market, marketEvents } from '../support/market-topology.ts'
import { type ShopEvent, seeded, shop, shopEvents } from '../support/shop-topology.ts'

/* An embedded log that outgrew its process goes to a cluster: nothing is lost, nothing is doubled. */

const broker = await startKafkaBroker()
const brokers = 'missing' in broker ? [] : broker.brokers
const now = () => 1_800_000_000_000
const migrator = fileURLToPath(new URL('../support/migration-child.ts', import.meta.url))

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-migration-'))
})
afterAll(async () => {
  endAll()
  rmSync(root, { recursive: true, force: true })
  if (!('missing' in broker)) await broker.stop()
})

const opened: { close(): Promise<void> }[] = []
const keep = <Opened extends { close(): Promise<void> }>(each: Opened): Opened => {
  opened.push(each)
  return each
}
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close()
})

let prefixes = 0
const newPrefix = () => `moved${process.pid}.${prefixes++}.`
const options = (topicPrefix: string) => ({ brokers, topicPrefix, clientId: 'moved', now })
const openTarget = async (prefix: string): Promise<KafkaLog> => keep(await openKafkaLog(options(prefix)))

async function migrate(source: Log, target: KafkaLog, prefix: string) {
  const migration: Migration = { source, target, targetName: (topic) => topic, onRecords: () => {} }
  const plan = await planMigration(migration)
  const writer = await PlacedWriter.open(options(prefix))
  try {
    await copyAll(migration, plan, writer)
  } finally {
    await writer.close()
  }
  return { plan, moved: await verifyMigration(migration, plan) }
}

/** Everything of a log: the offsets of each partition, and its records with both their times. */
async function everything(log: Log, topics: readonly string[]) {
  const all: Record<string, unknown> = {}
  for (const { name, partitions } of await log.topics()) {
    if (!topics.includes(name)) continue
    for (let partition = 0; partition < partitions; partition++) {
      all[`${name}[${partition}]`] = {
        offsets: await log.offsets(name, partition),
        records: await readAll(log, name, partition),
      }
    }
  }
  return all
}

describe.skipIf('missing' in broker)('a log that is migrated', () => {
  test('keeps offsets, times, keys, tombstones and headers, and is not copied twice', async () => {
    const source = keep(await openEmbeddedLog({ path: join(root, 'plain'), now }))
    await source.createTopic({ name: 'events', partitions: 3 })
    await source.createTopic({ name: 'unused', partitions: 1 })
    const writer = await source.writer('test')
    const random = seeded(7)
    const records: NewRecord[] = Array.from({ length: 3_000 }, (_, number) => ({
      timestampMs: 1_500_000_000_000 + Math.floor(random() * 1e12) - 5e11,
      key: number % 7 === 0 ? null : `key-${number % 50}`,
      value: number % 11 === 0 ? null : `${number} ${'x'.repeat(Math.floor(random() * 300))}`,
      headers:
        number % 5 === 0
          ? [
              { name: 'trace', value: Buffer.from([0, number & 0xff]) },
              { name: '', value: Buffer.alloc(0) },
            ]
          : [],
    }))
    for (const [number, record] of records.entries()) {
      writeRecord(writer, 'events', number % 2, record)
      if (number % 100 === 99) await writer.commit()
    }
    // Ahead of the clock: when it was appended decides whether the engine takes it.
    writeRecord(writer, 'events', 0, { key: 'k', value: 'early', timestampMs: now() + 5_000 })
    await (await writer.commit()).durable

    const prefix = newPrefix()
    const target = await openTarget(prefix)
    const { plan, moved } = await migrate(source, target, prefix)
    expect(plan).toMatchObject({ left: 3_001, total: 3_001, hasGoneOn: false })
    expect(moved.map(({ topic, partition, records: count }) => [topic, partition, count])).toEqual([
      ['events', 0, 1_501],
      ['events', 1, 1_500],
      ['events', 2, 0],
      ['unused', 0, 0],
    ])
    const topics = ['events', 'unused']
    expect(await everything(target, topics)).toEqual(await everything(source, topics))
    const last = { topic: 'events', partition: 0, offset: 1_500n, maxBytes: 1 }
    expect([...(await target.read(last)).appendedAtMs]).toEqual([now()])

    const again = await migrate(source, target, prefix)
    expect(again.plan).toMatchObject({ left: 0, total: 3_001 })
    expect(again.moved).toEqual(moved)
    expect(await everything(target, topics)).toEqual(await everything(source, topics))
  })

  test('begins at the offset that retention has left, also where nothing is left', async () => {
    const path = join(root, 'short')
    const source = keep(await openEmbeddedLog({ path, now, segmentBytes: 4_000 }))
    await source.createTopic({ name: 'short', partitions: 2, retentionMs: 10_000 })
    const writer = await source.writer('test')
    for (let number = 0; number < 400; number++) {
      const partition = number < 100 ? 1 : 0
      writeRecord(writer, 'short', partition, {
        key: `${number}`,
        value: 'v'.repeat(100),
        timestampMs: 1_000 * number,
      })
      await (await writer.commit()).durable
    }
    const { start: first } = await source.offsets('short', 0)
    expect(Number(first)).toBeGreaterThan(100)
    expect(await source.offsets('short', 1)).toEqual({ start: 100n, end: 100n })
    const prefix = newPrefix()
    const target = await openTarget(prefix)
    const { moved } = await migrate(source, target, prefix)
    expect(moved.map(({ start: at, end, records }) => [at, end, records])).toEqual([
      [Number(first), 300, 300 - Number(first)],
      [100, 100, 0],
    ])
    expect(await everything(target, ['short'])).toEqual(await everything(source, ['short']))
  })

  test('keeps the holes that compaction has left', async () => {
    const path = join(root, 'holes')
    const source = keep(await openEmbeddedLog({ path, now, segmentBytes: 2_000 }))
    await source.createTopic({ name: 'latest', partitions: 1, compacted: true })
    const writer = await source.writer('test')
    const random = seeded(3)
    for (let number = 0; number < 300; number++) {
      const key = `key-${Math.floor(random() * 60)}`
      writeRecord(writer, 'latest', 0, { key, value: `${number} ${'v'.repeat(30)}`, timestampMs: number })
      await (await writer.commit()).durable
    }
    const { records } = (await everything(source, ['latest']))['latest[0]'] as { records: unknown[] }
    expect(records.length).toBeLessThan(250)
    const prefix = newPrefix()
    const target = await openTarget(prefix)
    await migrate(source, target, prefix)
    const there = (await everything(target, ['latest']))['latest[0]'] as { records: unknown[] }
    expect(there.records).toEqual(records)
    expect((await target.offsets('latest', 0)).end).toBe(300n)
  })

  test('goes on wherever it was interrupted, within a run of missing offsets too', async () => {
    const path = join(root, 'stepwise')
    const source = keep(await openEmbeddedLog({ path, now, segmentBytes: 4_000 }))
    await source.createTopic({ name: 'short', partitions: 1, retentionMs: 10_000 })
    const writer = await source.writer('test')
    for (let number = 0; number < 200; number++) {
      const record = { key: `${number}`, value: 'v'.repeat(100), timestampMs: 1_000 * number }
      writeRecord(writer, 'short', 0, record)
      await (await writer.commit()).durable
    }
    const prefix = newPrefix()
    const target = await openTarget(prefix)
    const spec = { name: 'short', partitions: 1 }
    await target.createTopic(spec)
    const first = Number((await source.offsets('short', 0)).start)
    const stops = [1, 2, 37, first - 1, first]
    for (const [index, stop] of stops.entries()) {
      const placed = await PlacedWriter.open(options(prefix))
      await placed.skip(spec, 0, stops[index - 1] ?? 0, stop)
      await placed.close()
      expect(
        await planMigration({ source, target, targetName: (name) => name, onRecords: () => {} }),
      ).toMatchObject({
        left: 200 - first,
      })
    }
    const placed = await PlacedWriter.open(options(prefix))
    const some = await source.read({
      topic: 'short',
      partition: 0,
      offset: BigInt(first),
      maxBytes: 1 << 20,
      maxRecords: 3,
    })
    await placed.write(spec, 0, some)
    await placed.close()
    const { plan } = await migrate(source, target, prefix)
    expect(plan.left).toBe(200 - first - 3)
    expect(await everything(target, ['short'])).toEqual(await everything(source, ['short']))
    const late = await PlacedWriter.open(options(prefix))
    await expect(late.write(spec, 0, some)).rejects.toMatchObject({ code: 'migration-refused' })
    await late.close()
  })

  test('is refused by a cluster that holds something else, or has gone on', async () => {
    const source = keep(await openEmbeddedLog({ path: join(root, 'refused'), now }))
    await source.createTopic({ name: 'events', partitions: 1 })
    const own = await source.writer('test')
    const put = async (writer: typeof own, value: string) => {
      writeRecord(writer, 'events', 0, { key: 'k', value, timestampMs: 1 })
      await (await writer.commit()).durable
    }
    for (const value of ['a', 'b', 'c']) await put(own, value)

    const foreign = newPrefix()
    const other = await openTarget(foreign)
    await other.createTopic({ name: 'events', partitions: 1 })
    await put(await other.writer('someone'), 'x')
    await expect(migrate(source, other, foreign)).rejects.toMatchObject({
      code: 'migration-refused',
      message: expect.stringContaining('"events": partition 0 holds other data'),
    })
    expect((await readAll(other, 'events', 0)).map(({ value }) => value)).toEqual(['x'])

    const unlike = newPrefix()
    const wide = await openTarget(unlike)
    await wide.createTopic({ name: 'events', partitions: 2 })
    await expect(migrate(source, wide, unlike)).rejects.toMatchObject({ code: 'topic-mismatch' })

    const prefix = newPrefix()
    const target = await openTarget(prefix)
    await migrate(source, target, prefix)
    await put(await target.writer('someone'), 'd')
    const { plan } = await migrate(source, target, prefix)
    expect(plan).toMatchObject({ left: 0, hasGoneOn: true })
    await source.createTopic({ name: 'later', partitions: 1 })
    writeRecord(own, 'later', 0, { key: 'k', value: 'e', timestampMs: 1 })
    await (await own.commit()).durable
    await expect(migrate(source, target, prefix)).rejects.toMatchObject({
      code: 'migration-refused',
      message: expect.stringContaining('two histories'),
    })
  })
})

describe.skipIf('missing' in broker)('an application that is migrated', () => {
  const module = fileURLToPath(new URL('../support/shop-topology.ts', import.meta.url))
  const topology = () => {
    const path = join(root, 'shop.ts')
    writeFileSync(path, `import { shop } from ${JSON.stringify(module)}\nexport default shop\n`)
    return path
  }
  const commandLine = (data: string, topicPrefix: string): readonly string[] => {
    const config = join(root, `${topicPrefix}json`)
    writeFileSync(config, JSON.stringify({ topicPrefix }))
    const cluster = ['--kafka', brokers.join(','), '--kafka-config', config]
    return ['migrate', '--to', 'kafka', '--data', data, '--topology', topology(), ...cluster]
  }
  const bring = async (engine: Engine, events: readonly ShopEvent[]) => {
    await engine.importer.run(
      'shop-events',
      events.map((event) => [event]),
    )
    engine.run()
    await engine.caughtUp()
  }
  /** An embedded application with a past: two starts, a crash between them, a request that was answered. */
  const past = async (name: string, events: readonly ShopEvent[]) => {
    const data = join(root, name)
    const first = await Engine.open({ topology: shop, now, data, task: { batchRecords: 50 } })
    await bring(first, events.slice(0, events.length / 2))
    await first.abort()
    const second = await Engine.open({ topology: shop, now, data })
    await bring(second, events)
    const answered = await second.predict('buys', { visitId: 'asked', visitor: 'ada', page: '/hats' })
    await second.caughtUp()
    const digest = await second.digest()
    await second.close()
    return { data, answered, digest }
  }

  test('has the same digest on Kafka, with its state and without, and goes on as it would have', {
    timeout: 120_000,
  }, async () => {
    const events = shopEvents(900)
    const { data, answered, digest } = await past('shop', events.slice(0, 600))
    const topicPrefix = newPrefix()
    const command = commandLine(data, topicPrefix)

    const dry = await headwater([...command, '--dry-run', '--json'])
    expect(JSON.parse(dry.out)).toMatchObject({ dryRun: true })
    const target = await openTarget(topicPrefix)
    expect(await target.topics()).toEqual([])

    const { code, out, errors } = await headwater(command)
    expect(errors).toContain('verifying: ')
    expect(out).toContain('records are on Kafka, equal to those of the embedded log.')
    expect(code).toBe(0)

    const kafka = { brokers, topicPrefix }
    const anew = await Engine.open({ topology: shop, now, kafka })
    expect(await anew.digest()).toBe(digest)
    expect(await anew.prediction('buys', 'asked')).toEqual(answered)
    await anew.close()
    const state = join(root, 'shop-state')
    cpSync(join(data, 'state'), join(state, 'state'), { recursive: true })
    const kept = await Engine.open({ topology: shop, now, kafka, data: state })
    expect(kept.recovered.records).toBe(0)
    expect(await kept.digest()).toBe(digest)
    expect(await kept.prediction('buys', 'asked')).toEqual(answered)

    // The import goes on behind what the embedded log had brought, and both come to the same.
    await bring(kept, events)
    const stayed = await Engine.open({ topology: shop, now, data })
    await bring(stayed, events)
    expect(kept.model('buys').tally()).toEqual(stayed.model('buys').tally())
    const key = ['visitor-3']
    expect(await kept.features('visitor', key, 1_700_020_000_000)).toEqual(
      await stayed.features('visitor', key, 1_700_020_000_000),
    )
    await kept.close()
    await stayed.close()

    const refused = await headwater(command)
    expect(refused.errors).toContain('[migration-refused]')
    expect(refused.code).toBe(3)
  })

  test('goes on as the one task that it was, though on a cluster of its own it would be several', {
    timeout: 120_000,
  }, async () => {
    const path = join(root, 'market.ts')
    const support = fileURLToPath(new URL('../support/market-topology.ts', import.meta.url))
    writeFileSync(path, `export { market as default } from ${JSON.stringify(support)}\n`)
    const data = join(root, 'market')
    const events = marketEvents(5, 60)
    const middle = events.payment[30]!.at
    const append = async (engine: Engine, isFirst: boolean) => {
      engine.run()
      for (const [name, values] of Object.entries(events) as [string, readonly { readonly at: number }[]][]) {
        await engine.append(
          name,
          values.filter(({ at }) => at < middle === isFirst),
        )
      }
      await engine.caughtUp()
    }
    const first = await Engine.open({ topology: market, now, data })
    await append(first, true)
    const digest = await first.digest()
    await first.close()

    const topicPrefix = newPrefix()
    const config = join(root, 'market.json')
    writeFileSync(config, JSON.stringify({ topicPrefix }))
    const cluster = ['--kafka', brokers.join(','), '--kafka-config', config]
    const migrated = await headwater([
      'migrate',
      '--to',
      'kafka',
      '--data',
      data,
      '--topology',
      path,
      ...cluster,
    ])
    expect(migrated).toMatchObject({ code: 0 })
    const target = await openTarget(topicPrefix)
    expect(tasksOnLog(market, await target.topics())).toEqual([market])

    const state = join(root, 'market-state')
    const run = await headwater(['run', path, '--once', '--data', state, ...cluster, '--json'])
    expect(JSON.parse(run.out)).toMatchObject({ digest, predictions: 30 })
    const audited = await headwater(['replay', 'audit', '--topology', path, ...cluster, '--json'])
    expect(JSON.parse(audited.out)).toEqual({ predictions: 30, mismatches: 0, unpaired: 0, examples: [] })
    const doctor = await headwater(['kafka', 'doctor', path, '--no-probe', ...cluster])
    expect(doctor).toMatchObject({
      code: 0,
      out: expect.stringContaining('began as one task on this cluster'),
    })

    let begun: (engine: Engine) => void
    const engineOfInstance = new Promise<Engine>((resolve) => {
      begun = resolve
    })
    const instance = await Instance.start({
      topology: market,
      data: state,
      kafka: { brokers, topicPrefix },
      url: 'http://127.0.0.1:1',
      now,
      begin: async (engine) => begun(engine),
    })
    const engine = await engineOfInstance
    expect(engine.assembly.task.id).toBe('market-0')
    await append(engine, false)
    expect(await engine.features('customer', [3], now())).toMatchObject({
      paid: events.payment.reduce((sum, { customer, amount }) => sum + (customer === 3 ? amount : 0), 0),
    })
    expect(engine.model('fraud').tally()).toMatchObject({ predictions: 60 })
    await instance.close()
  })

  test('is warned of what the cluster would drop, and a record that does not fit is found before any is written', {
    timeout: 60_000,
  }, async () => {
    const data = join(root, 'warned')
    const source = await openEmbeddedLog({ path: join(data, 'log'), now })
    await source.createTopic({ name: 'visit', partitions: 3, retentionMs: 3_600_000 })
    const writer = await source.writer('test')
    const put = async (value: string) => {
      writeRecord(writer, 'visit', 1, { key: 'k', value, timestampMs: 1_000 })
      await (await writer.commit()).durable
    }
    await put('old')
    await source.close()
    const topicPrefix = newPrefix()
    const { out, code } = await headwater([...commandLine(data, topicPrefix), '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      records: 1,
      warnings: [expect.stringMatching(/^topic "visit" keeps 3600000 ms, by the clock once it is on Kafka/)],
    })
    const target = await openTarget(topicPrefix)
    expect((await readAll(target, 'visit', 1)).map(({ value }) => value)).toEqual(['old'])

    const again = await openEmbeddedLog({ path: join(data, 'log'), now })
    const more = await again.writer('test')
    writeRecord(more, 'visit', 2, { key: 'k', value: 'v'.repeat(1_000_001), timestampMs: 1_000 })
    await (await more.commit()).durable
    await again.close()
    const other = newPrefix()
    const refused = await headwater([...commandLine(data, other), '--dry-run'])
    expect([refused.code, refused.errors]).toEqual([
      3,
      expect.stringContaining('the limit is 1000000; split it or raise maxRecordBytes [record-too-large]'),
    ])
    expect(await (await openTarget(other)).topics()).toEqual([])
  })

  test('is not migrated under a running engine', async () => {
    const data = join(root, 'busy')
    const engine = keep(await Engine.open({ topology: shop, now, data }))
    const { code, errors } = await headwater(commandLine(data, newPrefix()))
    expect([code, errors]).toEqual([3, expect.stringContaining('[log-locked]')])
    expect(engine.failure).toBeUndefined()
  })

  test('is whole when the migration was killed again and again', { timeout: 180_000 }, async () => {
    const { data, digest } = await past('killed', shopEvents(8_000))
    const topicPrefix = newPrefix()
    const command = commandLine(data, topicPrefix)
    const random = seeded(Number(process.env['KAFKA_SEED'] ?? 1))
    const kills = Number(process.env['KAFKA_KILLS'] ?? 3)
    const left: number[] = []
    for (let kill = 0; kill < kills; kill++) {
      const after = 1 + Math.floor((random() * 15_000) / kills)
      const args = [join(data, 'log'), brokers.join(','), topicPrefix, 'shop', `${after}`]
      const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), migrator, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let out = ''
      child.stdout.on('data', (chunk) => {
        out += chunk
      })
      const [, signal] = await once(child, 'close')
      expect(signal).toBe('SIGKILL')
      left.push(Number(out))
    }
    const dry = await headwater([...command, '--dry-run', '--json'])
    left.push(JSON.parse(dry.out).left)
    const { code, out } = await headwater([...command, '--json'])
    expect(code).toBe(0)
    const { records } = JSON.parse(out) as { records: number }
    // Each has brought some, none has brought all.
    expect(left).toEqual([...new Set(left)].sort((a, b) => b - a))
    expect(left.at(-1)).toBeGreaterThan(0)
    expect(left[0]).toBe(records)

    // A client of another make sees as many offsets as there are records.
    const client = new kafkajs.Kafka({
      brokers: [...brokers],
      clientId: 'other',
      logLevel: kafkajs.logLevel.NOTHING,
    })
    const admin = client.admin()
    await admin.connect()
    let offsets = 0
    for (const topic of await admin.listTopics()) {
      if (!topic.startsWith(topicPrefix)) continue
      for (const { low, high } of await admin.fetchTopicOffsets(topic)) offsets += Number(high) - Number(low)
    }
    await admin.disconnect()
    expect(offsets).toBe(records)
    const engine = await Engine.open({ topology: shop, now, kafka: { brokers, topicPrefix } })
    expect(await engine.digest()).toBe(digest)
    await engine.close()
  })
})
