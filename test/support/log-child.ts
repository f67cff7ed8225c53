import { writeSync } from 'node:fs'
import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import { writeRecord } from './log-records.ts'

/*
 * A process that appends to a log until it is killed.
 *
 *     log-child <path>
 *
 * Every commit has three records with its number: one for the topic `a`, two
 * for the compacted topic `b`. The number is printed once it is durable.
 */

const [, , path = ''] = process.argv

const log = await openEmbeddedLog({ path, now: Date.now, segmentBytes: 20_000 })
await log.createTopic({ name: 'a', partitions: 1 })
await log.createTopic({ name: 'b', partitions: 2, compacted: true })
const writer = await log.writer('child')
const { end } = await log.offsets('a', 0)
for (let number = Number(end); ; number++) {
  const record = { value: `${number}:${'x'.repeat(number % 200)}`, timestampMs: number }
  writeRecord(writer, 'a', 0, { key: null, ...record })
  for (const partition of [0, 1]) writeRecord(writer, 'b', partition, { key: `k${number % 50}`, ...record })
  const { durable } = await writer.commit()
  // Not after each: several commits share a sync, and a kill finds some that are written and not synced.
  durable.then(() => writeSync(1, `${number}\n`))
  if (number % 7 === 0) await durable
}
