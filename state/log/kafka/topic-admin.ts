import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Admin } from 'kafkajs'
import { EngineError, isEngineError } from '../../contracts/engine-error.ts'
import type { TopicSpec } from '../log.ts'
import { reconcileTopic } from '../topic-catalog.ts'
import type { KafkaApi, KafkaConnections, TopicLayout } from './kafka-cluster.ts'
import { checkCode, deadlineAfter, KafkaFailure, persistently } from './kafka-failure.ts'
import type { CheckedKafkaOptions } from './kafka-options.ts'
import { WireWriter } from './wire.ts'

const changeConfigsApi: KafkaApi = { key: 44, name: 'IncrementalAlterConfigs', version: 0, throttleAt: 0 }
const topicResource = 2
const setOperation = 0

/** A batch is its records and this much beside them, at most. */
const batchRoomBytes = 48_588
/** What Kafka takes when nobody says otherwise. */
const defaultBatchBytes = 1_048_588
const compactedSegmentBytes = 64 << 20
const anyTime = `${2n ** 63n - 1n}`

export const maxBatchBytesOf = ({ maxRecordBytes }: CheckedKafkaOptions): number =>
  maxRecordBytes + batchRoomBytes

type Config = ReadonlyMap<string, string>

/** Creates, describes and deletes the topics of a log, under the names without its prefix. */
export class TopicAdmin {
  readonly #options: CheckedKafkaOptions
  readonly #connections: KafkaConnections
  readonly #admin: Admin

  constructor(options: CheckedKafkaOptions, connections: KafkaConnections, admin: Admin) {
    this.#options = options
    this.#connections = connections
    this.#admin = admin
  }

  async close(): Promise<void> {
    await this.#admin.disconnect()
  }

