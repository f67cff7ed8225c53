import {
  type ConfluentOptions,
  confluentRegistry,
} from '../../state/contracts/confluent/confluent-registry.ts'
import type { SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import { joinKafkaGroup } from '../../state/log/kafka/kafka-group.ts'
import { type KafkaLog, openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import type { KafkaLogOptions } from '../../state/log/kafka/kafka-options.ts'
import type { GroupMember, GroupOptions } from '../../state/log/member-group.ts'

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

/** Makes this process a member of the group of the application's instances, `<clientId>-instances`. */
export function joinInstances(
  app: string,
  now: () => number,
  kafka: KafkaWiring,
  group: Omit<GroupOptions, 'group'>,
): Promise<GroupMember> {
  const { registry: _, clientId = app, ...options } = kafka
  return joinKafkaGroup({ ...options, clientId, now }, { ...group, group: `${clientId}-instances` })
}

/** The registry that the cluster's other users share, if one is named. */
export async function sharedRegistry({ registry }: KafkaWiring): Promise<SchemaRegistry | undefined> {
  return registry && confluentRegistry(registry)
}
