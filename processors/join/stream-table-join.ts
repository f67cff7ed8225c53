import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Join, JoinInput, OperatorContext, StreamRecord } from '../operator.ts'
import { connectJoin } from '../stream/connect-stage.ts'
import { requireDuration } from '../stream/declaration-checks.ts'
import { deriveRecord, plainRecord } from '../stream/derive-record.ts'
import { packKey } from '../stream/record-key.ts'
import { LatestTable, type TableOrder } from './latest-table.ts'
import { VersionedTable } from './versioned-table.ts'

/**
 * What a stream record is joined with.
 *
 * - `latest`: the newest value that has arrived, whatever the record's time.
 * - `versioned`: the value that was valid at the record's own event time. With
 *   `graceMs` the record waits until stream time has passed it by so much, so
 *   that table records that come late are seen too; the waiting ones come out
 *   in the order of their event times.
 */
export type JoinedTable =
  | { readonly kind: 'latest'; readonly order?: TableOrder }
  | { readonly kind: 'versioned'; readonly historyMs: DurationMs; readonly graceMs?: DurationMs }

export interface StreamTableJoinOptions<Left extends StreamRecord, Right extends StreamRecord, Out> {
  readonly name: string
  /** `left` keeps records that find nothing. */
  readonly how: 'inner' | 'left'
  readonly table: JoinedTable
  /** The table key of a stream record; its own key unless said. Another key needs a table that each task holds whole. */
  readonly tableKey?: (record: Left) => Right['key'] | null
  readonly value: (left: Left['value'], right: NonNullable<Right['value']> | null, record: Left) => Out
}

const stream: JoinInput = { as: 'stream', copartitioned: true }

/**
 * Joins each stream record with the row of a table. Table records never cause
 * a result. The result has the key and the event time of the stream record. A
 * table record that is older than the history is dropped with
 * `older-than-history`. A null key matches nothing.
 *
 * Stores: `<name>-table` or `<name>-versions` and `<name>-observed`; with grace
 * `<name>-waiting` `[eventTime, number]`.
 *
 * @throws RangeError for a negative history or grace, or a grace beyond the history.
 */
export function streamTableJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  options: StreamTableJoinOptions<Left, Right, Out>,
): Join<Left, Right, StreamRecord<Left['key'], Out>> {
  checkTable(options.table)
  return {
    name: options.name,
    inputs: { left: stream, right: { as: 'table', copartitioned: true } },
    connect: (context) => connectTableJoin(context, options),
  }
}

/**
 * `streamTableJoin` with a table that each task holds whole, so the stream may
 * ask for any key of it without a repartition. For small tables that change
 * slowly.
 */
export function globalTableJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  options: StreamTableJoinOptions<Left, Right, Out>,
): Join<Left, Right, StreamRecord<Left['key'], Out>> {
  checkTable(options.table)
  return {
    name: options.name,
    inputs: {
      left: { as: 'stream', copartitioned: false },
      right: { as: 'global-table', copartitioned: false },
    },
    connect: (context) => connectTableJoin(context, options),
  }
}

export interface AsOfJoinOptions<Left extends StreamRecord, Right extends StreamRecord, Out>
  extends Omit<StreamTableJoinOptions<Left, Right, Out>, 'table'> {
  /** How far behind the newest right record another may come, or be asked for, and still be kept. */
  readonly historyMs: DurationMs
}

/**
 * The latest right record at or before the left one's event time, as of what
 * has arrived: Quix's `join_asof`. A versioned table join without grace, by
 * another name.
 */
export function asOfJoin<Left extends StreamRecord, Right extends StreamRecord, Out>({
  historyMs,
  ...options
}: AsOfJoinOptions<Left, Right, Out>): Join<Left, Right, StreamRecord<Left['key'], Out>> {
  return streamTableJoin({ ...options, table: { kind: 'versioned', historyMs } })
}

function checkTable(table: JoinedTable): void {
  if (table.kind === 'latest') return
  requireDuration('table historyMs', table.historyMs)
  requireDuration('join graceMs', table.graceMs ?? 0)
  if ((table.graceMs ?? 0) > table.historyMs) {
    throw new RangeError(
      `join graceMs is ${table.graceMs}, expected at most the table's historyMs of ${table.historyMs}: what waits longer finds nothing`,
    )
  }
}

/** The two kinds of tables, seen by the join. */
interface Lookup<Value> {
  put(key: KeyPart, record: StreamRecord<unknown, Value | null>): boolean
  get(key: KeyPart, atMs: TimestampMs): Value | undefined
}

function lookupOf<Value>(context: OperatorContext, name: string, table: JoinedTable): Lookup<Value> {
  if (table.kind === 'latest') {
    const latest = new LatestTable<Value>(context.store(`${name}-table`), table.order ?? 'arrival')
    return {
      put: (key, record) => latest.put(key, record) !== undefined,
      get: (key) => latest.get(key)?.value,
    }
  }
  const versions = new VersionedTable<Value>(context, name, table.historyMs)
  return {
    put: (key, { value, timestampMs }) => versions.put(key, value, timestampMs) !== undefined,
    get: (key, atMs) => versions.get(key, atMs)?.value,
  }
}

interface Waiting<Left> {
  readonly record: Left
}

function connectTableJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  context: OperatorContext,
  options: StreamTableJoinOptions<Left, Right, Out>,
) {
  type Row = NonNullable<Right['value']>
  const { name, how, table } = options
  const graceMs = table.kind === 'versioned' ? (table.graceMs ?? 0) : 0
  return connectJoin<Left, Right, StreamRecord<Left['key'], Out>>(context, (emit) => {
    const lookup = lookupOf<Row>(context, name, table)
    const waiting: OrderedStore<Waiting<Left>> | undefined =
      graceMs > 0 ? context.store(`${name}-waiting`) : undefined

    const join = (record: Left): void => {
      const key = options.tableKey === undefined ? record.key : options.tableKey(record)
      const isNull = key === null || key === undefined
      if (isNull && how === 'inner') {
        context.drop({ operator: name, reason: 'null-key', record })
        return
      }
      const right = isNull ? undefined : lookup.get(packKey(key), record.timestampMs)
      if (right === undefined && how === 'inner') return
      const value = options.value(record.value, right ?? null, record)
      emit(deriveRecord(record, record.key as Left['key'], value, record.timestampMs, record.headers))
    }

    const release = (streamTimeMs: TimestampMs): void => {
      if (waiting === undefined) return
      for (const [at, { record }] of waiting.range(undefined, [streamTimeMs - graceMs + 1])) {
        waiting.delete(at)
        join(record)
      }
    }

    return {
      left(record) {
        if (record.value === null) {
          context.drop({ operator: name, reason: 'null-value', record })
          return
        }
        if (waiting === undefined || record.timestampMs <= context.streamTimeMs - graceMs) {
          join(record)
          return
        }
        let number = 0
        for (const [at] of waiting.range([record.timestampMs], [record.timestampMs + 1]))
          number = (at[1] as number) + 1
        waiting.put([record.timestampMs, number], { record: plainRecord(record) as Left })
      },
      right(record) {
        if (record.key === null || record.key === undefined) {
          context.drop({ operator: name, reason: 'null-key', record })
          return
        }
        if (lookup.put(packKey(record.key), record as StreamRecord<unknown, Row | null>)) return
        const reason = table.kind === 'latest' ? 'older-than-row' : 'older-than-history'
        context.drop({ operator: name, reason, record })
      },
      ...(waiting === undefined ? {} : { streamTime: release }),
    }
  })
}
