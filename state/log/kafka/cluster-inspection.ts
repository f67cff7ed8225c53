import { randomUUID } from 'node:crypto'
import kafkajs, { type Admin } from 'kafkajs'
import type { TopicSpec } from '../log.ts'
import { type KafkaApi, KafkaClient, type KafkaConnections } from './kafka-cluster.ts'
import { checkCode, deadlineAfter, messageOf, persistently } from './kafka-failure.ts'
import { instancesGroup } from './kafka-group.ts'
import { openKafkaLog } from './kafka-log.ts'
import { type CheckedKafkaOptions, checkedKafkaOptions, type KafkaLogOptions } from './kafka-options.ts'
import { maxBatchBytesOf, topicConfig } from './topic-admin.ts'
import { WireWriter } from './wire.ts'

// The first version that tells what the asker may do; Kafka 2.3 and later.
const metadataApi: KafkaApi = { key: 3, name: 'Metadata', version: 8, throttleAt: 0 }
const describeGroupsApi: KafkaApi = { key: 15, name: 'DescribeGroups', version: 3, throttleAt: 0 }
const apiVersionsApi: KafkaApi = { key: 18, name: 'ApiVersions', version: 0 }

/** What the engine asks of a broker, by the key of the request, with the version it is written for. */
const usedApis: Readonly<Record<number, readonly [name: string, version: number]>> = {
  0: ['Produce', 7],
  1: ['Fetch', 11],
  2: ['ListOffsets', 2],
  3: ['Metadata', 8],
  10: ['FindCoordinator', 2],
  11: ['JoinGroup', 4],
  12: ['Heartbeat', 2],
  13: ['LeaveGroup', 2],
  14: ['SyncGroup', 2],
  19: ['CreateTopics', 2],
  21: ['DeleteRecords', 0],
  22: ['InitProducerId', 3],
  24: ['AddPartitionsToTxn', 1],
  25: ['AddOffsetsToTxn', 1],
  26: ['EndTxn', 1],
  28: ['TxnOffsetCommit', 1],
  32: ['DescribeConfigs', 1],
  44: ['IncrementalAlterConfigs', 0],
}

/**
 * What a principal may do with a topic, a group or the cluster.
 *
 * Source: Apache Kafka, `org.apache.kafka.common.acl.AclOperation`: each is the bit of its code.
 */
const operationBits = {
  read: 3,
  write: 4,
  create: 5,
  describe: 8,
  'describe configs': 10,
  'alter configs': 11,
} as const

export type KafkaOperation = keyof typeof operationBits

/** The operations that are allowed; absent where the broker does not tell. */
export type AllowedOperations = ReadonlySet<KafkaOperation> | undefined

export interface AddressReport {
  readonly address: string
  /** Why nobody answers there, TLS and login included; absent where somebody does. */
  readonly problem?: string
}

export interface BrokerReport {
  readonly node: number
  /** As the cluster tells clients to reach it. */
  readonly address: string
  readonly problem?: string
  /** Requests of the engine that it does not answer in the version needed. */
  readonly missingApis: readonly string[]
}

export interface FoundTopic {
  readonly partitions: number
  /** Copies of the partition that has the fewest. */
  readonly replicas: number
  /** Partitions that nobody leads, and those with a copy that lags. */
  readonly leaderless: readonly number[]
  readonly lagging: readonly number[]
  readonly allowed: AllowedOperations
  /** Absent where they may not be read. */
  readonly settings: ReadonlyMap<string, string> | undefined
}

export interface ClockProbe {
  /** How far the broker's clock is ahead of this one's, ms. */
  readonly aheadMs: number
  /** Half of the round trip: the error of it, at most. */
  readonly uncertaintyMs: number
}

/** A topic that the engine would create, as the cluster calls it, with its settings. */
export interface WantedTopic {
  readonly name: string
  readonly partitions: number
  readonly settings: ReadonlyMap<string, string>
}

/** Looks at a cluster for what would keep the engine from working on it. Writes only in `probe`. */
export class ClusterInspection {
  readonly #given: KafkaLogOptions
  readonly #options: CheckedKafkaOptions
  readonly #connections: KafkaConnections
  readonly #admin: Admin

  private constructor(given: KafkaLogOptions, client: KafkaClient, connections: KafkaConnections) {
    this.#given = given
    this.#options = client.options
    this.#connections = connections
    this.#admin = client.admin()
  }

