import type { SASLOptions } from 'kafkajs'

/** The part of Node's TLS options that a client of a cluster needs. */
export interface KafkaTls {
  /** Certificates of the authorities to trust, PEM; by default those that Node trusts. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[]
  /** This client's certificate chain, PEM, where the cluster asks for one. */
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly passphrase?: string
  /** The name that the certificate must carry, where it differs from the host. */
  readonly servername?: string
  /** False takes any certificate: only for a cluster on this machine. */
  readonly rejectUnauthorized?: boolean
}

export type KafkaSasl =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      readonly username: string
      readonly password: string
    }
  | {
      readonly mechanism: 'oauthbearer'
      /** Gives a valid token each time it is called. */
      readonly oauthBearerProvider: () => Promise<{ readonly value: string }>
    }

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

export interface KafkaLogOptions {
  /** Addresses, `host:port`, to find the cluster by. */
  readonly brokers: readonly string[]
  /**
   * Names the application at the cluster. It is the consumer group that
   * consumed positions are committed to, and stands in front of every
   * writer's id, so two applications may use the same writer ids.
   */
  readonly clientId: string
  /** The wall clock, in ms: tells the records whose event time is ahead of it. */
  readonly now: () => number
  readonly ssl?: boolean | KafkaTls
  readonly sasl?: KafkaSasl
  /**
   * Where to reach a broker that is not to be reached at the address it gives:
   * behind a tunnel or forwarded ports. By default that address.
   */
  readonly route?: (address: BrokerAddress) => BrokerAddress
  /** Stands in front of every topic's name at the cluster; other topics are out of sight. */
  readonly topicPrefix?: string
  /** Copies of each new topic; by default what the cluster is set to. */
  readonly replicationFactor?: number
  /** Longest record, key and headers included. Default 1,000,000: Kafka's own default has room for it. */
  readonly maxRecordBytes?: number
  /** Asked of a broker at once for one partition. Default 1 MiB. */
  readonly fetchBytes?: number
  /** All partitions together hold at most about so much that was read ahead. Default 64 MiB. */
  readonly prefetchBytes?: number
  /** An unanswered request is given up after this. Default 10,000. */
  readonly requestTimeoutMs?: number
  /** Default 5,000. */
  readonly connectionTimeoutMs?: number
  /** A read, a commit or another call tries again, while the cluster does not answer, for so long. Default 60,000. */
  readonly patienceMs?: number
  /** The cluster rolls back a commit that its writer leaves unfinished for so long. Default 15,000. */
  readonly transactionTimeoutMs?: number
}

export interface CheckedKafkaOptions extends Required<Omit<KafkaLogOptions, 'ssl' | 'sasl'>> {
  readonly ssl: boolean | KafkaTls
  readonly sasl: SASLOptions | undefined
}

export const kafkaDefaults = { maxRecordBytes: 1_000_000 } as const

const optionNames: Record<keyof KafkaLogOptions, true> = {
  brokers: true,
  clientId: true,
  now: true,
  ssl: true,
  sasl: true,
  route: true,
  topicPrefix: true,
  replicationFactor: true,
  maxRecordBytes: true,
  fetchBytes: true,
  prefetchBytes: true,
  requestTimeoutMs: true,
  connectionTimeoutMs: true,
  patienceMs: true,
  transactionTimeoutMs: true,
}

const tlsNames: Record<keyof KafkaTls, true> = {
  ca: true,
  cert: true,
  key: true,
  passphrase: true,
  servername: true,
  rejectUnauthorized: true,
}

const passwordMechanisms: readonly string[] = ['plain', 'scram-sha-256', 'scram-sha-512']

