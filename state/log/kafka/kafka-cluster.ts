import { connect as connectPlain, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, { type Admin, type ISocketFactory, type Kafka } from 'kafkajs'
import { checkCode, deadlineAfter, KafkaFailure, kafkaCodes, persistently } from './kafka-failure.ts'
import type { CheckedKafkaOptions } from './kafka-options.ts'
import { WireReader, WireWriter } from './wire.ts'

/**
 * What is used of kafkajs beside its admin client: connections with TLS and
 * SASL, and the list of the brokers. Its consumer and producer are left
 * alone, for what they do wrong against a real broker (version 2.2.4):
 *
 * - a commit that fails leaves its producer unusable for ever;
 * - read_committed delivers records of aborted transactions where two of them
 *   overlap, and from the first record with a key of four zero bytes on;
 * - the checksum of a batch is never looked at, a very large batch overflows
 *   the stack, and a partition cannot be read without a consumer group.
 *
 * These are the library's inner objects: a new version of kafkajs has to pass
 * the tests against a broker before it is taken.
 */
interface InnerCluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  findBroker(node: { nodeId: number }): Promise<InnerBroker>
  readonly brokerPool: { findConnectedBroker(): Promise<InnerBroker> }
}

interface InnerBroker {
  readonly connectionPool: {
    send(exchange: {
      readonly request: {
        readonly apiKey: number
        readonly apiName: string
        readonly apiVersion: number
        encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>
      }
      readonly response: {
        decode(
          payload: Buffer,
        ): Promise<{ readonly payload: Buffer; readonly clientSideThrottleTime: number }>
        parse(decoded: { readonly payload: Buffer }): Promise<Buffer>
      }
      readonly requestTimeout?: number
      readonly logResponseError: boolean
    }): Promise<Buffer>
  }
}

type ClusterFactory = (options: {
  readonly metadataMaxAge: number
  readonly allowAutoTopicCreation: false
}) => InnerCluster

/** A request of Kafka's protocol. Versions are fixed: those that every broker from 2.5 on, 4.x included, answers. */
export interface KafkaApi {
  readonly key: number
  readonly name: string
  readonly version: number
  /** Where the answer says for how long the client has to wait; absent where it does not. */
  readonly throttleAt?: number
}

const metadataApi: KafkaApi = { key: 3, name: 'Metadata', version: 5, throttleAt: 0 }
const findCoordinatorApi: KafkaApi = { key: 10, name: 'FindCoordinator', version: 2, throttleAt: 0 }

export interface TopicLayout {
  /** As the cluster has it, prefix included. */
  readonly name: string
  readonly isInternal: boolean
  /** Leader of each partition; -1 while there is none. */
  readonly leaders: readonly number[]
}

export type CoordinatorKind = 'group' | 'transaction'

/** What all connections of one log have in common. */
export class KafkaClient {
  readonly options: CheckedKafkaOptions
  readonly #kafka: Kafka
  readonly #newCluster: ClusterFactory

  constructor(options: CheckedKafkaOptions) {
    const { brokers, clientId, ssl, sasl, requestTimeoutMs, connectionTimeoutMs } = options
    this.options = options
    this.#kafka = new kafkajs.Kafka({
      brokers: [...brokers],
      clientId,
      ssl: ssl as boolean,
      ...(sasl === undefined ? {} : { sasl }),
      requestTimeout: requestTimeoutMs,
      connectionTimeout: connectionTimeoutMs,
      authenticationTimeout: connectionTimeoutMs,
      retry: { initialRetryTime: 20, maxRetryTime: 500, retries: 3 },
      // Failures are thrown where they matter; the library's own lines would only repeat them.
      logLevel: kafkajs.logLevel.NOTHING,
      socketFactory: socketFactory(options),
    })
    const key = Object.getOwnPropertySymbols(this.#kafka).find(
      ({ description }) => description === 'private:Kafka:createCluster',
    )
    const found = key === undefined ? undefined : (this.#kafka as unknown as Record<symbol, unknown>)[key]
    if (typeof found !== 'function') {
      throw new TypeError('kafkajs has no cluster factory where version 2.2.4 has it; use that version')
    }
    this.#newCluster = found as ClusterFactory
  }

  admin(): Admin {
    return this.#kafka.admin({ retry: { initialRetryTime: 20, maxRetryTime: 500, retries: 8 } })
  }

  /** Connections of their own: a request that waits at a broker holds up those behind it. */
  connections(): KafkaConnections {
    const cluster = this.#newCluster({ metadataMaxAge: 300_000, allowAutoTopicCreation: false })
    return new KafkaConnections(cluster, this.options)
  }
}

