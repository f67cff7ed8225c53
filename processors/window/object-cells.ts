import type { TimestampMs } from '../../state/contracts/units.ts'
import type { OrderedKey, OrderedStore } from '../../state/store/state-store.ts'
import type { OperatorContext } from '../operator.ts'
import { packKey, unpackKey } from '../stream/record-key.ts'
import type { FoldStates } from './fold-states.ts'
import type { AlignedWindows } from './time-windows.ts'
import type { WindowFold } from './window.ts'
import type { WindowCells } from './window-cells.ts'

interface Kept {
  state: unknown
  latestMs: TimestampMs
  count: number
  fired: boolean
}

interface ObjectCell {
  readonly at: OrderedKey
  readonly kept: Kept
}

/**
 * Windows with states of any kind. Store `<name>-windows`: where the
 * partition's time closes, `[start, key]`, so that closing is one walk in the
 * order in which results come out; where each key's own time closes, `[key, start]`.
 */
export function objectCells<Input, State, Output>(
  name: string,
  windows: AlignedWindows,
  fold: WindowFold<Input, State, Output>,
  states: FoldStates<State>,
  byKey: boolean,
  context: OperatorContext,
): WindowCells<Input, Output, ObjectCell> {
  const { leastSizeMs, greatestSizeMs } = windows
  const store: OrderedStore<Kept> = context.store(`${name}-windows`)
  const awaited = new Set<Kept>()
  const startAt = byKey ? 1 : 0
  return {
    pack: packKey,
    add(key, startMs, input, atMs) {
      const at = byKey ? [key, startMs] : [startMs, key]
      const before = store.get(at)
      const kept = before ?? { state: undefined, latestMs: atMs, count: 0, fired: false }
      const state = before === undefined ? fold.init() : states.load(before.state)
      kept.state = states.save(fold.add(state, input, atMs))
      kept.count++
      if (atMs > kept.latestMs) kept.latestMs = atMs
      store.put(at, kept)
      return { at, kept }
    },
    keyOf: ({ at }) => unpackKey(at[1 - startAt]!),
    answer: ({ kept }, endMs) => fold.finish(states.load(kept.state), endMs),
    latestMs: ({ kept }) => kept.latestMs,
    count: ({ kept }) => kept.count,
    purge({ at, kept }) {
      kept.state = states.save(fold.init())
      store.put(at, kept)
    },
    isFired: ({ kept }) => kept.fired,
    fire({ at, kept }) {
      kept.fired = true
      store.put(at, kept)
    },
    await({ kept }) {
      if (awaited.has(kept)) return false
      awaited.add(kept)
      return true
    },
    settle({ kept }) {
      awaited.delete(kept)
    },
    *ended(key, afterMs, upToMs) {
      const scope = byKey ? [key] : []
      const from = afterMs === Number.NEGATIVE_INFINITY ? scope : [...scope, afterMs - greatestSizeMs]
      for (const [at, kept] of store.range(from, [...scope, upToMs - leastSizeMs + 1])) {
        const startMs = at[startAt] as TimestampMs
        const endMs = windows.endOf(startMs)
        if (endMs > afterMs && endMs <= upToMs) yield { startMs, endMs, cell: { at, kept } }
      }
    },
    remove(key, upToMs) {
      for (const { cell } of this.ended(key, Number.NEGATIVE_INFINITY, upToMs)) store.delete(cell.at)
    },
    earliestEndMs() {
      for (const [at] of store.range()) return windows.endOf(at[startAt] as TimestampMs)
      return Number.POSITIVE_INFINITY
    },
  }
}
