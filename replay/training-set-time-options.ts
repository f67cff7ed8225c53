import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { TaskOptions } from '../processors/task.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { DurationMs } from '../state/contracts/units.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import type { RecoveryProgress } from './assembly.ts'
import type { TableFormat, TableReader } from './table-column.ts'
import type { TimeUnit } from './training-set-input.ts'
import type { ShapeOptions } from './training-set-shape.ts'

/** A file of rows that want features as of a time. */
export interface LabelFile extends LabelColumns {
  readonly path: string
  readonly format?: TableFormat
  /** Column of the time as of which features are read. */
  readonly time: string
}

/** Declared events as rows that want features as of a time. */
export interface LabelTopic extends LabelColumns {
  /** Name of the event. */
  readonly event: string
  /** Field of the time as of which features are read; the event time unless given. */
  readonly time?: string
}

/** How the columns of the rows are to be read. */
export interface LabelColumns {
  /** Unit of times that are numbers; ms unless given. */
  readonly timeUnit?: TimeUnit
  /** Column of an entity's field, where it has another name: `{ userId: 'customer' }`. */
  readonly keys?: Readonly<Record<string, string>>
  /** Column of the label, for class weights, sampling and strata. */
  readonly label?: string
  /** Names of declared views; all whose entity the file names, unless given. */
  readonly views?: readonly string[]
  /**
   * How long a row waits, in event time, for events that are out of order:
   * at most the disorder that its views allow, and that unless given. 0 gives
   * what a live request of that moment would have seen.
   */
  readonly waitMs?: DurationMs
}

export interface TimeOptions extends ShapeOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  readonly database: Database
  /** `path` is what they are called where something is wrong with them. */
  readonly labels: LabelColumns & { readonly path: string; readonly time: string }
  readonly table: TableReader
  /** With it the columns are the model's, and the file has the fields of its trigger. */
  readonly model?: Model
  /** Views beside the declared ones. */
  readonly extraViews: readonly FeatureView[]
  readonly group?: string
  readonly untilCommit?: number
  readonly rowGroup: number
  readonly out: string
  readonly task?: TaskOptions
  readonly onProgress?: (progress: RecoveryProgress) => void
}
