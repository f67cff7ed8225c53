import { expect, test } from 'vitest'
import { checkedKafkaOptions, type KafkaLogOptions } from '../../../../state/log/kafka/kafka-options.ts'

const least: KafkaLogOptions = { brokers: ['a:9092'], clientId: 'app', now: () => 0 }

test('what is not said has a default', () => {
  const { route, ...rest } = checkedKafkaOptions(least)
  expect(route({ host: 'a', port: 1 })).toEqual({ host: 'a', port: 1 })
  expect(rest).toEqual({
    ...least,
    ssl: false,
    sasl: undefined,
    topicPrefix: '',
    replicationFactor: -1,
    maxRecordBytes: 1_000_000,
    fetchBytes: 1 << 20,
    prefetchBytes: 64 << 20,
    requestTimeoutMs: 10_000,
    connectionTimeoutMs: 5_000,
    patienceMs: 60_000,
    transactionTimeoutMs: 15_000,
  })
})

test('credentials and certificates go through as they are', () => {
  const ssl = { ca: 'authority', cert: 'chain', key: 'key', servername: 'kafka' }
  const sasl = { mechanism: 'scram-sha-512', username: 'u', password: 'p' } as const
  expect(checkedKafkaOptions({ ...least, ssl, sasl })).toMatchObject({ ssl, sasl })
  const oauthBearerProvider = async () => ({ value: 'token' })
  const token = { mechanism: 'oauthbearer', oauthBearerProvider } as const
  expect(checkedKafkaOptions({ ...least, ssl: true, sasl: token })).toMatchObject({ ssl: true, sasl: token })
})

const wrong: readonly [string, object, string][] = [
  ['an option', { clientid: 'x' }, 'unknown option "clientid"'],
  ['a TLS option', { ssl: { cafile: 'x' } }, 'openKafkaLog: ssl: unknown option "cafile"'],
  [
    'a SASL option',
    { sasl: { mechanism: 'plain', username: 'u', password: 'p', user: 'u' } },
    'openKafkaLog: sasl: unknown option "user"',
  ],
  ['a mechanism', { sasl: { mechanism: 'gssapi' } }, 'sasl.mechanism must be one of plain'],
  ['a missing password', { sasl: { mechanism: 'plain', username: 'u' } }, 'sasl.password must be strings'],
  ['a certificate without its key', { ssl: { cert: 'x' } }, 'ssl.cert and ssl.key belong together'],
  ['no brokers', { brokers: [] }, 'brokers must be addresses'],
  ['a broker without a port', { brokers: ['kafka'] }, 'brokers must be addresses'],
  ['a client id with a space', { clientId: 'a b' }, 'clientId must be'],
  ['a prefix with a slash', { topicPrefix: 'a/' }, 'topicPrefix must be'],
  ['a fraction', { fetchBytes: 1.5 }, 'fetchBytes must be a whole number from 1'],
  ['a negative time', { patienceMs: -1 }, 'patienceMs must be a whole number from 0'],
  ['no clock', { now: undefined }, 'now must be a function'],
]

test.each(wrong)('%s is refused by name', (_, option, message) => {
  expect(() => checkedKafkaOptions({ ...least, ...option })).toThrow(message)
})

test('a secret is not told in the message that refuses it', () => {
  const sasl = { mechanism: 'plain', username: '', password: 'hush' } as const
  expect(() => checkedKafkaOptions({ ...least, sasl })).toThrow(/^((?!hush).)*$/)
})
