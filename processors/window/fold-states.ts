import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { ObjectAggregate } from '../aggregate/aggregate.ts'
import type { WindowFold } from './window.ts'

/**
 * How a window's fold state lies in a store. An aggregate that can write
 * itself is kept as its canonical bytes; any other state is plain data and is
 * kept as it is.
 */
export interface FoldStates<State> {
  load(stored: unknown): State
  /** `state` is given up. */
  save(state: State): unknown
  /** A second stored state, so that two windows never share one that is changed in place. */
  copy(stored: unknown): unknown
}

export function foldStates<Input, State, Output>(
  fold: WindowFold<Input, State, Output> | ObjectAggregate<Input, State, Output>,
): FoldStates<State> {
  if ('write' in fold && 'read' in fold) {
    const writer = new ByteWriter(256)
    return {
      load: (stored) => fold.read(stored as Uint8Array),
      save(state) {
        writer.reset()
        fold.write(state, writer)
        return writer.take()
      },
      copy: (stored) => stored,
    }
  }
  return {
    load: (stored) => stored as State,
    save: (state) => state,
    copy: (stored) => (typeof stored === 'object' && stored !== null ? structuredClone(stored) : stored),
  }
}