/** Without the delay of small packets, which would cost each round trip of a commit some milliseconds. */
const socketFactory =
  ({ route }: CheckedKafkaOptions): ISocketFactory =>
  ({ host, port, ssl, onConnect }) => {
    const address = route({ host, port })
    // The certificate is the broker's own, however it is reached; an address in numbers has no server name.
    const servername = isIP(host) === 0 ? { servername: host } : {}
    const socket = ssl
      ? connectTls({ ...servername, ...ssl, ...address }, onConnect)
      : connectPlain(address, onConnect)
    socket.setKeepAlive(true, 60_000)
    socket.setNoDelay(true)
    return socket
  }

/** Connections to the brokers of a cluster, with who leads which partition. */
export class KafkaConnections {
  readonly #cluster: InnerCluster
  readonly #patienceMs: number
  readonly #leaders = new Map<string, readonly number[]>()
  readonly #coordinators = new Map<string, number>()

  constructor(cluster: InnerCluster, { patienceMs }: CheckedKafkaOptions) {
    this.#cluster = cluster
    this.#patienceMs = patienceMs
  }

  async connect(): Promise<void> {
    await persistently('connecting', deadlineAfter(this.#patienceMs), async () => {
      await this.#cluster.connect()
      await this.#cluster.refreshMetadata()
    })
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect()
  }

  /**
   * Sends a request and gives the answer, its reader behind the header.
   *
   * @throws what the connection throws; codes inside the answer are the caller's to check
   */
  async call(
    node: number | 'any',
    api: KafkaApi,
    request: WireWriter,
    requestTimeoutMs?: number,
  ): Promise<WireReader> {
    const broker =
      node === 'any'
        ? await this.#cluster.brokerPool.findConnectedBroker()
        : await this.#cluster.findBroker({ nodeId: node })
    const { key, name, version, throttleAt } = api
    const payload = await broker.connectionPool.send({
      request: {
        apiKey: key,
        apiName: name,
        apiVersion: version,
        encode: async () => ({ buf: request.out.bytes, buffer: request.out.view() }),
      },
      response: {
        decode: async (bytes) => ({
          payload: bytes,
          clientSideThrottleTime: throttleAt === undefined ? 0 : bytes.readInt32BE(throttleAt),
        }),
        parse: async (decoded) => decoded.payload,
      },
      ...(requestTimeoutMs === undefined ? {} : { requestTimeout: requestTimeoutMs }),
      logResponseError: false,
    })
    return new WireReader(payload)
  }

  /** Of these topics, or of all. Unknown ones are left out. */
  async layouts(names?: readonly string[]): Promise<TopicLayout[]> {
    const request = new WireWriter()
    if (names === undefined) request.int32(-1)
    else request.array(names, (name) => request.string(name))
    const answer = await this.call('any', metadataApi, request.int8(0))
    answer.int32()
    answer.array(() => [answer.int32(), answer.string(), answer.int32(), answer.string()])
    answer.string()
    answer.int32()
    const topics = answer.array(() => ({
      code: answer.int16(),
      name: answer.string() ?? '',
      isInternal: answer.int8() === 1,
      partitions: answer.array(() => {
        answer.int16()
        const partition = answer.int32()
        const leader = answer.int32()
        for (let list = 0; list < 3; list++) answer.array(() => answer.int32())
        return { partition, leader }
      }),
    }))
    const known = topics.filter(({ code }) => code !== kafkaCodes.unknownTopic)
    for (const { code, name } of known) if (code !== 5) checkCode(code, name)
    return known.map(({ name, isInternal, partitions }) => {
      const leaders: number[] = Array(partitions.length).fill(-1)
      for (const { partition, leader } of partitions) leaders[partition] = leader
      return { name, isInternal, leaders }
    })
  }

  /** @throws KafkaFailure that passes, while the partition has no leader or the topic is not known to the brokers */
  async leader(name: string, partition: number): Promise<number> {
    let leaders = this.#leaders.get(name)
    if (leaders === undefined) {
      const [layout] = await this.layouts([name])
      if (layout === undefined) throw new KafkaFailure(kafkaCodes.unknownTopic, name)
      leaders = layout.leaders
      if (!leaders.includes(-1)) this.#leaders.set(name, leaders)
    }
    const leader = leaders[partition]
    if (leader === undefined || leader < 0) throw new KafkaFailure(5, `${name}[${partition}]`)
    return leader
  }

  async coordinator(kind: CoordinatorKind, key: string): Promise<number> {
    const known = this.#coordinators.get(`${kind} ${key}`)
    if (known !== undefined) return known
    const request = new WireWriter().string(key).int8(kind === 'group' ? 0 : 1)
    const answer = await this.call('any', findCoordinatorApi, request)
    answer.int32()
    checkCode(answer.int16(), answer.string())
    const node = answer.int32()
    this.#coordinators.set(`${kind} ${key}`, node)
    return node
  }

  /** After any failure: whoever answered wrongly, or not at all, may not be the one to ask. */
  forget(): void {
    this.#leaders.clear()
    this.#coordinators.clear()
  }
}