/** @throws TypeError that names an option which is unknown, missing or of the wrong kind; RangeError for a number out of range */
export function checkedKafkaOptions(options: KafkaLogOptions): CheckedKafkaOptions {
  refuseUnknown('openKafkaLog', options, optionNames)
  const { brokers, clientId, now } = options
  if (!Array.isArray(brokers) || brokers.length === 0 || !brokers.every(isAddress)) {
    throw new TypeError(`openKafkaLog: brokers must be addresses like "host:9092", got ${show(brokers)}`)
  }
  if (typeof clientId !== 'string' || !/^[A-Za-z0-9._-]{1,150}$/.test(clientId)) {
    throw new TypeError(
      `openKafkaLog: clientId must be letters, digits, ".", "_" and "-", got ${show(clientId)}`,
    )
  }
  if (typeof now !== 'function') throw new TypeError('openKafkaLog: now must be a function')
  const route = options.route ?? ((address: BrokerAddress) => address)
  if (typeof route !== 'function') throw new TypeError('openKafkaLog: route must be a function')
  const topicPrefix = options.topicPrefix ?? ''
  if (!/^[A-Za-z0-9._-]{0,100}$/.test(topicPrefix)) {
    throw new TypeError(
      `openKafkaLog: topicPrefix must be letters, digits, ".", "_" and "-", got ${show(topicPrefix)}`,
    )
  }
  return {
    brokers: [...brokers],
    clientId,
    now,
    route,
    topicPrefix,
    ssl: checkedTls(options.ssl),
    sasl: checkedSasl(options.sasl),
    replicationFactor: whole('replicationFactor', options.replicationFactor ?? -1, -1, 32_767),
    maxRecordBytes: whole(
      'maxRecordBytes',
      options.maxRecordBytes ?? kafkaDefaults.maxRecordBytes,
      1,
      64 << 20,
    ),
    fetchBytes: whole('fetchBytes', options.fetchBytes ?? 1 << 20, 1, 64 << 20),
    prefetchBytes: whole('prefetchBytes', options.prefetchBytes ?? 64 << 20, 0, Number.MAX_SAFE_INTEGER),
    requestTimeoutMs: whole('requestTimeoutMs', options.requestTimeoutMs ?? 10_000, 100, 600_000),
    connectionTimeoutMs: whole('connectionTimeoutMs', options.connectionTimeoutMs ?? 5_000, 100, 600_000),
    patienceMs: whole('patienceMs', options.patienceMs ?? 60_000, 0, 3_600_000),
    transactionTimeoutMs: whole(
      'transactionTimeoutMs',
      options.transactionTimeoutMs ?? 15_000,
      1_000,
      900_000,
    ),
  }
}

function checkedTls(ssl: KafkaLogOptions['ssl']): boolean | KafkaTls {
  if (ssl === undefined || typeof ssl === 'boolean') return ssl ?? false
  if (typeof ssl !== 'object' || ssl === null) {
    throw new TypeError(`openKafkaLog: ssl must be true, false or an object, got ${show(ssl)}`)
  }
  refuseUnknown('openKafkaLog: ssl', ssl, tlsNames)
  if ((ssl.cert === undefined) !== (ssl.key === undefined)) {
    throw new TypeError('openKafkaLog: ssl.cert and ssl.key belong together, one is missing')
  }
  return ssl
}

function checkedSasl(sasl: KafkaSasl | undefined): SASLOptions | undefined {
  if (sasl === undefined) return undefined
  if (typeof sasl !== 'object' || sasl === null) throw new TypeError('openKafkaLog: sasl must be an object')
  const { mechanism } = sasl
  if (mechanism === 'oauthbearer') {
    refuseUnknown('openKafkaLog: sasl', sasl, { mechanism: true, oauthBearerProvider: true })
    const { oauthBearerProvider } = sasl
    if (typeof oauthBearerProvider !== 'function') {
      throw new TypeError('openKafkaLog: sasl.oauthBearerProvider must be a function')
    }
    return { mechanism, oauthBearerProvider }
  }
  if (!passwordMechanisms.includes(mechanism)) {
    const known = [...passwordMechanisms, 'oauthbearer'].join(', ')
    throw new TypeError(`openKafkaLog: sasl.mechanism must be one of ${known}, got ${show(mechanism)}`)
  }
  refuseUnknown('openKafkaLog: sasl', sasl, { mechanism: true, username: true, password: true })
  const { username, password } = sasl
  // The values stay out of the message: one of them is a secret.
  if (typeof username !== 'string' || username === '' || typeof password !== 'string') {
    throw new TypeError('openKafkaLog: sasl.username and sasl.password must be strings')
  }
  return { mechanism, username, password } as SASLOptions
}

function refuseUnknown(where: string, given: object, known: Readonly<Record<string, true>>): void {
  for (const name of Object.keys(given)) {
    if (known[name] !== true) {
      throw new TypeError(`${where}: unknown option "${name}"; known: ${Object.keys(known).join(', ')}`)
    }
  }
}

function whole(name: string, value: number, least: number, greatest: number): number {
  if (Number.isInteger(value) && value >= least && value <= greatest) return value
  throw new RangeError(
    `openKafkaLog: ${name} must be a whole number from ${least} to ${greatest}, got ${value}`,
  )
}

const isAddress = (value: unknown): boolean => typeof value === 'string' && /^[^\s:]+:\d{1,5}$/.test(value)
const show = (value: unknown): string => JSON.stringify(value) ?? String(value)
