import type { Declaration } from '../../models/declaration.ts'
import { topicsOf } from '../../replay/assembly.ts'
import { changelogTopic } from '../../replay/task-changelog.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import {
  type ClusterInspection,
  type FoundTopic,
  type KafkaOperation,
  lackingOf,
  type WantedTopic,
} from '../../state/log/kafka/cluster-inspection.ts'
import type { TopicSpec } from '../../state/log/log.ts'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { type Finding, ok, skipped } from './finding.ts'

/** The topics of a declaration on a cluster; of several tasks' those of any. */
function clusterTopics(declaration: Declaration, { registry }: KafkaWiring): readonly TopicSpec[] {
  return [
    ...topicsOf(declaration),
    changelogTopic(declaration.name, declaration.share?.of),
    ...(registry === undefined ? [{ name: `${declaration.name}-schemas`, partitions: 1 }] : []),
    ...(declaration.sources.length > 0 ? [{ name: `${declaration.name}-imports`, partitions: 1 }] : []),
  ]
}

/** Whether the topics of a declaration are there, as it declares them, with what the engine needs to do with them. */
export async function* examineTopics(
  cluster: ClusterInspection,
  declaration: Declaration,
  kafka: KafkaWiring,
): AsyncGenerator<Finding> {
  const wanted = clusterTopics(declaration, kafka).map((spec) => cluster.wanted(spec))
  const found = await cluster.topics(wanted.map(({ name }) => name))
  const missing = wanted.filter(({ name }) => !found.has(name))
  const brokers = (await cluster.brokers()).length
  const problems: Finding[] = []
  for (const topic of wanted) {
    const there = found.get(topic.name)
    if (there === undefined) continue
    problems.push(...layoutProblems(topic, there, kafka), ...settingProblems(topic, there, kafka, cluster))
    problems.push(...copyProblems(topic, there, brokers, kafka), ...rightProblems(topic, there, declaration))
  }
  yield* problems
  const count = wanted.length - missing.length
  if (problems.length === 0 && count > 0)
    yield ok('topics', `${count} topics are as the topology declares them`)
  if (missing.length === 0) return
  const names = missing.map(({ name }) => name).join(', ')
  const allowed = await cluster.allowed()
  if (allowed === undefined || allowed.has('create')) {
    yield ok('topics', `${missing.length} topics are created at the first start: ${names}`)
    return
  }
  yield {
    area: 'permissions',
    status: 'failed',
    found: `${missing.length} topics are missing or may not be seen, and this user may not create topics: ${names}`,
    advice: `grant Create on the cluster, or create them:\n${missing.map((topic) => creation(topic, kafka)).join('\n')}`,
  }
}

function layoutProblems(wanted: WantedTopic, found: FoundTopic, kafka: KafkaWiring): Finding[] {
  const { name, partitions } = wanted
  if (found.partitions === partitions) return []
  return [
    {
      area: 'topics',
      status: 'failed',
      found: `topic "${name}" has ${found.partitions} partitions, the topology declares ${partitions}`,
      advice:
        found.partitions < partitions
          ? `declare ${found.partitions} partitions, or, while it is empty: kafka-topics.sh --bootstrap-server ${kafka.brokers[0]} --alter --topic ${name} --partitions ${partitions}`
          : `declare ${found.partitions} partitions, or take another topicPrefix in --kafka-config: partitions never become fewer`,
    },
  ]
}

function settingProblems(
  { name, settings: wanted }: WantedTopic,
  { settings }: FoundTopic,
  kafka: KafkaWiring,
  { maxBatchBytes }: ClusterInspection,
): Finding[] {
  if (settings === undefined) {
    return [skipped('topics', `the settings of topic "${name}" may not be read (Describe Configs)`)]
  }
  const change = (setting: string, value: string) =>
    `kafka-configs.sh --bootstrap-server ${kafka.brokers[0]} --alter --entity-type topics --entity-name ${name} --add-config ${value.includes(',') ? `${setting}=[${value}]` : `${setting}=${value}`}`
  const problems: Finding[] = []
  const differs = (
    setting: string,
    why: string,
    status: Finding['status'] = 'failed',
    value = wanted.get(setting)!,
  ) => {
    const found = settings.get(setting)
    problems.push({
      area: 'topics',
      status,
      found: `topic "${name}" has ${setting}=${found}, wanted is ${value}: ${why}`,
      advice: change(setting, value),
    })
  }
  const policy = settings.get('cleanup.policy') ?? 'delete'
  if (policy.includes('compact') !== wanted.get('cleanup.policy')!.includes('compact')) {
    differs('cleanup.policy', 'records would be dropped that the declaration keeps, or kept for ever')
  }
  for (const setting of ['retention.ms', 'retention.bytes']) {
    const value = Number(settings.get(setting) ?? -1)
    const declared = Number(wanted.get(setting))
    if (!policy.includes('delete') || value === declared) continue
    differs(setting, 'the engine sets it at its start; until then other records are dropped', 'warning')
  }
  if ((settings.get('message.timestamp.type') ?? 'CreateTime') !== 'CreateTime') {
    differs('message.timestamp.type', 'record times are event times')
  }
  const largest = Number(settings.get('max.message.bytes') ?? maxBatchBytes)
  if (largest < maxBatchBytes) {
    differs('max.message.bytes', 'the longest record does not fit', 'failed', `${maxBatchBytes}`)
  }
  return problems
}