  /** @throws EngineError `kafka-unavailable`, `kafka-refused` */
  static async open(options: KafkaLogOptions): Promise<ClusterInspection> {
    const client = new KafkaClient(checkedKafkaOptions(options))
    const connections = client.connections()
    try {
      await connections.connect()
      return new ClusterInspection(options, client, connections)
    } catch (error) {
      await connections.close().catch(() => {})
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#admin.disconnect().catch(() => {})
    await this.#connections.close().catch(() => {})
  }

  get maxBatchBytes(): number {
    return maxBatchBytesOf(this.#options)
  }

  get replicationFactor(): number {
    return this.#options.replicationFactor
  }

  get transactionTimeoutMs(): number {
    return this.#options.transactionTimeoutMs
  }

  wanted(spec: TopicSpec): WantedTopic {
    const name = this.#options.topicPrefix + spec.name
    return { name, partitions: spec.partitions, settings: topicConfig(spec, this.#options) }
  }

  /** Every broker, at the address that the cluster gives for it. */
  async brokers(): Promise<readonly BrokerReport[]> {
    const { brokers } = await this.#metadata([])
    return await Promise.all(
      brokers.map(async ({ node, host, port }) => {
        const report = { node, address: `${host}:${port}` }
        try {
          return { ...report, missingApis: await this.#missingApis(node) }
        } catch (error) {
          return { ...report, problem: messageOf(error), missingApis: [] }
        }
      }),
    )
  }

  /** What may be done with the cluster as a whole. */
  async allowed(): Promise<AllowedOperations> {
    return (await this.#metadata([])).allowed
  }

  /** The group that consumed positions are committed to. */
  get groupName(): string {
    return this.#options.clientId
  }

  /** The group that several processes of the application share its tasks out in. */
  get instancesGroupName(): string {
    return instancesGroup(this.#options.topicPrefix, this.#options.clientId)
  }

  /** @throws KafkaFailure, EngineError where the group's coordinator says no */
  async groupAllowed(groupName: string): Promise<AllowedOperations> {
    return await this.#persistently(`asking for the group "${groupName}"`, async () => {
      // A coordinator that has just begun may say that it is none.
      this.#connections.forget()
      return await this.#groupAllowed(groupName, await this.#connections.coordinator('group', groupName))
    })
  }

  async #groupAllowed(groupName: string, node: number): Promise<AllowedOperations> {
    const request = new WireWriter().int32(1).string(groupName).int8(1)
    const answer = await this.#connections.call(node, describeGroupsApi, request)
    answer.int32()
    const [allowed] = answer.array(() => {
      checkCode(answer.int16(), `group "${groupName}"`)
      for (let text = 0; text < 4; text++) answer.string()
      answer.array(() => {
        for (let text = 0; text < 3; text++) answer.string()
        for (let bytes = 0; bytes < 2; bytes++) {
          const size = answer.int32()
          answer.at += Math.max(size, 0)
        }
      })
      return operations(answer.int32())
    })
    return allowed
  }

  /** By the name at the cluster; a topic that is not there, or may not be seen, is left out. */
  async topics(names: readonly string[]): Promise<ReadonlyMap<string, FoundTopic>> {
    const { topics } = await this.#metadata(names)
    const settings = await this.#settings(kafkajs.ConfigResourceTypes.TOPIC, [...topics.keys()])
    return new Map([...topics].map(([name, topic]) => [name, { ...topic, settings: settings?.get(name) }]))
  }

  /** The settings of one broker; undefined where they may not be read. */
  async brokerSettings(node: number): Promise<ReadonlyMap<string, string> | undefined> {
    const settings = await this.#settings(kafkajs.ConfigResourceTypes.BROKER, [`${node}`])
    return settings?.get(`${node}`)
  }

  /**
   * Creates a topic for the moment, commits to it in a transaction, reads that
   * back and deletes it: the whole way that the engine goes. On the topic the
   * broker notes its own time.
   *
   * @throws EngineError that names the step which failed
   */
  async probe(): Promise<ClockProbe> {
    const name = `doctor-${randomUUID()}`
    const topic = this.#options.topicPrefix + name
    const { replicationFactor, now } = this.#options
    const configEntries = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }]
    await this.#persistently(`creating topic "${topic}"`, () =>
      this.#admin.createTopics({
        topics: [{ topic, numPartitions: 1, replicationFactor, configEntries }],
        waitForLeaders: true,
      }),
    )
    const log = await openKafkaLog(this.#given)
    try {
      const writer = await log.writer('doctor')
      let best: ClockProbe = { aheadMs: 0, uncertaintyMs: Number.POSITIVE_INFINITY }
      // The first commit opens connections; the quickest of them tells the time best.
      for (let round = 0; round < 3; round++) {
        writer.sink.begin(name, 0, 0).byte(round)
        writer.sink.beginValue()
        writer.sink.end()
        const sentMs = now()
        const { firstOffsets } = await writer.commit()
        const uncertaintyMs = (now() - sentMs) / 2
        const offset = firstOffsets.get(`${name}\0${0}`)!
        const { timestampsMs } = await log.read({ topic: name, partition: 0, offset, maxBytes: 1 })
        const aheadMs = timestampsMs[0]! - (sentMs + uncertaintyMs)
        if (uncertaintyMs < best.uncertaintyMs) best = { aheadMs, uncertaintyMs }
      }
      return best
    } finally {
      await log.close()
      await this.#persistently(`deleting topic "${topic}"`, () =>
        this.#admin.deleteTopics({ topics: [topic] }),
      )
    }
  }

  async #missingApis(node: number): Promise<readonly string[]> {
    const answer = await this.#connections.call(node, apiVersionsApi, new WireWriter())
    checkCode(answer.int16())
    const known = new Map(
      answer.array(() => [answer.int16(), { least: answer.int16(), most: answer.int16() }] as const),
    )
    return Object.entries(usedApis).flatMap(([key, [name, version]]) => {
      const found = known.get(Number(key))
      const fits = found !== undefined && found.least <= version && version <= found.most
      return fits ? [] : [`${name} ${version}`]
    })
  }

  async #metadata(names: readonly string[]): Promise<{
    readonly brokers: readonly { node: number; host: string; port: number }[]
    readonly topics: ReadonlyMap<string, Omit<FoundTopic, 'settings'>>
    readonly allowed: AllowedOperations
  }> {
    const request = new WireWriter()
    request
      .array(names, (name) => request.string(name))
      .int8(0)
      .int8(1)
      .int8(1)
    const answer = await this.#persistently('looking at the cluster', () =>
      this.#connections.call('any', metadataApi, request),
    )
    answer.int32()
    const brokers = answer.array(() => {
      const broker = { node: answer.int32(), host: answer.string() ?? '', port: answer.int32() }
      answer.string()
      return broker
    })
    answer.string()
    answer.int32()
    const topics = new Map<string, Omit<FoundTopic, 'settings'>>()
    answer.array(() => {
      const code = answer.int16()
      const name = answer.string() ?? ''
      answer.int8()
      const partitions = answer.array(() => {
        answer.int16()
        const partition = answer.int32()
        const leader = answer.int32()
        answer.int32()
        const [replicas, inSync] = [answer.array(() => answer.int32()), answer.array(() => answer.int32())]
        answer.array(() => answer.int32())
        return { partition, leader, replicas: replicas.length, inSync: inSync.length }
      })
      const allowed = operations(answer.int32())
      if (code !== 0 && code !== 5) return
      topics.set(name, {
        partitions: partitions.length,
        replicas: Math.min(...partitions.map(({ replicas }) => replicas)),
        leaderless: partitions.filter(({ leader }) => leader < 0).map(({ partition }) => partition),
        lagging: partitions
          .filter(({ inSync, replicas }) => inSync < replicas)
          .map(({ partition }) => partition),
        allowed,
      })
    })
    return { brokers, topics, allowed: operations(answer.int32()) }
  }

  async #settings(
    type: (typeof kafkajs.ConfigResourceTypes)['TOPIC' | 'BROKER'],
    names: readonly string[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, string>> | undefined> {
    if (names.length === 0) return new Map()
    try {
      const resources = names.map((name) => ({ type, name }))
      const { resources: found } = await this.#admin.describeConfigs({ resources, includeSynonyms: false })
      return new Map(
        found.map(({ resourceName, configEntries }) => [
          resourceName,
          new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
        ]),
      )
    } catch {
      return undefined
    }
  }

  async #persistently<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    return await persistently(operation, deadlineAfter(this.#options.patienceMs), work)
  }
}

/** Whether somebody answers at each of the addresses that were given, one by one. */
export async function knock(options: KafkaLogOptions): Promise<readonly AddressReport[]> {
  return await Promise.all(
    options.brokers.map(async (address) => {
      const client = new KafkaClient(checkedKafkaOptions({ ...options, brokers: [address] }))
      const connections = client.connections()
      try {
        await connections.connect()
        return { address }
      } catch (error) {
        return { address, problem: messageOf(error) }
      } finally {
        await connections.close().catch(() => {})
      }
    }),
  )
}

const untold = -(2 ** 31)

function operations(bits: number): AllowedOperations {
  if (bits === untold) return undefined
  const names = Object.keys(operationBits) as KafkaOperation[]
  return new Set(names.filter((name) => (bits & (1 << operationBits[name])) !== 0))
}

/** Those of the operations that are not allowed; none where the broker does not tell. */
export const lackingOf = (allowed: AllowedOperations, needed: readonly KafkaOperation[]): KafkaOperation[] =>
  allowed === undefined ? [] : needed.filter((operation) => !allowed.has(operation))
