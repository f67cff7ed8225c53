import type { Declaration } from '../../models/declaration.ts'
import { ClusterInspection, knock, lackingOf } from '../../state/log/kafka/cluster-inspection.ts'
import { type KafkaWiring, sharedRegistry } from '../runtime/wire-kafka.ts'
import { type Finding, ok, skipped } from './finding.ts'
import { coPartitioning, examineTopics } from './kafka-topic-doctor.ts'
import { examineRegistry } from './registry-doctor.ts'
import { examineTasks } from './task-doctor.ts'

export interface DoctorOptions {
  /** Absent: only what holds for any application is looked at. */
  readonly declaration?: Declaration
  readonly kafka: KafkaWiring
  /** Wall clock, ms. */
  readonly now: () => number
  /** Writes to a topic of its own, for the moment, to try the whole way and to read the broker's clock. */
  readonly probe: boolean
}

/** How long an address or a broker may take to answer. */
const patienceMs = 8_000
/** A clock that is off by more than that deserves to be set. */
const clockOffMs = 1_000

/**
 * Examines a cluster, and the registry beside it, for one application. Gives
 * findings as they are made; those behind a cluster that nobody reaches are
 * left out. Nothing is changed but by the probe, which cleans up behind it.
 */
export async function* examineCluster(options: DoctorOptions): AsyncGenerator<Finding> {
  const { declaration, kafka, now, probe } = options
  const { registry: _, clientId = declaration?.name ?? 'headwater', ...rest } = kafka
  const log = { patienceMs, ...rest, clientId, now }
  const addresses = await knock(log)
  for (const { address, problem } of addresses) {
    if (problem === undefined) continue
    const others = addresses.some((each) => each.problem === undefined)
    yield {
      area: 'brokers',
      status: others ? 'warning' : 'failed',
      found: `nobody answers at ${address}: ${problem}`,
      advice:
        'check the address and the port, that the broker runs, that no firewall is between, and ssl and sasl in --kafka-config',
    }
  }
  if (addresses.every(({ problem }) => problem !== undefined)) {
    yield* registryOf(options)
    return
  }
  const cluster = await ClusterInspection.open(log)
  try {
    yield* examineBrokers(cluster)
    if (declaration === undefined) {
      yield skipped('topics', 'no topology was given, so its topics are not looked at')
    } else {
      const { first, findings } = await examineTasks(cluster, declaration)
      yield* findings
      yield* examineTopics(cluster, first, kafka)
      yield* coPartitioning(cluster, declaration)
    }
    yield* examineGroup(cluster)
    yield* registryOf(options)
    if (probe) yield* tryProbe(cluster, declaration)
    else
      yield skipped('clock', 'the broker tells its time only when it is written to, and --no-probe was said')
  } finally {
    await cluster.close()
  }
}

async function* registryOf({ declaration, kafka }: DoctorOptions): AsyncGenerator<Finding> {
  const options = kafka.registry && { timeoutMs: patienceMs, retries: 1, ...kafka.registry }
  const registry = options && (await sharedRegistry({ ...kafka, registry: options }))
  if (registry === undefined) {
    const topic =
      declaration === undefined ? 'a topic of the application' : `topic "${declaration.name}-schemas"`
    yield ok('registry', `no registry was named: schemas are kept on ${topic}`)
  } else yield* examineRegistry(registry, declaration)
}

