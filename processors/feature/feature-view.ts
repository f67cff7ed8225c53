import type { Contract } from '../../state/contracts/contract.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import { type EntityField, type EntityPart, type EntitySpec, entityParts } from './entity-key.ts'
import { type Feature, isWithoutNumber } from './feature.ts'

/** How soon a feature knows what happened. */
export type Freshness = 'static' | 'batch' | 'near-real-time' | 'real-time'

export interface FeatureViewSpec<
  Spec extends EntitySpec,
  Features extends Readonly<Record<string, Feature>>,
> {
  /** The field, or fields, that name what the features are about. `each('tags')`: one entity for every value of a list. */
  readonly entity: Spec
  /** Who answers for it. */
  readonly owner: string
  readonly description: string
  readonly freshness?: Freshness
  readonly features: Features
  /**
   * How late an event, or how old a query, may be against the newest event of
   * its entity and still be exact. Default 0: a later event is counted in its
   * tile, a query in the past of the entity is exact to the tile.
   */
  readonly disorder?: DurationMs
  /** Where an event names a part of the entity differently: `{ dropoff: { zone: 'dropoffZone' } }`. */
  readonly keys?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Entity keys kept in memory; the others wait in the state store. */
  readonly maxKeys?: number
  /** Raised when a feature changes its meaning; the state starts anew. */
  readonly version?: number
}

/** A named, versioned set of features of one entity. */
export interface FeatureView<Field extends string = string, Name extends string = string> {
  readonly kind: 'feature-view'
  readonly name: string
  readonly entity: readonly EntityPart[]
  readonly owner: string
  readonly description: string
  readonly freshness: Freshness
  readonly features: ReadonlyMap<Name, Feature>
  readonly disorderMs: DurationMs
  readonly keys: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly maxKeys: number | undefined
  readonly version: number
  /** The events that feed it, each once, in order of first use. */
  readonly sources: readonly Contract[]
  /** Only for types: the fields that a trigger needs. */
  readonly entityField?: Field
}

/** Declares a feature view; misspelt fields are a RangeError here and do not compile where types can know. */
export function featureView<
  const Spec extends EntitySpec,
  const Features extends Readonly<Record<string, Feature>>,
>(
  name: string,
  spec: FeatureViewSpec<Spec, Features>,
): FeatureView<EntityField<Spec>, keyof Features & string> {
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new RangeError(`a feature view's name is lower-case words joined by "-", got "${name}"`)
  }
  const features = new Map(Object.entries(spec.features)) as Map<keyof Features & string, Feature>
  const entity = entityParts(spec.entity)
  const keys = spec.keys ?? {}
  const sources: Contract[] = []
  for (const [feature, declared] of features) {
    if (declared.kind === 'derived') {
      const unknown = declared.of.find((of) => !features.has(of) || features.get(of)?.kind === 'derived')
      if (unknown !== undefined) {
        throw new RangeError(
          `feature "${feature}" of view "${name}" is derived from "${unknown}", which is not a windowed or lookup feature of the view`,
        )
      }
      const list = declared.of.find((of) => isWithoutNumber(features.get(of) as Feature))
      if (list !== undefined) {
        throw new RangeError(
          `feature "${feature}" of view "${name}" is derived from "${list}", whose value is no number`,
        )
      }
      continue
    }
    if (!sources.includes(declared.source)) sources.push(declared.source)
  }
  for (const source of sources) {
    for (const { field } of entity) {
      const named = keys[source.name]?.[field] ?? field
      if (!source.fieldNames.includes(named)) {
        throw new RangeError(
          `view "${name}" is about "${named}", but event "${source.name}" has no such field; it has ${source.fieldNames.join(', ')}`,
        )
      }
    }
  }
  return {
    kind: 'feature-view',
    name,
    entity,
    owner: spec.owner,
    description: spec.description,
    freshness: spec.freshness ?? 'near-real-time',
    features,
    disorderMs: spec.disorder ?? 0,
    keys,
    maxKeys: spec.maxKeys,
    version: spec.version ?? 1,
    sources,
  }
}

/** @throws RangeError naming the first feature of the view whose value is no number; `user` is who wants a vector */
export function requireNumbers(view: FeatureView, user: string): void {
  for (const [name, feature] of view.features) {
    if (feature.kind !== 'object' || !isWithoutNumber(feature)) continue
    throw new RangeError(
      `${user} with view "${view.name}", but its feature "${name}" (${feature.aggregate.name}) is a list, a text or a map, which has no place in a vector; declare it in a view of its own and read it by engine.features, or take an aggregate that answers with a number`,
    )
  }
}
