import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Engine } from '../../topology/index.ts'
import { type KafkaBroker, startKafkaBroker } from '../support/kafka-broker.ts'
import { type ShopEvent, shop, shopEvents } from '../support/shop-topology.ts'

/* The declaration of the embedded default, unchanged, on a real Kafka cluster. */

const now = () => 1_800_000_000_000
let broker: KafkaBroker | { readonly missing: string }
let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-kafka-'))
  broker = await startKafkaBroker()
}, 900_000)
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

async function bring(engine: Engine, events: readonly ShopEvent[]): Promise<void> {
  await engine.importer.run(
    'shop-events',
    events.map((event) => [event]),
  )
  engine.run()
  await engine.caughtUp()
}

test('an application on Kafka answers as it does on its own log, and goes on after a crash', {
  timeout: 180_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const events = shopEvents(600)
  const own = await Engine.open({ topology: shop, now })
  await bring(own, events)
  const expected = own.model('buys').tally()
  const features = await own.features('visitor', ['visitor-3'], 1_700_010_000_000)
  await own.close()

  const kafka = { brokers: broker.brokers, topicPrefix: `run-${process.pid}-` }
  const data = join(folder, 'state')
  const first = await Engine.open({ topology: shop, now, kafka, data })
  await bring(first, events)
  expect(first.model('buys').tally()).toEqual(expected)
  expect(await first.features('visitor', ['visitor-3'], 1_700_010_000_000)).toEqual(features)
  const answered = await first.predict('buys', { visitId: 'asked', visitor: 'ada', page: '/hats' })
  await first.caughtUp()
  const digest = await first.digest()
  await first.abort()

  // The state is kept; what is behind its checkpoint is rolled forward from the cluster.
  const second = await Engine.open({ topology: shop, now, kafka, data })
  expect(await second.digest()).toBe(digest)
  expect(await second.prediction('buys', 'asked')).toEqual(answered)
  await second.close()

  // With no state at all it is restored from the changelog, to the same bits.
  const third = await Engine.open({ topology: shop, now, kafka, data: join(folder, 'another') })
  expect(third.recovered.records).toBe(0)
  expect(third.recovered.restore!.records).toBeGreaterThan(100)
  expect(await third.digest()).toBe(digest)
  await third.close()
})
