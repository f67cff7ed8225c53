import type { Declaration } from '../../models/declaration.ts'
import type { FeatureValue } from '../../processors/feature/feature-value.ts'
import type { FeatureView } from '../../processors/feature/feature-view.ts'
import { keyPartFromText } from '../../processors/feature/key-text.ts'
import { assemble, type RecoveryProgress } from '../../replay/assembly.ts'
import { recordedTasks } from '../../replay/recorded-tasks.ts'
import { partitionOfEntity, taskIdOf } from '../../replay/task-plan.ts'
import { bindContract } from '../../state/contracts/codec.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import { packKey } from '../../state/store/packed-key.ts'
import { type Wiring, wire } from './wire.ts'
import type { KafkaWiring } from './wire-kafka.ts'

export interface ClusterFeaturesOptions {
  readonly topology: Declaration
  readonly kafka: KafkaWiring
  /** Name of the view. */
  readonly view: string
  /** The parts of the entity's key, as text. */
  readonly key: readonly string[]
  /** As of when; now unless given. */
  readonly atMs?: TimestampMs
  /** Wall clock in ms. */
  readonly now?: () => number
  readonly onRecovery?: (progress: RecoveryProgress) => void
}

export interface ClusterFeatures {
  /** The task that has them. */
  readonly task: string
  readonly key: readonly (string | number | bigint)[]
  readonly features: Readonly<Record<string, FeatureValue>>
}

/**
 * The features of an entity as the log of a cluster gives them, whether or not
 * anybody runs the application: the state of the task that has the entity is
 * restored from its changelog, and the commits behind that are followed.
 * Nothing is written there; the state lies in a temporary folder meanwhile.
 *
 * @throws EngineError `feature-view-unknown`, `entity-key-mismatch`, `task-plan-changed`; RangeError for a text that is no value of its part
 */
export async function clusterFeatures(options: ClusterFeaturesOptions): Promise<ClusterFeatures> {
  const { topology, kafka, now = Date.now, atMs = now() } = options
  const view = topology.views.find(({ name }) => name === options.view)
  if (view === undefined) {
    const known = topology.views.map(({ name }) => name)
    throw new EngineError('feature-view-unknown', { view: options.view, known })
  }
  const { entity } = view
  if (options.key.length !== entity.length) {
    const expected = entity.map(({ field }) => field)
    throw new EngineError('entity-key-mismatch', { view: view.name, found: options.key.length, expected })
  }
  const key = options.key.map((text, index) => keyPartFromText(view, index, text))
  const wiring = await wire({ kafka, app: topology.name, now, readOnly: true })
  try {
    const declaration = await taskOfEntity(topology, view, key, wiring)
    const { log, writer, registry } = wiring
    const database = await wiring.scratch()
    const changelog = { standby: true, now }
    const assembly = await assemble({ declaration, log, writer, registry, database, changelog })
    await assembly.recover(options.onRecovery)
    const state = assembly.views.get(view.name)!
    const packed = packKey(key)
    // While one store loads the key another may let go of it.
    for (let missing = state.stores; missing.length > 0; ) {
      missing = missing.filter((store) => store.isMissing(packed))
      await Promise.all(missing.map((store) => store.prefetch(database, [packed])))
    }
    return { task: taskIdOf(declaration), key, features: state.values(packed, atMs) }
  } finally {
    await wiring.close()
  }
}

/** The task that folds the events of an entity. */
async function taskOfEntity(
  topology: Declaration,
  view: FeatureView,
  key: readonly (string | number | bigint)[],
  { log, registry }: Wiring,
): Promise<Declaration> {
  const tasks = await recordedTasks(topology, log)
  const holding = tasks.filter(({ views }) => views.includes(view))
  const [first, ...others] = holding
  if (others.length === 0) return first!
  const bound = await bindContract(view.sources[0] as Contract as Contract<object>, registry)
  const partition = partitionOfEntity(view, key, bound, holding.length)
  return holding.find(({ share }) => share?.partition === partition)!
}
