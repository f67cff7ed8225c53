import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import type { RecoveryProgress } from '../../replay/assembly.ts'
import { CommitFollower } from '../../replay/commit-follower.ts'
import { foldAnew } from '../../replay/rebuild.ts'
import movies from '../../topology/examples/movies/topology.ts'
import { Metrics } from '../../topology/http/metrics.ts'
import { Engine, type SourceRow } from '../../topology/index.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { headwater } from '../support/command-line.ts'
import { startKafkaBroker } from '../support/kafka-broker.ts'
import { shop, shopEvents } from '../support/shop-topology.ts'

/* The state of an engine on Kafka that lost its disk comes back from the changelog. */

const now = () => Date.now()
const rowCount = 4_000

const broker = await startKafkaBroker()
const folder = mkdtempSync(join(tmpdir(), 'headwater-restore-'))
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

function deferred<Value>() {
  let resolve: (value: Value) => void = () => {}
  const promise = new Promise<Value>((resolved) => {
    resolve = resolved
  })
  return { promise, resolve: (value: Value) => resolve(value) }
}

async function* someRatings(from: number, to: number): AsyncGenerator<SourceRow> {
  let at = 0
  for await (const row of movies.sources[0]!.rows()) {
    if (at >= to) return
    if (at++ >= from) yield row
  }
}

test('an engine that lost its state restores it from the changelog, tells how far it is, and has the same digest', {
  timeout: 180_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const topicPrefix = `restore-${process.pid}-`
  const kafka = { brokers: broker.brokers, topicPrefix }
  const data = join(folder, 'state')
  const open = (onRecovery: (progress: RecoveryProgress) => void = () => {}) =>
    Engine.open({ topology: movies, data, kafka, now, task: { checkpointEvents: 1_500 }, onRecovery })

  const first = await open()
  await first.importer.run('movielens-small', someRatings(0, rowCount))
  first.run()
  await first.caughtUp()
  const { checkpoints, records, bytes } = first.assembly.changelog!.tally
  expect(checkpoints).toBeGreaterThan(2)
  // Its last checkpoint is behind the log: the gap is followed from the commits.
  await first.abort()
  rmSync(data, { recursive: true })
  const second = await open()
  expect(second.recovered.restore!.records).toBeGreaterThan(1_000)
  const digest = await second.digest()
  await second.close()

  rmSync(data, { recursive: true })
  const told: RecoveryProgress[] = []
  const third = await open((progress) => told.push(progress))
  const { restore, records: followed } = third.recovered
  expect(told[0]!.restore!.records).toBeGreaterThan(0)
  expect(restore).toMatchObject({ of: restore!.records, secondsLeft: 0 })
  expect(restore!.records).toBeGreaterThanOrEqual(records)
  expect(restore!.bytes).toBeGreaterThanOrEqual(bytes)
  expect(followed).toBe(0)
  const metrics = new Metrics(third)
  const text = await metrics.text()
  metrics.close()
  expect(text).toContain(`\nheadwater_restored_records ${restore!.records}\n`)
  expect(text).toContain('\nheadwater_changelog_checkpoints_total 0\n')
  expect(await third.digest()).toBe(digest)
  await third.close()

  // The inputs alone give the same.
  const config = join(folder, 'kafka.json')
  writeFileSync(config, JSON.stringify({ topicPrefix }))
  const module = fileURLToPath(new URL('../../topology/examples/movies/topology.ts', import.meta.url))
  const cluster = ['--kafka', broker.brokers.join(','), '--kafka-config', config]
  const { out, errors, code } = await headwater([
    'replay',
    'rebuild',
    '--topology',
    module,
    '--data',
    data,
    '--json',
    ...cluster,
  ])
  expect([code, errors]).toEqual([0, ''])
  expect(JSON.parse(out)).toMatchObject({ before: digest, after: digest, equal: true })
})

test('what a standby folded by itself is on the changelog after it took over', {
  timeout: 180_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const topicPrefix = `standby-${process.pid}-`
  const kafka = { brokers: broker.brokers, topicPrefix }
  const options = { topology: shop, kafka, now: () => 1_800_000_000_000 }
  const events = shopEvents(900).map((event): SourceRow => [event])
  const bring = async (engine: Engine, count: number) => {
    await engine.importer.run('shop-events', events.slice(0, count))
    engine.run()
    await engine.caughtUp()
  }

  const active = await Engine.open({ ...options, data: join(folder, 'active') })
  await bring(active, 300)
  await active.assembly.task.checkpoint()
  const following = deferred<() => Promise<void>>()
  const released = deferred<void>()
  const opening = Engine.open({
    ...options,
    data: join(folder, 'standby'),
    door: 'door-of-standby',
    async standby({ assembly, log, take, afterBatch }) {
      const follower = new CommitFollower(assembly, log, afterBatch)
      await follower.open()
      expect(assembly.changelog!.restored!.records).toBeGreaterThan(100)
      following.resolve(async () => {
        await follower.catchUp()
        await assembly.task.checkpoint()
      })
      await released.promise
      await take()
      await follower.catchUp()
      await follower.end()
      const { commits, records } = follower.followed
      return { commits, of: commits, records }
    },
  })
  const catchUp = await following.promise
  await bring(active, 600)
  await catchUp()
  // Its own last checkpoint is that of the first 300: the standby has seen more than the changelog.
  await active.abort()
  released.resolve()
  const taken = await opening
  await bring(taken, 900)
  const digest = await taken.digest()
  expect(taken.assembly.changelog!.tally.checkpoints).toBe(1)
  await taken.close()

  const restored = await Engine.open({ ...options, data: join(folder, 'restored') })
  expect(restored.recovered).toMatchObject({ records: 0 })
  expect(await restored.digest()).toBe(digest)
  await restored.close()
  const { log, registry, writer, database, close } = await wire({
    kafka,
    app: 'shop',
    now: options.now,
    readOnly: true,
  })
  const { after } = await foldAnew({ declaration: shop, log, registry, writer, database })
  await close()
  expect(after).toBe(digest)
})
