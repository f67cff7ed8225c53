import type { FeatureView } from '../processors/feature/feature-view.ts'
import { requireNumbers } from '../processors/feature/feature-view.ts'
import type { Contract } from '../state/contracts/contract.ts'
import type { TableReader } from './table-column.ts'
import { keyReader } from './training-set-input.ts'
import type { TimeOptions } from './training-set-time-options.ts'

/** A field of a view's entity, or of a model's trigger, and the column that holds it. */
export interface RowField {
  readonly field: string
  readonly column: string
  readonly read: (value: unknown) => unknown
}

/** What the rows of a file name: the entities of the views, or the fields of a model's trigger. */
export function fieldsOf(
  { labels, model }: TimeOptions,
  views: readonly FeatureView[],
  table: TableReader,
): readonly RowField[] {
  const found = new Map<string, RowField>()
  const add = (field: string, contract: Contract, source: string) => {
    const column = labels.keys?.[field] ?? field
    if (table.names.includes(column)) found.set(field, { field, column, read: keyReader(contract, source) })
    return found.has(field)
  }
  if (model !== undefined) {
    for (const field of model.trigger.fieldNames) add(field, model.trigger, field)
  }
  for (const view of views) {
    const [source] = view.sources
    for (const { field } of view.entity) {
      const asked = model === undefined ? field : (view.keys[model.trigger.name]?.[field] ?? field)
      if (add(asked, source!, view.keys[source!.name]?.[field] ?? field)) continue
      throw new RangeError(
        `view "${view.name}" is about "${asked}", but ${labels.path} has no such column; it has ${table.names.join(', ')}. Name the column with keys (--key ${asked}=<column>)`,
      )
    }
  }
  if (!table.names.includes(labels.time)) {
    throw new RangeError(
      `${labels.path} has no column "${labels.time}" for the time; it has ${table.names.join(', ')}`,
    )
  }
  return [...found.values()]
}

export function viewsOf(
  { declaration, labels, model, extraViews }: TimeOptions,
  table: TableReader,
): readonly FeatureView[] {
  if (model !== undefined) return [...new Set([...model.views, ...extraViews])]
  const isNamed = (view: FeatureView) =>
    view.entity.every(({ field }) => table.names.includes(labels.keys?.[field] ?? field))
  const unknown = labels.views?.find((name) => declaration.views.every((view) => view.name !== name))
  if (unknown !== undefined) {
    throw new RangeError(
      `there is no view "${unknown}"; there are ${declaration.views.map(({ name }) => name).join(', ')}`,
    )
  }
  const declared = declaration.views.filter((view) =>
    labels.views === undefined ? extraViews.length === 0 && isNamed(view) : labels.views.includes(view.name),
  )
  for (const view of declared) requireNumbers(view, 'a training set fills its columns')
  if (declared.length + extraViews.length > 0) return [...declared, ...extraViews]
  throw new RangeError(
    `no view's entity is among the columns of ${labels.path} (${table.names.join(', ')}); name columns with keys (--key <entity>=<column>)`,
  )
}