function copyProblems(
  { name }: WantedTopic,
  { replicas, leaderless, lagging, settings }: FoundTopic,
  brokers: number,
  kafka: KafkaWiring,
): Finding[] {
  const problems: Finding[] = []
  const add = (status: Finding['status'], found: string, advice: string) =>
    problems.push({ area: 'topics', status, found: `topic "${name}" ${found}`, advice })
  if (leaderless.length > 0) {
    add(
      'failed',
      `has partitions that no broker leads: ${leaderless.join(', ')}`,
      'start the brokers that hold them',
    )
  } else if (lagging.length > 0) {
    add(
      'warning',
      `has partitions with a copy that lags: ${lagging.join(', ')}`,
      'see whether a broker is down or overloaded',
    )
  }
  const inSync = Number(settings?.get('min.insync.replicas') ?? 1)
  if (inSync > replicas) {
    add(
      'failed',
      `wants ${inSync} copies in sync (min.insync.replicas) and has ${replicas}: no commit succeeds`,
      `set it to ${replicas} or less: kafka-configs.sh --bootstrap-server ${kafka.brokers[0]} --alter --entity-type topics --entity-name ${name} --add-config min.insync.replicas=${replicas}`,
    )
  } else if (brokers > 1 && replicas === 1) {
    add(
      'warning',
      'has one copy: a lost disk loses it',
      'reassign it to three brokers (kafka-reassign-partitions.sh)',
    )
  } else if (replicas > 2 && inSync === 1) {
    add(
      'warning',
      'acknowledges what only one broker has (min.insync.replicas=1)',
      `kafka-configs.sh --bootstrap-server ${kafka.brokers[0]} --alter --entity-type topics --entity-name ${name} --add-config min.insync.replicas=2`,
    )
  }
  return problems
}

function rightProblems({ name }: WantedTopic, { allowed }: FoundTopic, declaration: Declaration): Finding[] {
  const problems: Finding[] = []
  const lacking = lackingOf(allowed, ['read', 'write', 'describe'])
  if (lacking.length > 0) {
    problems.push({
      area: 'permissions',
      status: 'failed',
      found: `this user may not ${lacking.join(' or ')} topic "${name}"`,
      advice: `grant it, for instance: kafka-acls.sh --add --allow-principal User:… --operation ${lacking.map(aclName).join(' --operation ')} --topic ${name}`,
    })
  }
  const settings = lackingOf(allowed, ['describe configs', 'alter configs'])
  if (settings.length > 0) {
    problems.push({
      area: 'permissions',
      status: 'warning',
      found: `this user may not ${settings.join(' or ')} of topic "${name}": ${declaration.name} cannot check or mend its retention`,
      advice: `grant ${settings.map(aclName).join(' and ')} on it, or keep the settings as declared by hand`,
    })
  }
  return problems
}

const aclName = (operation: KafkaOperation): string =>
  operation.replaceAll(/(^| )(\w)/g, (_, __, letter: string) => letter.toUpperCase())

const creation = ({ name, partitions, settings }: WantedTopic, kafka: KafkaWiring): string => {
  const copies =
    kafka.replicationFactor === undefined ? '' : ` --replication-factor ${kafka.replicationFactor}`
  const configs = [...settings].map(([setting, value]) => ` --config ${setting}=${value}`).join('')
  return `kafka-topics.sh --bootstrap-server ${kafka.brokers[0]} --create --topic ${name} --partitions ${partitions}${copies}${configs}`
}

/** Events whose records meet by key: where their partitions differ, no task would hold both. */
function* meetings(declaration: Declaration): Generator<readonly [string, readonly Contract[]]> {
  for (const { name, sources } of declaration.views) yield [`view "${name}"`, sources]
  for (const { name, trigger, label } of declaration.models) yield [`model "${name}"`, [trigger, label.from]]
  for (const { sink, lineage } of declaration.streams) yield [`stream to "${sink.name}"`, lineage.sources]
}

/** Whether records that meet by key lie in partitions of the same number. */
export async function* coPartitioning(
  cluster: ClusterInspection,
  declaration: Declaration,
): AsyncGenerator<Finding> {
  const specs = new Map(topicsOf(declaration).map((spec) => [spec.name, cluster.wanted(spec)]))
  const found = await cluster.topics([...specs.values()].map(({ name }) => name))
  const partitionsOf = ({ topic }: Contract) => {
    const wanted = specs.get(topic)!
    return found.get(wanted.name)?.partitions ?? wanted.partitions
  }
  let groups = 0
  let differing = 0
  for (const [reader, contracts] of meetings(declaration)) {
    groups++
    if (new Set(contracts.map(partitionsOf)).size < 2) continue
    differing++
    const counts = contracts.map((contract) => `${contract.topic} ${partitionsOf(contract)}`)
    yield {
      area: 'co-partitioning',
      status: 'warning',
      found: `${reader} reads topics of unequal partitions: ${counts.join(', ')}`,
      advice:
        'one task reads all their partitions then, and processes cannot share it: give these events the same `partitions`',
    }
  }
  if (differing === 0)
    yield ok('co-partitioning', `${groups} views, models and streams read topics of equal partitions`)
}
