import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import type { RecoveryProgress } from '../../replay/assembly.ts'
import movies from '../../topology/examples/movies/topology.ts'
import { Metrics } from '../../topology/http/metrics.ts'
import { Engine, type SourceRow } from '../../topology/index.ts'
import { headwater } from '../support/command-line.ts'
import { startKafkaBroker } from '../support/kafka-broker.ts'

/* The state of an engine on Kafka that lost its disk comes back from the changelog. */

const now = () => Date.now()
const rowCount = 4_000

const broker = await startKafkaBroker()
const folder = mkdtempSync(join(tmpdir(), 'headwater-restore-'))
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

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