  /** Absent when there is no such topic. */
  async find(name: string): Promise<TopicSpec | undefined> {
    const layout = await this.#layout(name)
    return layout === undefined ? undefined : (await this.#specs([layout]))[0]
  }

  /** Of every topic that carries the prefix, by name; the cluster's own are left out. */
  async all(): Promise<TopicSpec[]> {
    return await this.#specs(await this.#layouts())
  }

  async names(): Promise<string[]> {
    return (await this.#layouts()).map(({ name }) => this.#ownName(name))
  }

  /** Every topic with its partitions; what else there is to its spec is not looked up. */
  async partitioned(): Promise<TopicSpec[]> {
    const layouts = await this.#layouts()
    return layouts.map(({ name, leaders }) => ({ name: this.#ownName(name), partitions: leaders.length }))
  }

  /** Creates it; false when it is there already. */
  async create(spec: TopicSpec): Promise<boolean> {
    const { topicPrefix, replicationFactor } = this.#options
    const topic = topicPrefix + spec.name
    const configEntries = [...topicConfig(spec, this.#options)].map(([name, value]) => ({ name, value }))
    const wanted = { topic, numPartitions: spec.partitions, replicationFactor, configEntries }
    const isNew = await this.#persistently(`creating topic "${topic}"`, () =>
      this.#admin.createTopics({ topics: [wanted], waitForLeaders: true }),
    )
    await this.#until(
      spec.name,
      (layout) => layout?.leaders.length === spec.partitions && !layout.leaders.includes(-1),
    )
    return isNew
  }

  async remove(name: string): Promise<void> {
    const topic = this.#options.topicPrefix + name
    await this.#persistently(`deleting topic "${topic}"`, () => this.#admin.deleteTopics({ topics: [topic] }))
    await this.#until(name, (layout) => layout === undefined)
  }

  /** Sets how long the topic keeps its records; all else of its settings stays. */
  async setRetention(spec: TopicSpec): Promise<void> {
    const topic = this.#options.topicPrefix + spec.name
    const wanted = topicConfig(spec, this.#options)
    await this.#persistently(`changing topic "${topic}"`, async () => {
      const request = new WireWriter().int32(1).int8(topicResource).string(topic)
      request.array(['retention.ms', 'retention.bytes', 'cleanup.policy'], (name) => {
        request.string(name).int8(setOperation).string(wanted.get(name)!)
      })
      const answer = await this.#connections.call('any', changeConfigsApi, request.int8(0))
      answer.int32()
      answer.array(() => {
        checkCode(answer.int16(), answer.string())
        answer.int8()
        answer.string()
      })
    })
    await this.#persistently(`changing topic "${topic}"`, async () => {
      const config = (await this.#configs([topic]))[0]
      if (config?.get('retention.ms') !== wanted.get('retention.ms'))
        throw new KafkaFailure(7, 'not yet changed')
    })
  }

  /**
   * That an existing topic keeps event times, takes the longest record and
   * drops nothing that its declaration keeps.
   *
   * @throws EngineError `topic-mismatch`
   */
  async checkSettings(name: string): Promise<void> {
    const [config] = await this.#configs([this.#options.topicPrefix + name])
    if (config === undefined) return
    const timestampType = config.get('message.timestamp.type')
    if (timestampType !== undefined && timestampType !== 'CreateTime') {
      const expected = 'CreateTime, as record times are event times'
      throw this.#mismatch(
        name,
        'message.timestamp.type',
        timestampType,
        expected,
        'message.timestamp.type=CreateTime',
      )
    }
    const found = Number(config.get('max.message.bytes') ?? defaultBatchBytes)
    const wanted = maxBatchBytesOf(this.#options)
    if (found < wanted) {
      const expected = `${wanted} or more, or a lower maxRecordBytes`
      throw this.#mismatch(name, 'max.message.bytes', `${found}`, expected, `max.message.bytes=${wanted}`)
    }
  }

  /**
   * As `reconcileTopic`, which says what differs; here with what the operator
   * of the cluster can do about it.
   *
   * @throws EngineError `topic-mismatch`
   */
  reconcile(found: TopicSpec, wanted: TopicSpec): 'same' | 'retention-differs' {
    try {
      return reconcileTopic(found, wanted)
    } catch (error) {
      if (!isEngineError(error, 'topic-mismatch')) throw error
      const { topic, what, found: has, expected } = error.context
      if (what !== 'partitions') {
        const policy = topicConfig(wanted, this.#options).get('cleanup.policy')!
        throw this.#mismatch(topic, what, has, expected, `cleanup.policy=[${policy}]`)
      }
      const more = `or, while it is empty: ${this.#tool('kafka-topics')} --alter --topic ${this.#options.topicPrefix}${topic} --partitions ${expected}`
      const advice = `declare ${has}, ${found.partitions < wanted.partitions ? more : 'or use another topicPrefix: partitions never become fewer'}`
      throw new EngineError('topic-mismatch', { topic, what, found: has, expected, advice })
    }
  }

  #mismatch(topic: string, what: string, found: string, expected: string, setting: string): EngineError {
    const advice = `change it: ${this.#tool('kafka-configs')} --alter --entity-type topics --entity-name ${this.#options.topicPrefix}${topic} --add-config ${setting}`
    return new EngineError('topic-mismatch', { topic, what, found, expected, advice })
  }

  #tool(name: string): string {
    return `${name}.sh --bootstrap-server ${this.#options.brokers[0]}`
  }

  async #specs(layouts: readonly TopicLayout[]): Promise<TopicSpec[]> {
    const configs = await this.#configs(layouts.map(({ name }) => name))
    return layouts.map(({ name, leaders }, index) => {
      const config = configs[index]!
      const policy = config.get('cleanup.policy') ?? 'delete'
      const bound = (key: string): number | undefined => {
        const value = Number(config.get(key) ?? -1)
        return policy.includes('delete') && value >= 0 ? value : undefined
      }
      const retentionMs = bound('retention.ms')
      const retentionBytes = bound('retention.bytes')
      return {
        name: this.#ownName(name),
        partitions: leaders.length,
        ...(retentionMs === undefined ? {} : { retentionMs }),
        ...(retentionBytes === undefined ? {} : { retentionBytes }),
        compacted: policy.includes('compact'),
      }
    })
  }

  /** In the order of the names. */
  async #configs(names: readonly string[]): Promise<Config[]> {
    if (names.length === 0) return []
    const resources = names.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name }))
    const answer = await this.#persistently('reading the settings of topics', () =>
      this.#admin.describeConfigs({ resources, includeSynonyms: false }),
    )
    return names.map((name) => {
      const found = answer.resources.find(({ resourceName }) => resourceName === name)
      return new Map(found?.configEntries.map(({ configName, configValue }) => [configName, configValue]))
    })
  }

  async #layout(name: string): Promise<TopicLayout | undefined> {
    const wanted = this.#options.topicPrefix + name
    const layouts = await this.#persistently(`looking for topic "${wanted}"`, () =>
      this.#connections.layouts([wanted]),
    )
    return layouts[0]
  }

  async #layouts(): Promise<TopicLayout[]> {
    const { topicPrefix } = this.#options
    const layouts = await this.#persistently('listing topics', () => this.#connections.layouts())
    return layouts
      .filter(({ name, isInternal }) => !isInternal && !name.startsWith('__') && name.startsWith(topicPrefix))
      .sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  /** The controller has decided; the brokers hear of it a little later. */
  async #until(name: string, holds: (layout: TopicLayout | undefined) => boolean): Promise<void> {
    const deadline = deadlineAfter(this.#options.patienceMs)
    for (;;) {
      if (holds(await this.#layout(name))) break
      if (performance.now() > deadline) {
        const detail = `the brokers still have another view of topic "${name}"`
        throw new EngineError('kafka-unavailable', { operation: 'waiting for a topic', detail })
      }
      await sleep(10)
    }
    this.#connections.forget()
  }

  #ownName(name: string): string {
    return name.slice(this.#options.topicPrefix.length)
  }

  async #persistently<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    return await persistently(operation, deadlineAfter(this.#options.patienceMs), work)
  }
}

/** The settings of a topic that the engine creates, by Kafka's names. */
export function topicConfig(
  { retentionMs, retentionBytes, compacted }: TopicSpec,
  options: CheckedKafkaOptions,
): Config {
  const isBounded = retentionMs !== undefined || retentionBytes !== undefined
  const policy = compacted === true ? (isBounded ? 'compact,delete' : 'compact') : 'delete'
  const config = new Map([
    ['cleanup.policy', policy],
    ['retention.ms', `${retentionMs ?? -1}`],
    ['retention.bytes', `${retentionBytes ?? -1}`],
    ['message.timestamp.type', 'CreateTime'],
    // Event times may lie in any past, and a wrong one is the dead-letter topic's business, not the broker's.
    ['message.timestamp.before.max.ms', anyTime],
    ['message.timestamp.after.max.ms', anyTime],
  ])
  // A segment would be closed when a commit's marker, which has the broker's time, is that much later than
  // the first event time in it. Where all is kept, size alone may decide.
  if (policy === 'delete' && retentionMs === undefined) config.set('segment.ms', anyTime)
  // The segment that is written to is never compacted, so it should not be large.
  if (compacted === true) config.set('segment.bytes', `${compactedSegmentBytes}`)
  const maxBatchBytes = maxBatchBytesOf(options)
  if (maxBatchBytes > defaultBatchBytes) config.set('max.message.bytes', `${maxBatchBytes}`)
  return config
}
