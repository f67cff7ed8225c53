import { randomBytes } from 'node:crypto'
import { afterAll, describe } from 'vitest'
import { openKafkaLog } from '../../../../state/log/kafka/kafka-log.ts'
import { logSuite } from '../../../conformance/log.suite.ts'
import { startKafkaBroker } from '../../../support/kafka-broker.ts'

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
