import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { Contract } from '../state/contracts/contract.ts'
import type { DurationMs } from '../state/contracts/units.ts'
import type { Model } from './model.ts'

/** Everything that one application declares: what a task folds. */
export interface Declaration {
  readonly kind: 'topology'
  /** Prefix of the topics that the engine makes. */
  readonly name: string
  readonly events: readonly Contract[]
  readonly views: readonly FeatureView[]
  readonly models: readonly Model[]
  /** Partitions of an event's topic that does not say itself. */
  readonly partitions: number
  /** How far past the moment of its append an event's time may lie. */
  readonly maxAheadMs: DurationMs
}
