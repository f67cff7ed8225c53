import type { TimestampMs } from '../../state/contracts/units.ts'
import { compareKeys } from '../../state/store/key-encoding.ts'
import type { OperatorContext } from '../operator.ts'
import { packKey } from '../stream/record-key.ts'
import { compactKey, expandKey } from './compact-key.ts'
import type { AlignedWindows } from './time-windows.ts'
import type { WindowColumns } from './window.ts'
import type { EndedWindow, WindowCells } from './window-cells.ts'

/** Doubles before a window's columns. */
const latest = 0
const counted = 1
const fired = 2
const header = 3

/**
 * Windows whose state is a few doubles, for stages that are closed by the time
 * of the partition: a row a window in one typed array, nothing allocated for a
 * record.
 */
export function columnCells<Input, Output>(
  name: string,
  windows: AlignedWindows,
  columns: WindowColumns<Input, Output>,
  context: OperatorContext,
): WindowCells<Input, Output, number> {
  const width = header + columns.width
  const store = context.windowStore(`${name}-windows`, width, columns.id)
  let awaited = new Uint8Array(1024)
  const place = (slot: number): number => slot * width
  /** Slots of one start, by the record's key. */
  const inOrder = (startMs: TimestampMs): number[] => {
    const slots = [...store.slotsAt(startMs)].map((slot) => ({
      slot,
      key: [packKey(expandKey(store.keyOf(slot)))],
    }))
    return slots.sort((left, right) => compareKeys(left.key, right.key)).map(({ slot }) => slot)
  }
  return {
    pack: compactKey,
    add(key, startMs, input, atMs) {
      let slot = store.find(startMs, key)
      if (slot < 0) {
        slot = store.add(startMs, key)
        const row = place(slot)
        store.cells[row + latest] = atMs
        store.cells[row + counted] = 0
        store.cells[row + fired] = 0
        columns.init(store.cells, row + header)
      }
      const { cells } = store
      const row = place(slot)
      if (atMs > cells[row + latest]!) cells[row + latest] = atMs
      cells[row + counted]!++
      columns.add(cells, row + header, input, atMs)
      store.changed(slot)
      return slot
    },
    keyOf: (slot) => expandKey(store.keyOf(slot)),
    answer: (slot, endMs) => columns.finish(store.cells, place(slot) + header, endMs),
    latestMs: (slot) => store.cells[place(slot) + latest]!,
    count: (slot) => store.cells[place(slot) + counted]!,
    purge(slot) {
      columns.init(store.cells, place(slot) + header)
      store.changed(slot)
    },
    isFired: (slot) => store.cells[place(slot) + fired] === 1,
    fire(slot) {
      store.cells[place(slot) + fired] = 1
      store.changed(slot)
    },
    await(slot) {
      if (slot >= awaited.length) {
        const grown = new Uint8Array(Math.max(slot + 1, awaited.length * 2))
        grown.set(awaited)
        awaited = grown
      }
      if (awaited[slot] === 1) return false
      awaited[slot] = 1
      return true
    },
    settle(slot) {
      awaited[slot] = 0
    },
    *ended(_, afterMs, upToMs): Iterable<EndedWindow<number>> & Generator<EndedWindow<number>> {
      for (const startMs of [...store.starts]) {
        const endMs = windows.endOf(startMs)
        if (endMs > upToMs) return
        if (endMs <= afterMs) continue
        for (const cell of inOrder(startMs)) yield { startMs, endMs, cell }
      }
    },
    remove(_, upToMs) {
      for (;;) {
        const [startMs] = store.starts
        if (startMs === undefined || windows.endOf(startMs) > upToMs) return
        store.drop(startMs)
      }
    },
    earliestEndMs() {
      const [startMs] = store.starts
      return startMs === undefined ? Number.POSITIVE_INFINITY : windows.endOf(startMs)
    },
  }
}
