import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyWindowStore } from '../../state/store/key-window-store.ts'
import type { StreamRecord } from '../operator.ts'
import type { StageSetup } from './window-stage.ts'

/** The folds of a stage's windows, in a store that has them by key: in the rows, or beside them. */
export interface WindowRows<Input, Output> {
  readonly store: KeyWindowStore
  init(slot: number): void
  add(slot: number, input: Input, atMs: TimestampMs): void
  /** Gives a window what another one holds, so that later additions to either leave the other alone. */
  copy(from: number, to: number): void
  /** Folds what a later window holds into an earlier one; only where the fold merges. */
  merge(into: number, from: number): void
  answer(slot: number, endMs: TimestampMs): Output | null
}

/** `header` doubles of a row, before those of the fold, are the stage's own. */
export function windowRows<In extends StreamRecord, Input, State, Output>(
  { name, fold, states, context }: StageSetup<In, Input, State, Output>,
  suffix: string,
  header: number,
): WindowRows<Input, Output> {
  const { columns } = fold
  const merged = (older: State, newer: State): State => {
    if (fold.merge === undefined) throw new RangeError(`the aggregate of "${name}" does not merge`)
    return fold.merge(older, newer)
  }
  if (columns === undefined) {
    const store = context.keyWindowStore(`${name}-${suffix}`, header, undefined)
    const { values } = store
    return {
      store,
      init(slot) {
        values[slot] = states.save(fold.init())
      },
      add(slot, input, atMs) {
        values[slot] = states.save(fold.add(states.load(values[slot]), input, atMs))
      },
      copy(from, to) {
        values[to] = states.copy(values[from])
      },
      merge(into, from) {
        values[into] = states.save(merged(states.load(values[into]), states.load(values[from])))
      },
      answer: (slot, endMs) => fold.finish(states.load(values[slot]), endMs),
    }
  }
  const width = header + columns.width
  const store = context.keyWindowStore(`${name}-${suffix}`, width, columns.id)
  const rowOf = (slot: number): Float64Array => store.cells.slice(slot * width + header, (slot + 1) * width)
  return {
    store,
    init: (slot) => columns.init(store.cells, slot * width + header),
    add: (slot, input, atMs) => columns.add(store.cells, slot * width + header, input, atMs),
    copy(from, to) {
      store.cells.copyWithin(to * width + header, from * width + header, (from + 1) * width)
    },
    merge(into, from) {
      // Where a fold has columns its state is a row of them.
      const row = merged(rowOf(into) as State, rowOf(from) as State) as Float64Array
      store.cells.set(row, into * width + header)
    },
    answer: (slot, endMs) => columns.finish(store.cells, slot * width + header, endMs),
  }
}
