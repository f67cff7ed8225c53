import type { TimestampMs } from '../../state/contracts/units.ts'
import type { OrderedStore } from '../../state/store/state-store.ts'
import type { Operator, StreamRecord } from '../operator.ts'
import { connectStage } from './connect-stage.ts'
import { deriveRecord } from './derive-record.ts'
import { packKey, unpackKey } from './record-key.ts'

/** What a table record changed in a group: a row left it, came into it, or both. */
export interface GroupChange<Value> {
  readonly removed?: Value
  readonly added?: Value
}

interface GroupedRow<Value> {
  readonly group: unknown
  readonly value: Value
}

/**
 * Sends each change of a table to the group that its row belongs to: a row
 * that changes its group leaves the old one before it comes into the new one.
 * A null value deletes the row. `group` may give null: the row is in none.
 *
 * Store: `<name>-rows` `[key]`.
 */
export function groupTable<In extends StreamRecord, Group>(
  name: string,
  group: (record: In) => Group | null,
): Operator<In, StreamRecord<Group, GroupChange<NonNullable<In['value']>>>> {
  type Value = NonNullable<In['value']>
  return {
    name,
    repartition: { topic: `${name}-repartition` },
    connect: (context) =>
      connectStage<In, StreamRecord<Group, GroupChange<Value>>>(context, (emit) => {
        const rows: OrderedStore<GroupedRow<Value>> = context.store(`${name}-rows`)
        const send = (record: In, to: unknown, change: GroupChange<Value>): void =>
          emit(deriveRecord(record, to as Group, change, record.timestampMs, record.headers))
        return {
          next(record) {
            if (record.key === null || record.key === undefined) {
              context.drop({ operator: name, reason: 'null-key', record })
              return
            }
            const key = [packKey(record.key)]
            const before = rows.get(key)
            const to = record.value === null ? null : group(record)
            const value = record.value as Value
            if (to === null) rows.delete(key)
            else rows.put(key, { group: to, value })
            if (before !== undefined && to !== null && packKey(before.group) === packKey(to)) {
              send(record, to, { removed: before.value, added: value })
              return
            }
            if (before !== undefined) send(record, before.group, { removed: before.value })
            if (to !== null) send(record, to, { added: value })
          },
        }
      }),
  }
}

/** An aggregate of rows that come and go. Its state is plain data. */
export interface GroupFold<Value, State, Output> {
  init(): State
  /** May reuse `state`, as may `remove`. */
  add(state: State, value: Value): State
  /** Undoes an `add` of the same value. */
  remove(state: State, value: Value): State
  finish(state: State): Output
}

interface GroupCell<State> {
  readonly state: State
  readonly latestMs: TimestampMs
}

/**
 * Keeps an aggregate of each group's rows and gives it out after each change,
 * with the greatest event time of the group so far. What left is removed before
 * what came is added. A group that became empty keeps its last result.
 *
 * Store: `<name>-groups` `[group]`.
 */
export function aggregateGroups<Value, State, Output>(
  name: string,
  fold: GroupFold<Value, State, Output>,
): Operator<StreamRecord<unknown, GroupChange<Value>>, StreamRecord<unknown, Output>> {
  return {
    name,
    connect: (context) =>
      connectStage<StreamRecord<unknown, GroupChange<Value>>, StreamRecord<unknown, Output>>(
        context,
        (emit) => {
          const groups: OrderedStore<GroupCell<State>> = context.store(`${name}-groups`)
          return {
            next(record) {
              const { removed, added } = record.value
              const part = packKey(record.key)
              const before = groups.get([part])
              let state = before === undefined ? fold.init() : before.state
              if (removed !== undefined) state = fold.remove(state, removed)
              if (added !== undefined) state = fold.add(state, added)
              const latestMs = Math.max(before?.latestMs ?? record.timestampMs, record.timestampMs)
              groups.put([part], { state, latestMs })
              emit(deriveRecord(record, unpackKey(part), fold.finish(state), latestMs, record.headers))
            },
          }
        },
      ),
  }
}
