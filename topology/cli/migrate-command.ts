import { join } from 'node:path'
import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import { lockFolder } from '../../state/log/embedded/folder-lock.ts'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { kafkaDefaults } from '../../state/log/kafka/kafka-options.ts'
import { PlacedWriter } from '../../state/log/kafka/placed-writer.ts'
import type { Log } from '../../state/log/log.ts'
import { requireData, topologyOf } from './data-folder.ts'
import { type ClusterOptions, wiringOf } from './kafka-options.ts'
import {
  checkSizes,
  copyAll,
  type Migration,
  type MigrationPlan,
  type MovedPartition,
  planMigration,
  verifyMigration,
} from './migration.ts'
import { count, Progress } from './progress.ts'
import { table } from './table.ts'

export interface MigrateOptions extends ClusterOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
  readonly dryRun?: boolean
}

/** Where the embedded log keeps the schemas, which a cluster keeps under the application's name. */
const schemasTopic = '_schemas'

/**
 * `migrate --to kafka`: copies an embedded log into topics, offsets and times
 * kept, so that positions, predictions and the state folder stay as they are.
 * The folder is locked meanwhile and nothing in it is changed.
 */
export async function migrateCommand(options: MigrateOptions): Promise<number> {
  const { data, json = false, dryRun = false } = options
  requireData(data)
  const { name: app } = await topologyOf(data, options.topology)
  const path = join(data, 'log')
  const unlock = lockFolder(path, Date.now())
  const { registry: _, clientId = app, ...rest } = wiringOf(options)
  const cluster = { ...rest, clientId, now: Date.now }
  const largest = rest.maxRecordBytes ?? kafkaDefaults.maxRecordBytes
  try {
    const source = await openEmbeddedLog({ path, now: Date.now, readOnly: true })
    const target = await openKafkaLog(cluster).catch(async (error) => {
      await source.close()
      throw error
    })
    const targetName = (topic: string) => (topic === schemasTopic ? `${app}-schemas` : topic)
    try {
      const stage = stages({ source, target, targetName }, json)
      const plan = await stage('comparing', 0, planMigration)
      if (!json) showPlan(plan)
      await stage('checking sizes', plan.left, (migration) => checkSizes(migration, plan, largest))
      if (dryRun) {
        const { left, total } = plan
        if (json) process.stdout.write(`${JSON.stringify({ dryRun, total, left })}\n`)
        else process.stdout.write(`dry run: ${count(left)} of ${count(total)} offsets would be copied\n`)
        return 0
      }
      if (!plan.hasGoneOn) {
        const writer = await PlacedWriter.open(cluster)
        try {
          await stage('copying', plan.left, (migration) => copyAll(migration, plan, writer))
        } finally {
          await writer.close()
        }
      }
      const moved = await stage('verifying', plan.total, (migration) => verifyMigration(migration, plan))
      const warnings = await shortLived(source, plan)
      showOutcome(options, moved, warnings)
      return 0
    } finally {
      await target.close()
      await source.close()
    }
  } finally {
    unlock()
  }
}

/** Runs the stages of a migration, each with its progress. */
const stages =
  (migration: Omit<Migration, 'onRecords'>, silent: boolean) =>
  async <Result>(
    label: string,
    total: number,
    work: (migration: Migration) => Promise<Result>,
  ): Promise<Result> => {
    const progress = new Progress(label, { total, unit: 'records', silent })
    let done = 0
    const onRecords = (records: number) => {
      done += records
      progress.update(done)
    }
    const result = await work({ ...migration, onRecords })
    if (done > 0) progress.end(done)
    return result
  }

function showPlan({ moves }: MigrationPlan): void {
  const rows = moves.map(({ topic, target, partition, source: { start, end }, found }) => [
    topic === target.name ? topic : `${topic} -> ${target.name}`,
    String(partition),
    count(Number(start)),
    count(Number(end)),
    found === undefined ? '-' : count(Number(found.end)),
  ])
  process.stdout.write(`${table(['topic', 'partition', 'first', 'end', 'there already'], rows)}\n`)
}

/**
 * Topics whose declared retention, which a cluster counts from the clock,
 * takes records that the embedded log keeps: it counts from the newest record.
 */
async function shortLived(source: Log, { moves }: MigrationPlan): Promise<readonly string[]> {
  const warnings = new Set<string>()
  for (const { topic, declared, partition, source: range } of moves) {
    const { retentionMs } = declared
    if (retentionMs === undefined) continue
    const oldest = await source.offsetForTime(topic, partition, Date.now() - retentionMs)
    if (oldest <= range.start) continue
    warnings.add(
      `topic "${declared.name}" keeps ${retentionMs} ms, by the clock once it is on Kafka: the next start of the engine lets the cluster drop what is older; raise its retention before that to keep it`,
    )
  }
  return [...warnings]
}

function showOutcome(
  { json = false, data, kafka }: MigrateOptions,
  moved: readonly MovedPartition[],
  warnings: readonly string[],
): void {
  const records = moved.reduce((sum, each) => sum + each.records, 0)
  if (json) {
    process.stdout.write(`${JSON.stringify({ records, partitions: moved, warnings })}\n`)
    return
  }
  const rows = moved.map((each) => [
    each.topic,
    String(each.partition),
    count(each.records),
    each.checksum.slice(0, 16),
  ])
  process.stdout.write(`${table(['topic', 'partition', 'records', 'checksum'], rows)}\n`)
  for (const warning of warnings) process.stdout.write(`WARNING: ${warning}\n`)
  process.stdout.write(
    `${count(records)} records are on Kafka, equal to those of the embedded log. Go on there, with the state as it is:\n` +
      `  headwater run <topology> --data ${data} --kafka ${kafka}\n` +
      `Without --kafka the old log would go on by itself: remove ${join(data, 'log')} when you are sure.\n`,
  )
}
