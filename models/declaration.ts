import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { AsyncCall } from '../processors/stream/async-call.ts'
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

/** What one of several tasks has of an application. */
export interface TaskShare {
  readonly task: string
  /** Place among the application's tasks, from 0. */
  readonly ordinal: number
  /** How many there are. */
  readonly of: number
  /** The partition of each input that the task owns; absent: all of them. */
  readonly partition?: number
  /** By topic, the tasks that write it, in order, where it is an input of this one: what each writes is an input of its own. */
  readonly writers: ReadonlyMap<string, readonly string[]>
  /** Tasks, this one among them, whose records others merge with what this one writes; none where nobody reads that. */
  readonly beside: readonly string[]
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
  /** Calls outside whose answers are events; made beside the task, by the first of several. */
  readonly calls?: readonly AsyncCall[]
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
  /** Whether several processes may share the application, a partition each, where what it declares allows it. */
  readonly tasks: 'one' | 'by-partition'
  /** How far a task reads ahead, or waits for others, where the application runs as several tasks. */
  readonly alignment: Alignment
  /** This is what one task of several has of the application; absent: one task has all of it. */
  readonly share?: TaskShare
}

/** How the tasks of an application keep together in event time. */
export interface Alignment {
  /** How long, by the wall clock, a task holds records back for another that may still write earlier ones. 0: not at all. */
  readonly waitMs: DurationMs
  /** No task runs further ahead of the slowest than this in event time, or than some thousands of records where that is more. */
  readonly aheadMs: DurationMs
}
