import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { PlacedWriter } from '../../state/log/kafka/placed-writer.ts'
import { copyAll, planMigration } from '../../topology/cli/migration.ts'

/*
 * A process that migrates a log until it dies.
 *
 *     migration-child <log folder> <brokers> <topic prefix> <app> <records>
 *
 * It ends itself with SIGKILL after so many records, while other partitions
 * are being written. It prints how many were left when it began.
 */

const [, , path = '', brokers = '', topicPrefix = '', app = '', records = '0'] = process.argv

const now = Date.now
const options = { brokers: brokers.split(','), topicPrefix, clientId: app, now }
const source = await openEmbeddedLog({ path, now, readOnly: true })
const target = await openKafkaLog(options)
let left = Number.POSITIVE_INFINITY
const migration = {
  source,
  target,
  targetName: (topic: string) => (topic === '_schemas' ? `${app}-schemas` : topic),
  onRecords(count: number) {
    left -= count
    if (left <= 0) process.kill(process.pid, 'SIGKILL')
  },
}
const plan = await planMigration(migration)
process.stdout.write(`${plan.left}\n`)
left = Number(records)
await copyAll(migration, plan, await PlacedWriter.open(options))
