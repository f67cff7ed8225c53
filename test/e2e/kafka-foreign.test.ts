import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import zlib from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { Engine } from '../../topology/index.ts'
import { FakeRegistryServer } from '../support/fake-registry-server.ts'
import { foreignClient } from '../support/foreign-client.ts'
import { startKafkaBroker } from '../support/kafka-broker.ts'
import { outcome, shop, shopEvents, visit } from '../support/shop-topology.ts'

/* Topics are shared with programs of other languages: each reads what the other wrote. */

const broker = await startKafkaBroker()
const foreign = await foreignClient()
const now = () => 1_800_000_000_000

let folder = ''
let registry: FakeRegistryServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-foreign-'))
  registry = await FakeRegistryServer.start()
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await registry.stop()
  if ('stop' in broker) await broker.stop()
})

type Row = Readonly<Record<string, unknown>> & { readonly at: number; readonly visitor: string }

/** The shop's events in event-time order, no two at once: then all ways of bringing them are the same. */
function orderedEvents(name: string, count: number): Row[] {
  const rows = shopEvents(count).filter(([event]) => event === name)
  const sorted = rows.map(([, value]) => value as Row).sort((a, b) => a.at - b.at)
  return sorted.map((row, index) => ({ ...row, at: row.at * 10 - 15_300_000_000_000 + index }))
}

test('another client writes what the engine reads, and reads what it writes', {
  timeout: 240_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  if (!('call' in foreign)) return context.skip(foreign.missing)
  const brokers = broker.brokers.join(',')
  const topicPrefix = `foreign-${process.pid}-`
  const where = { brokers, registry: registry.url, prefix: topicPrefix }
  const kafka = { brokers: broker.brokers, topicPrefix, registry: { urls: [registry.url] } }
  const visits = orderedEvents('visit', 700)
  const outcomes = orderedEvents('outcome', 700)
  // An earlier version of the event: there was no page yet.
  const { fields } = visit.schema as unknown as { fields: readonly { name: string }[] }
  const earlier = { ...(visit.schema as object), fields: fields.filter(({ name }) => name !== 'page') }
  const half = Math.floor(visits.length / 2)
  const oldVisits = visits.slice(0, half).map(({ page: _, ...rest }) => rest as Row)
  const keyed = (rows: readonly Row[]) => rows.map((value) => ({ key: value.visitor, value }))

  // The topics and the first schemas are there before the engine is: others have used them for a while.
  const log = await openKafkaLog({ brokers: broker.brokers, topicPrefix, clientId: 'shop', now })
  for (const name of ['visit', 'outcome']) await log.createTopic({ name, partitions: 3 })
  await log.close()
  const produce = (topic: string, keySchema: unknown, batches: readonly object[]) =>
    foreign({ do: 'produce', ...where, topic, keySchema, batches })
  const wrong = visits.slice(0, 5).map((row) => ({ ...row, visitId: `never-${String(row['visitId'])}` }))
  expect(
    await produce('visit', visit.keySchema, [
      { schema: earlier, commit: true, compression: 'none', records: keyed(oldVisits) },
      { schema: visit.schema, commit: false, compression: 'none', records: keyed(wrong) },
      { schema: visit.schema, commit: true, compression: 'gzip', records: keyed(visits.slice(half)) },
    ]),
  ).toEqual({ delivered: visits.length + wrong.length })
  // Node brings zstd from 22.15 on.
  const codecs = ['snappy', 'lz4', 'zstdDecompressSync' in zlib ? 'zstd' : 'gzip']
  const third = Math.ceil(outcomes.length / codecs.length)
  await produce('outcome', outcome.keySchema, [
    ...codecs.map((compression, index) => ({
      schema: outcome.schema,
      commit: true,
      compression,
      records: keyed(outcomes.slice(index * third, (index + 1) * third)),
    })),
  ])

  const engine = await Engine.open({ topology: shop, now, kafka, data: join(folder, 'state') })
  engine.run()
  await engine.caughtUp()

  // The same events, through the door of an engine that knows no Kafka.
  const oracle = await Engine.open({ topology: shop, now })
  await oracle.append(
    'visit',
    oldVisits.map((row) => ({ ...row, page: null })),
  )
  await oracle.append('visit', visits.slice(half))
  await oracle.append('outcome', outcomes)
  oracle.run()
  await oracle.caughtUp()
  const tally = oracle.model('buys').tally()
  expect(tally.predictions).toBe(visits.length)
  expect(engine.model('buys').tally()).toEqual(tally)

  const read = (await foreign({
    do: 'consume',
    ...where,
    topic: 'shop-predictions',
    count: visits.length,
  })) as {
    readonly more: boolean
    readonly records: readonly {
      readonly key: string
      readonly timestamp: number
      readonly value: {
        readonly requestId: string
        readonly output: number
        readonly features: string
        readonly predictedAt: number
      }
    }[]
  }
  expect(read.more).toBe(false)
  expect(read.records.map(({ key }) => key).sort()).toEqual(
    visits.map((row) => String(row['visitId'])).sort(),
  )
  for (const { key, timestamp, value } of read.records) {
    const expected = await oracle.prediction('buys', key)
    const features = Buffer.from(value.features, 'base64')
    expect({ ...value, timestamp }).toMatchObject({
      requestId: key,
      output: expected?.output,
      predictedAt: expected?.predictedAt,
      timestamp: expected?.predictedAt,
    })
    expect(
      Array.from({ length: features.length / 8 }, (_, index) => features.readDoubleLE(index * 8)).map(
        (one) => (Number.isNaN(one) ? null : one),
      ),
    ).toEqual(Object.values(expected?.features ?? {}))
  }
  await oracle.close()
  await engine.close()
})
