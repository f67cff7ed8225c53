import type { DurationMs } from '../../state/contracts/units.ts'
import { rowHeader, type TileLayout } from '../../state/store/tile-layout.ts'
import type { ColumnAggregate, ColumnFold } from '../aggregate/aggregate.ts'
import { summaryFold } from '../aggregate/summary-fold.ts'
import type { FeatureInput, WindowedFeature } from './feature.ts'
import { type InputReader, inputReader } from './input-reader.ts'

/** What an input of every event is: the event itself. */
const one = Float64Array.of(1)

/** One fold of a row: which input it takes and where its columns stand. */
interface BoundFold {
  readonly fold: ColumnFold
  /** Index of the raw input, or -1 for "the event itself", the constant 1. */
  readonly input: number
  readonly at: number
}

/** A windowed feature, bound to the columns of its group's rows. */
export interface BoundWindowed {
  readonly name: string
  readonly aggregate: ColumnAggregate
  /** Where each of the aggregate's folds has its columns. */
  readonly at: readonly number[]
  readonly overMs: DurationMs
  readonly default: number
}

export interface CompiledTiles {
  readonly layout: TileLayout
  readonly readers: readonly InputReader[]
  readonly features: readonly BoundWindowed[]
}

interface InputSlot {
  readonly input: FeatureInput<never> | undefined
  readonly where: ((event: never) => boolean) | undefined
}

/**
 * Lays the features of one source and hop out as columns of one tile row.
 * Folds with the same id over the same input share their columns.
 */
export function compileTiles(
  features: readonly (readonly [name: string, feature: WindowedFeature])[],
  disorderMs: DurationMs,
): CompiledTiles {
  const inputs: InputSlot[] = []
  const folds: BoundFold[] = []
  let width = 0
  const isExact = features[0]?.[1].hopMs === 0

  const inputIndex = ({ input, where }: WindowedFeature): number => {
    if (input === undefined && where === undefined) return -1
    const found = inputs.findIndex((slot) => slot.input === input && slot.where === where)
    return found >= 0 ? found : inputs.push({ input, where }) - 1
  }
  const wanted = new Set(
    features.flatMap(([, feature]) =>
      feature.aggregate.folds.map(({ id }) => `${id} ${inputIndex(feature)}`),
    ),
  )
  const columnsOf = (fold: ColumnFold, input: number): number => {
    const found = folds.find((bound) => bound.fold.id === fold.id && bound.input === input)
    if (found) return found.at
    const part = summaryFold.parts.find((each) => each.fold.id === fold.id)
    const apart = summaryFold.parts.filter((each) => !wanted.has(`${each.fold.id} ${input}`)).length
    // Of exact windows no row is kept, so a part that nobody asked for costs less than a second loop.
    if (part !== undefined && input >= 0 && apart <= (isExact ? 1 : 0)) {
      return columnsOf(summaryFold, input) + part.at
    }
    const at = width
    folds.push({ fold, input, at })
    width += fold.width
    return at
  }

  const bound = features.map(([name, feature]): BoundWindowed => {
    const input = inputIndex(feature)
    const at = feature.aggregate.folds.map((fold) => columnsOf(fold, input))
    return { name, aggregate: feature.aggregate, at, overMs: feature.overMs, default: feature.default }
  })

  return {
    layout: tileLayout(
      features.map(([, feature]) => feature),
      folds,
      inputs,
      width,
      disorderMs,
    ),
    readers: inputs.map(({ input, where }) => inputReader(input, where)),
    features: bound,
  }
}

function tileLayout(
  features: readonly WindowedFeature[],
  folds: readonly BoundFold[],
  inputs: readonly InputSlot[],
  width: number,
  disorderMs: DurationMs,
): TileLayout {
  const hopMs = features[0]?.hopMs ?? 0
  const retentionMs = Math.max(...features.map(({ overMs }) => overMs))
  const columns = folds.map(({ fold, input }) => `${fold.id}(${input < 0 ? '' : inputName(inputs[input]!)})`)
  const rawsPerTile =
    hopMs > 0 && hopMs !== Infinity ? Math.floor((rowHeader + width) / (1 + inputs.length)) : 0
  const initial = new Float64Array(width)
  for (const { fold, at } of folds) fold.init(initial, at)
  return {
    id: `tiles of more than ${rawsPerTile} events, hop ${hopMs} keep ${retentionMs} disorder ${disorderMs} ${columns.join(' ')}`,
    hopMs,
    retentionMs,
    disorderMs,
    keepsLatest: false,
    rawsPerTile,
    inputs: inputs.length,
    width,
    init(cells, at) {
      for (let column = 0; column < width; column++) cells[at + column] = initial[column]!
    },
    add(cells, at, values, valuesAt, atMs) {
      for (const bound of folds) {
        const value = bound.input < 0 ? 1 : values[valuesAt + bound.input]!
        // NaN is null.
        if (!Number.isNaN(value)) bound.fold.add(cells, at + bound.at, value, atMs)
      }
    },
    addRaws(into, at, raws, from, stride, count) {
      for (let place = 0; place < folds.length; place++) {
        const { fold, input, at: column } = folds[place]!
        if (fold.addValues === undefined) {
          for (let index = 0, cell = from; index < count; index++, cell += stride) {
            const value = input < 0 ? 1 : raws[cell + 1 + input]!
            if (!Number.isNaN(value)) fold.add(into, at + column, value, raws[cell]!)
          }
        } else if (input < 0) {
          fold.addValues(into, at + column, one, 0, 0, count)
        } else {
          fold.addValues(into, at + column, raws, from + 1 + input, stride, count)
        }
      }
    },
    mergeRows(into, at, rows, from, stride, count) {
      for (const bound of folds) {
        bound.fold.mergeRows(into, at + bound.at, rows, from + bound.at, stride, count)
      }
    },
  }
}

/** A function's body is not looked at: the same code reads differently once it is compiled. */
const inputName = ({ input, where }: InputSlot): string =>
  `${typeof input === 'string' ? input : input === undefined ? '' : 'function'}${where === undefined ? '' : ' where'}`

/** Rows that lookups need: none; the raw events answer. */
export function lookupLayout(inputs: number, ttlMs: DurationMs, disorderMs: DurationMs): TileLayout {
  return {
    id: `latest of ${inputs} keep ${ttlMs} disorder ${disorderMs}`,
    hopMs: 0,
    retentionMs: ttlMs,
    disorderMs,
    keepsLatest: true,
    rawsPerTile: 0,
    inputs,
    width: 0,
    init: () => {},
    add: () => {},
    addRaws: () => {},
    mergeRows: () => {},
  }
}
