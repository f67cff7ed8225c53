import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import type { ObjectTileLayout } from '../../state/store/object-tile-layout.ts'
import { StateReader } from '../aggregate/state-reader.ts'
import type { ObjectFeature } from './feature.ts'
import { fieldReader } from './input-reader.ts'

/** An object feature, bound to its state in the tiles of its group. */
export interface BoundObject {
  readonly name: string
  readonly feature: ObjectFeature
  /** Which of the tile's states is its own. */
  readonly at: number
}

export interface CompiledObjects {
  readonly layout: ObjectTileLayout
  /** What a tile takes in from an event; null where there is nothing. */
  readonly readers: readonly ((event: object) => unknown)[]
  readonly features: readonly BoundObject[]
}

/** Lays the object features of one source and hop out as states of one tile. Equal aggregates of an input share one. */
export function compileObjects(
  features: readonly (readonly [name: string, feature: ObjectFeature])[],
  disorderMs: DurationMs,
): CompiledObjects {
  const states: ObjectFeature[] = []
  const bound = features.map(([name, feature]): BoundObject => {
    const found = states.findIndex((other) => isSameState(other, feature))
    return { name, feature, at: found >= 0 ? found : states.push(feature) - 1 }
  })
  const aggregates = states.map(({ aggregate }) => aggregate)
  const first = features[0]![1]
  const retentionMs = Math.max(...features.map(([, { overMs }]) => overMs))
  const layout: ObjectTileLayout = {
    id: `objects hop ${first.hopMs} keep ${retentionMs} disorder ${disorderMs} ${states.map(stateName).join(' ')}`,
    hopMs: first.hopMs,
    retentionMs,
    disorderMs,
    init: () => aggregates.map((aggregate) => aggregate.init()),
    add(into, inputs, atMs) {
      for (let index = 0; index < aggregates.length; index++) {
        const input = inputs[index]
        if (input !== null) into[index] = aggregates[index]!.add(into[index], input, atMs)
      }
    },
    ...(aggregates.some(({ forgetOldest }) => forgetOldest === undefined)
      ? {}
      : {
          forgetOldest(from, inputs, atMs) {
            for (const [index, aggregate] of aggregates.entries()) {
              const input = inputs[index]
              if (input === null) continue
              from[index] = aggregate.forgetOldest!(from[index], input, atMs)
              if (from[index] === undefined) return false
            }
            return true
          },
        }),
    merge: (older, newer) =>
      aggregates.map((aggregate, index) => aggregate.merge(older[index], newer[index])),
    write(from, out) {
      for (const [index, aggregate] of aggregates.entries()) {
        const bytes = new ByteWriter(64)
        aggregate.write(from[index], bytes)
        out.varint(bytes.length)
        out.raw(bytes.bytes, 0, bytes.length)
      }
    },
    read(bytes) {
      const from = new StateReader(bytes)
      return aggregates.map((aggregate) => aggregate.read(from.nested()))
    },
  }
  return { layout, readers: states.map(objectReader), features: bound }
}

function isSameState(one: ObjectFeature, other: ObjectFeature): boolean {
  return (
    one.aggregate.id === other.aggregate.id &&
    one.where === other.where &&
    (one.input === other.input || (Array.isArray(one.input) && String(one.input) === String(other.input)))
  )
}

/** A function's body is not looked at: the same code reads differently once it is compiled. */
function stateName({ aggregate, input, where }: ObjectFeature): string {
  const taken = typeof input === 'function' ? 'function' : String(input)
  return `${aggregate.id}(${taken}${where === undefined ? '' : ' where'})`
}

/** What an object feature takes from an event; null where there is nothing, or the condition does not hold. */
export function objectReader({ input, where }: ObjectFeature): (event: object) => unknown {
  const read = inputOf(input)
  if (where === undefined) return (event) => read(event) ?? null
  return (event) => (where(event as never) ? (read(event) ?? null) : null)
}

function inputOf(input: ObjectFeature['input']): (event: object) => unknown {
  if (typeof input === 'function') return input as (event: object) => unknown
  if (typeof input === 'string') return fieldReader(input)
  const [first, second] = (input as readonly string[]).map(fieldReader)
  return (event) => [first!(event) ?? null, second!(event) ?? null]
}