async function* examineBrokers(cluster: ClusterInspection): AsyncGenerator<Finding> {
  const brokers = await cluster.brokers()
  for (const { node, address, problem, missingApis } of brokers) {
    if (problem !== undefined) {
      yield {
        area: 'brokers',
        status: 'failed',
        found: `broker ${node} says it is at ${address}, where it does not answer: ${problem}`,
        advice:
          'correct advertised.listeners of that broker, so that this machine can reach the address, or start the broker',
      }
    } else if (missingApis.length > 0) {
      yield {
        area: 'brokers',
        status: 'failed',
        found: `broker ${node} at ${address} does not answer ${missingApis.join(', ')}`,
        advice: 'use Apache Kafka 2.5 or later, or a service that answers these requests',
      }
    } else yield ok('brokers', `broker ${node} at ${address} answers, in the versions needed`)
  }
  const settings = await cluster.brokerSettings(brokers[0]?.node ?? 0)
  if (settings === undefined) {
    yield skipped('brokers', "the brokers' settings may not be read (Describe Configs on the cluster)")
    return
  }
  if (settings.get('auto.create.topics.enable') === 'true') {
    yield {
      area: 'brokers',
      status: 'warning',
      found: 'the brokers create topics that somebody misspells (auto.create.topics.enable)',
      advice: 'nothing here relies on it: set auto.create.topics.enable=false, so that a slip shows at once',
    }
  }
  const longestMs = Number(settings.get('transaction.max.timeout.ms') ?? Number.POSITIVE_INFINITY)
  if (longestMs < cluster.transactionTimeoutMs) {
    yield {
      area: 'brokers',
      status: 'failed',
      found: `a transaction may take ${longestMs} ms (transaction.max.timeout.ms), the engine asks for ${cluster.transactionTimeoutMs}`,
      advice: `set transactionTimeoutMs in --kafka-config to ${longestMs} or less`,
    }
  }
  const copies =
    cluster.replicationFactor < 0
      ? Number(settings.get('default.replication.factor') ?? 1)
      : cluster.replicationFactor
  if (copies > brokers.length) {
    yield {
      area: 'brokers',
      status: 'failed',
      found: `new topics would have ${copies} copies, there are ${brokers.length} brokers`,
      advice: `set replicationFactor in --kafka-config to ${brokers.length} or less, or start more brokers`,
    }
  }
}

async function* examineGroup(cluster: ClusterInspection): AsyncGenerator<Finding> {
  yield await groupFinding(cluster, cluster.groupName, 'commit positions to')
  yield await groupFinding(cluster, cluster.instancesGroupName, 'share tasks out in')
}

async function groupFinding(cluster: ClusterInspection, name: string, purpose: string): Promise<Finding> {
  let detail = 'it may not read it'
  try {
    if (lackingOf(await cluster.groupAllowed(name), ['read']).length === 0) {
      return ok('permissions', `this user may ${purpose} group "${name}"`)
    }
  } catch (error) {
    detail = error instanceof Error ? error.message : String(error)
  }
  return {
    area: 'permissions',
    status: 'failed',
    found: `this user may not ${purpose} group "${name}": ${detail}`,
    advice: `grant it, for instance: kafka-acls.sh --add --allow-principal User:… --operation Read --group ${name}`,
  }
}

async function* tryProbe(
  cluster: ClusterInspection,
  declaration: Declaration | undefined,
): AsyncGenerator<Finding> {
  let aheadMs: number
  let uncertaintyMs: number
  try {
    const probe = await cluster.probe()
    aheadMs = probe.aheadMs
    uncertaintyMs = probe.uncertaintyMs
  } catch (error) {
    yield {
      area: 'permissions',
      status: 'failed',
      found: `a topic of the moment could not be written and read: ${(error as Error).message}`,
      advice:
        'the user needs Create and Delete on topics with the prefix, Write on its transactional ids; or leave this out with --no-probe',
    }
    yield skipped('clock', 'the broker tells its time only when it is written to')
    return
  }
  yield ok('permissions', 'a topic of the moment was created, written in a transaction, read and deleted')
  const off = Math.abs(aheadMs)
  const way = aheadMs > 0 ? 'ahead of' : 'behind'
  const found = `the broker's clock is ${Math.round(off)} ms ${way} this one (±${Math.ceil(uncertaintyMs)} ms)`
  if (off <= clockOffMs + uncertaintyMs) yield ok('clock', found)
  else {
    yield {
      area: 'clock',
      status: off > (declaration?.maxAheadMs ?? Number.POSITIVE_INFINITY) ? 'failed' : 'warning',
      found,
      advice:
        'set both clocks by NTP: events from the future are refused by this clock, and retention counts by the broker’s',
    }
  }
}
