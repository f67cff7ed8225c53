import type { Join, JoinInput, OperatorContext, StreamRecord } from '../operator.ts'
import { connectJoin } from '../stream/connect-stage.ts'
import { deriveRecord } from '../stream/derive-record.ts'
import { packKey } from '../stream/record-key.ts'
import { LatestTable, type TableOrder, type TableRow } from './latest-table.ts'

export interface TableTableJoinOptions<Left extends StreamRecord, Right extends StreamRecord, Out> {
  readonly name: string
  /** Which rows make a row of the result: both, the left one, or either. */
  readonly how: 'inner' | 'left' | 'outer'
  /** `arrival` unless said. */
  readonly order?: TableOrder
  readonly value: (left: NonNullable<Left['value']> | null, right: NonNullable<Right['value']> | null) => Out
}

const table: JoinInput = { as: 'table', copartitioned: true }

/**
 * Joins the rows of two tables by key into a third, kept up to date: each
 * change of a row gives the new row of the result, or null, a tombstone, when
 * there was one and is none any more. What neither was nor is gives nothing.
 * The event time is the greater one of the change and the other row.
 *
 * A null key is dropped with `null-key`; by event time an older record than the
 * row's is dropped with `older-than-row`.
 *
 * Source of the rules: Kafka Streams, table-table joins.
 *
 * Stores: `<name>-left`, `<name>-right` `[key]`.
 */
export function tableTableJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  options: TableTableJoinOptions<Left, Right, Out>,
): Join<Left, Right, StreamRecord<Left['key'], Out | null>> {
  return {
    name: options.name,
    inputs: { left: table, right: table },
    connect: (context) => connectTables(context, options),
  }
}

function connectTables<Left extends StreamRecord, Right extends StreamRecord, Out>(
  context: OperatorContext,
  { name, how, order = 'arrival', value }: TableTableJoinOptions<Left, Right, Out>,
) {
  type LeftRow = TableRow<NonNullable<Left['value']>> | undefined
  type RightRow = TableRow<NonNullable<Right['value']>> | undefined
  const exists = (left: LeftRow, right: RightRow): boolean => {
    if (how === 'inner') return left !== undefined && right !== undefined
    return left !== undefined || (how === 'outer' && right !== undefined)
  }
  return connectJoin<Left, Right, StreamRecord<Left['key'], Out | null>>(context, (emit) => {
    const lefts = new LatestTable<NonNullable<Left['value']>>(context.store(`${name}-left`), order)
    const rights = new LatestTable<NonNullable<Right['value']>>(context.store(`${name}-right`), order)

    const isKeyed = (record: StreamRecord): boolean => {
      if (record.key !== null && record.key !== undefined) return true
      context.drop({ operator: name, reason: 'null-key', record })
      return false
    }
    const give = (record: StreamRecord, existed: boolean, left: LeftRow, right: RightRow): void => {
      const doesExist = exists(left, right)
      if (!existed && !doesExist) return
      const joined = doesExist ? value(left?.value ?? null, right?.value ?? null) : null
      const atMs = Math.max(
        record.timestampMs,
        left?.timestampMs ?? record.timestampMs,
        right?.timestampMs ?? record.timestampMs,
      )
      emit(deriveRecord(record, record.key as Left['key'], joined, atMs, record.headers))
    }

    return {
      left(record) {
        if (!isKeyed(record)) return
        const key = packKey(record.key)
        const change = lefts.put(key, record as StreamRecord<unknown, NonNullable<Left['value']> | null>)
        if (change === undefined) {
          context.drop({ operator: name, reason: 'older-than-row', record })
          return
        }
        const right = rights.get(key)
        give(record, exists(change.before, right), change.after, right)
      },
      right(record) {
        if (!isKeyed(record)) return
        const key = packKey(record.key)
        const change = rights.put(key, record as StreamRecord<unknown, NonNullable<Right['value']> | null>)
        if (change === undefined) {
          context.drop({ operator: name, reason: 'older-than-row', record })
          return
        }
        const left = lefts.get(key)
        give(record, exists(left, change.before), left, change.after)
      },
    }
  })
}
