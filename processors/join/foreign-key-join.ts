import type { KeyPart, OrderedStore } from '../../state/store/state-store.ts'
import type { Join, StreamRecord } from '../operator.ts'
import { connectJoin } from '../stream/connect-stage.ts'
import { deriveRecord } from '../stream/derive-record.ts'
import { packKey, unpackKey } from '../stream/record-key.ts'
import { LatestTable, type TableOrder, type TableRow } from './latest-table.ts'

export interface ForeignKeyJoinOptions<Left extends StreamRecord, Right extends StreamRecord, Out> {
  readonly name: string
  /** `left` keeps rows whose foreign key finds nothing. */
  readonly how: 'inner' | 'left'
  /** `arrival` unless said. */
  readonly order?: TableOrder
  /** The key of the right row that a left row points to; null points nowhere. */
  readonly foreignKey: (left: NonNullable<Left['value']>) => Right['key'] | null
  readonly value: (left: NonNullable<Left['value']>, right: NonNullable<Right['value']> | null) => Out
}

/**
 * Joins each row of the left table with the row of the right table that it
 * points to, many to one. The result has the left key; it changes with either
 * table, a changed right row once for each left row that points to it, in key
 * order. Null is a tombstone: the left row is gone or, `inner`, points to
 * nothing any more.
 *
 * Each task holds the right table whole, so neither table is repartitioned and
 * the results of a left row keep their order, whatever it points to.
 *
 * Source of the rules: Kafka Streams, KIP-213 (Jan Filipiak, Adam Bellemare, 2019).
 *
 * Stores: `<name>-left` `[key]`, `<name>-right` `[key]`, `<name>-links`
 * `[foreign key, key]`.
 */
export function foreignKeyJoin<Left extends StreamRecord, Right extends StreamRecord, Out>(
  options: ForeignKeyJoinOptions<Left, Right, Out>,
): Join<Left, Right, StreamRecord<Left['key'], Out | null>> {
  type LeftValue = NonNullable<Left['value']>
  type RightValue = NonNullable<Right['value']>
  const { name, how, order = 'arrival', foreignKey, value } = options
  return {
    name,
    inputs: {
      left: { as: 'table', copartitioned: false },
      right: { as: 'global-table', copartitioned: false },
    },
    connect: (context) =>
      connectJoin<Left, Right, StreamRecord<Left['key'], Out | null>>(context, (emit) => {
        const lefts = new LatestTable<LeftValue>(context.store(`${name}-left`), order)
        const rights = new LatestTable<RightValue>(context.store(`${name}-right`), order)
        const links: OrderedStore<true> = context.store(`${name}-links`)

        const linkOf = (row: TableRow<LeftValue> | undefined): KeyPart => {
          const key = row === undefined ? null : foreignKey(row.value)
          return key === null || key === undefined ? null : packKey(key)
        }
        const rightOf = (link: KeyPart): TableRow<RightValue> | undefined =>
          link === null ? undefined : rights.get(link)
        const exists = (left: unknown, right: unknown): boolean =>
          left !== undefined && (how === 'left' || right !== undefined)
        const give = (
          record: StreamRecord,
          key: KeyPart,
          left: TableRow<LeftValue> | undefined,
          right: TableRow<RightValue> | undefined,
        ): void => {
          const joined =
            left !== undefined && exists(left, right) ? value(left.value, right?.value ?? null) : null
          const atMs = Math.max(
            record.timestampMs,
            left?.timestampMs ?? record.timestampMs,
            right?.timestampMs ?? record.timestampMs,
          )
          emit(deriveRecord(record, unpackKey(key) as Left['key'], joined, atMs, record.headers))
        }
        const refuse = (record: StreamRecord, reason: string): void =>
          context.drop({ operator: name, reason, record })

        return {
          left(record) {
            if (record.key === null || record.key === undefined) return refuse(record, 'null-key')
            const key = packKey(record.key)
            const change = lefts.put(key, record as StreamRecord<unknown, LeftValue | null>)
            if (change === undefined) return refuse(record, 'older-than-row')
            const before = linkOf(change.before)
            const after = linkOf(change.after)
            if (before !== null && before !== after) links.delete([before, key])
            if (after !== null && before !== after) links.put([after, key], true)
            const right = rightOf(after)
            const existed = exists(change.before, rightOf(before))
            if (existed || exists(change.after, right)) give(record, key, change.after, right)
          },
          right(record) {
            if (record.key === null || record.key === undefined) return refuse(record, 'null-key')
            const link = packKey(record.key)
            const change = rights.put(link, record as StreamRecord<unknown, RightValue | null>)
            if (change === undefined) return refuse(record, 'older-than-row')
            if (change.before === undefined && change.after === undefined) return
            for (const [[owner, key]] of links.range([link])) {
              if (owner !== link) break
              give(record, key as KeyPart, lefts.get(key as KeyPart), change.after)
            }
          },
        }
      }),
  }
}
