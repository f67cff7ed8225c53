import type { Declaration } from '../models/declaration.ts'
import type { Feature } from '../processors/feature/feature.ts'
import { type FeatureView, requireNumbers } from '../processors/feature/feature-view.ts'
import type { Contract } from '../state/contracts/contract.ts'
import { type SchemaNode, valueClass, withoutNull } from '../state/contracts/schema-node.ts'
import type { ColumnType } from './table-column.ts'

/**
 * A view of another module as one of this declaration: its events are those
 * with the same topics here. Under a name of its own where the name is taken,
 * so that both are folded.
 *
 * @throws RangeError where an event is not in the declaration, or a feature is no number
 */
export function boundView(view: FeatureView, { events, views, name }: Declaration): FeatureView {
  requireNumbers(view, 'a training set fills its columns')
  const own = (source: Contract): Contract => {
    const found = events.find(({ topic }) => topic === source.topic)
    if (found !== undefined) return found
    throw new RangeError(
      `view "${view.name}" reads event "${source.name}", whose topic "${source.topic}" is not in topology "${name}"; it has ${events.map(({ topic }) => topic).join(', ')}`,
    )
  }
  const features = new Map(
    [...view.features].map(([feature, declared]): [string, Feature] => [
      feature,
      declared.kind === 'derived' ? declared : { ...declared, source: own(declared.source) },
    ]),
  )
  const isTaken = views.some((other) => other.name === view.name && other !== view)
  return {
    ...view,
    name: isTaken ? `${view.name}-as-given` : view.name,
    features,
    sources: view.sources.map(own),
  } as FeatureView
}

/** Field of an event by name, without its null; undefined where there is none. */
export function fieldNode(contract: Contract, field: string): SchemaNode | undefined {
  const found = contract.record.fields.find(({ name }) => name === field)
  return found && withoutNull(found.type)
}

/** The column that holds values of a field as they are. */
export function columnTypeOf(node: SchemaNode | undefined): ColumnType {
  if (node === undefined) return 'string'
  if (node.kind === 'int' || node.kind === 'long') return 'long'
  const valueKind = valueClass(node)
  if (valueKind === 'number') return 'double'
  return valueKind === 'boolean' ? 'boolean' : 'string'
}

/** Names in order, each made different from those before it by a trailing `_`. */
export function distinctNames(names: readonly string[], taken: readonly string[] = []): readonly string[] {
  const seen = new Set(taken)
  return names.map((name) => {
    let free = name
    while (seen.has(free)) free += '_'
    seen.add(free)
    return free
  })
}
