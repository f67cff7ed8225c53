import {
  type ConfluentOptions,
  confluentRegistry,
} from '../../state/contracts/confluent/confluent-registry.ts'
import type { SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import { instancesGroup, joinKafkaGroup } from '../../state/log/kafka/kafka-group.ts'
import { type KafkaLog, openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import type { KafkaLogOptions } from '../../state/log/kafka/kafka-options.ts'
import type { TopicSpec } from '../../state/log/log.ts'
import type { GroupMember, GroupOptions } from '../../state/log/member-group.ts'
import { sharedReaderRegistry } from './reader-registry.ts'

/** A cluster in place of the embedded log. The declaration stays as it is. */
export interface KafkaWiring extends Omit<KafkaLogOptions, 'now' | 'clientId'> {
  /** Names the application at the cluster; the topology's name unless given. */
  readonly clientId?: string
  /** A Confluent-compatible schema registry; absent: the schemas are kept on a topic of the application. */
  readonly registry?: ConfluentOptions
}

/** The log of a cluster, under the application's name. */
export function openClusterLog(app: string, now: () => number, kafka: KafkaWiring): Promise<KafkaLog> {
  const { registry: _, clientId = app, ...options } = kafka
  return openKafkaLog({ ...options, clientId, now })
}

/** The topics that an application has at a cluster, and others beside them. */
export async function clusterTopics(
  app: string,
  now: () => number,
  kafka: KafkaWiring,
): Promise<readonly TopicSpec[]> {
  const log = await openClusterLog(app, now, kafka)
  try {
    return await log.topics()
  } finally {
    await log.close()
  }
}

/** Makes this process a member of the group of the application's instances, `<topicPrefix><clientId>-instances`. */
export function joinInstances(
  app: string,
  now: () => number,
  kafka: KafkaWiring,
  group: Omit<GroupOptions, 'group'>,
): Promise<GroupMember> {
  const { registry: _, clientId = app, ...options } = kafka
  const name = instancesGroup(options.topicPrefix ?? '', clientId)
  return joinKafkaGroup({ ...options, clientId, now }, { ...group, group: name })
}

/** The registry that the cluster's other users share, if one is named; a reader tells it of no schema. */
export async function sharedRegistry(
  { registry }: KafkaWiring,
  readOnly = false,
): Promise<SchemaRegistry | undefined> {
  const shared = registry && (await confluentRegistry(registry))
  return shared && readOnly ? sharedReaderRegistry(shared) : shared
}
