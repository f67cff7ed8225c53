import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { DeclaredStream } from '../processors/stream/stream.ts'
import type { Contract } from '../state/contracts/contract.ts'
import type { DurationMs } from '../state/contracts/units.ts'
import type { Model } from './model.ts'
import type { Expectations } from './quality/expectation.ts'

/** One row of a source as the events that it becomes: event name and value, in order. */
export type SourceRow = readonly (readonly [event: string, value: object])[]

/** A file, or anything with a stable order of rows, that becomes events once. */
export interface Source {
  /** Names the rows for ever: an import that was interrupted goes on by it. */
  readonly name: string
  /** For progress only. */
  readonly rowCount?: number
  rows(): Iterable<SourceRow> | AsyncIterable<SourceRow>
}

/** Everything that one application declares: what a task folds. */
export interface Declaration {
  readonly kind: 'topology'
  /** Prefix of the topics that the engine makes. */
  readonly name: string
  readonly events: readonly Contract[]
  readonly views: readonly FeatureView[]
  readonly models: readonly Model[]
  readonly streams: readonly DeclaredStream[]
  /** What events and features must be like, each subject once. */
  readonly expectations: readonly Expectations[]
  /** Partitions of an event's topic that does not say itself. */
  readonly partitions: number
  /** How far past the moment of its append an event's time may lie. */
  readonly maxAheadMs: DurationMs
  /** Imported at the start of a run, in order. */
  readonly sources: readonly Source[]
  /** Commands worth trying once it serves, printed then; `{url}` stands for the address. */
  readonly tryIt: readonly string[]
}
