import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { StreamRecord } from '../operator.ts'

/**
 * Which of two records of a key is newer: the one that arrived later (`arrival`,
 * as in Kafka Streams' tables), or the one with the greater event time, at
 * equal times the later arrival (`event-time`).
 */
export type TableOrder = 'arrival' | 'event-time'

export interface TableRow<Value> {
  readonly value: Value
  readonly timestampMs: TimestampMs
}

/** What a record changed; undefined stands for no row. */
export interface TableChange<Value> {
  readonly before: TableRow<Value> | undefined
  readonly after: TableRow<Value> | undefined
}

/** The newest value of each key. A record with a null value deletes its key. */
export class LatestTable<Value> {
  readonly #rows: OrderedStore<TableRow<Value | null>>
  readonly #order: TableOrder

  constructor(rows: OrderedStore<TableRow<Value | null>>, order: TableOrder) {
    this.#rows = rows
    this.#order = order
  }

  get(key: KeyPart): TableRow<Value> | undefined {
    return shown(this.#rows.get([key]))
  }

  /** Undefined when a newer record of the key is known. */
  put(
    key: KeyPart,
    { value, timestampMs }: StreamRecord<unknown, Value | null>,
  ): TableChange<Value> | undefined {
    const known = this.#rows.get([key])
    if (this.#order === 'event-time' && known !== undefined && known.timestampMs > timestampMs)
      return undefined
    const after = { value, timestampMs }
    // By event time a deletion is remembered, or an older record that comes late would undo it.
    if (value === null && this.#order === 'arrival') this.#rows.delete([key])
    else this.#rows.put([key], after)
    return { before: shown(known), after: shown(after) }
  }
}

const shown = <Value>(row: TableRow<Value | null> | undefined): TableRow<Value> | undefined =>
  row === undefined || row.value === null ? undefined : (row as TableRow<Value>)
