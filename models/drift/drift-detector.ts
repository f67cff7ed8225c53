import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { refuseSnapshot } from '../learner.ts'
import { readRuns, writeRuns } from '../online/double-runs.ts'
import { openSnapshot, startSnapshot } from '../online/snapshot-header.ts'

/** What a detector makes of the stream so far: nothing, get ready, or the world has changed. */
export type DriftState = 'steady' | 'warning' | 'drift'

/**
 * Watches one stream of numbers, value by value, in memory that does not grow
 * with it. Same values, same states: whatever is drawn comes from a seed that
 * is part of the state.
 */
export interface DriftDetector {
  /** Kind and settings; a saved state is only taken back under the same name. */
  readonly name: string
  /**
   * The state after this value. `drift` is told once, at the value where it
   * shows. A value that is not finite is not looked at and changes nothing.
   */
  update(value: number): DriftState
  /** The whole state, exact to the last bit. */
  save(): Uint8Array
  /** Goes on from a saved state. @throws EngineError `snapshot-unusable` */
  restore(bytes: Uint8Array): void
}

/** The state and the reading of a detector whose state is a fixed number of doubles. */
export interface CellDetectorParts {
  readonly name: string
  readonly width: number
  /** Fills cells that are all zero. */
  readonly start?: (cells: Float64Array) => void
  /** One finite value. */
  readonly step: (cells: Float64Array, value: number) => DriftState
  /** False: what is left in the cells after a drift is kept. */
  readonly startsAnew?: boolean
}

const states = ['steady', 'warning', 'drift'] as const

/**
 * A detector of cells. After a drift the next value meets fresh cells. Saved:
 *
 *     [ 'HWD1' | name: string | state: byte | runs of cells that are not zero ]
 */
export function cellDetector(parts: CellDetectorParts): DriftDetector & { readonly cells: Float64Array } {
  const { name, width, start = () => {}, step, startsAnew = true } = parts
  const cells = new Float64Array(width)
  start(cells)
  let state: DriftState = 'steady'
  return {
    name,
    cells,
    update(value) {
      if (!Number.isFinite(value)) return state === 'drift' ? 'steady' : state
      if (state === 'drift' && startsAnew) {
        cells.fill(0)
        start(cells)
      }
      state = step(cells, value)
      return state
    },
    save() {
      const out = new ByteWriter(256)
      startSnapshot(out, magic, name)
      out.byte(states.indexOf(state))
      writeRuns(cells, 0, width, out)
      return out.take()
    },
    restore(bytes) {
      try {
        const cursor = openSnapshot(bytes, magic, name)
        const found = states[cursor.take(1)[0]!]
        if (found === undefined) throw new RangeError('its state is none of steady, warning and drift')
        cells.fill(0)
        readRuns(cursor.take(bytes.length - cursor.at), cells, 0, width)
        state = found
      } catch (cause) {
        if (!(cause instanceof RangeError)) throw cause
        refuseSnapshot(name, cause.message)
      }
    },
  }
}

const magic = 'HWD1'

/** Refuses a setting that is not a number from `least` to `most`. */
export function checkSetting(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) {
    throw new RangeError(`${name} must be from ${least} to ${most}, got ${value}`)
  }
}
