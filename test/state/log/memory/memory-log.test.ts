import { expect, test } from 'vitest'
import { openMemoryLog } from '../../../../state/log/memory/memory-log.ts'
import { logSuite } from '../../../conformance/log.suite.ts'
import { writeRecord } from '../../../support/log-records.ts'

logSuite('in memory', async () => ({ log: openMemoryLog() }))

test('the append time is what the clock says at the commit', async () => {
  let nowMs = 100
  const log = openMemoryLog({ now: () => nowMs })
  await log.createTopic({ name: 'a', partitions: 1 })
  const writer = await log.writer('test')
  for (let index = 0; index < 3; index++) {
    writeRecord(writer, 'a', 0, { key: 'k', value: 'v', timestampMs: 1 })
    if (index === 1) await writer.commit()
    nowMs += 10
  }
  await writer.commit()
  const batch = await log.read({ topic: 'a', partition: 0, offset: 0n, maxBytes: 1000 })
  expect([...batch.appendedAtMs]).toEqual([110, 110, 130])
})
