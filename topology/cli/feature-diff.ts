import type { Declaration } from '../../models/declaration.ts'
import {
  changes,
  diffMeanings,
  type MeaningChange,
  meaningOf,
  type ViewMeaning,
} from '../../processors/feature/view-meaning.ts'
import type { ViewRegistry } from '../../replay/view-registry.ts'

/** One view that is not the same in two declarations. */
export interface ViewDiff {
  readonly view: string
  readonly change: 'added' | 'removed' | 'changed'
  readonly versionBefore?: number
  readonly versionAfter?: number
  readonly added: readonly string[]
  readonly removed: readonly string[]
  /** What alters the meaning of a value. */
  readonly changed: readonly MeaningChange[]
  /** What does not: owner and description. */
  readonly described: readonly MeaningChange[]
  /** The version that `after` has to declare; absent where nothing altered its meaning, or it was raised. */
  readonly raiseTo?: number
}

/** A view as a declaration or the log has it. */
interface KnownView {
  readonly name: string
  readonly version: number
  readonly owner: string
  readonly description: string
  readonly meaning: ViewMeaning
}

/**
 * The views that differ between two declarations, by name. A feature that is
 * added leaves the others as they were; one that is removed or means something
 * else, or a view of another entity, needs a greater version; see `meaningOf`.
 */
export const diffViews = (before: Declaration, after: Declaration): readonly ViewDiff[] =>
  diffKnown(declared(before), declared(after))

/** The same between what an engine has put on the log and a declaration. */
export function diffWithLog({ views }: ViewRegistry, after: Declaration): readonly ViewDiff[] {
  const registered = [...views].map(([name, versions]): KnownView => {
    const version = after.views.find((view) => view.name === name)?.version
    const found = (version !== undefined && versions.get(version)) || [...versions.values()].at(-1)!
    const { owner, description, meaning } = found
    return { name, version: found.version, owner, description, meaning: JSON.parse(meaning) as ViewMeaning }
  })
  return diffKnown(registered, declared(after))
}

const declared = ({ views }: Declaration): readonly KnownView[] =>
  views.map((view) => ({
    name: view.name,
    version: view.version,
    owner: view.owner,
    description: view.description,
    meaning: meaningOf(view),
  }))

function diffKnown(before: readonly KnownView[], after: readonly KnownView[]): readonly ViewDiff[] {
  const names = [...new Set([...before, ...after].map(({ name }) => name))].sort()
  return names.flatMap((name) => {
    const older = before.find((view) => view.name === name)
    const newer = after.find((view) => view.name === name)
    const found = diffOf(name, older, newer)
    const isSame =
      found.change === 'changed' &&
      found.versionBefore === found.versionAfter &&
      [found.added, found.removed, found.changed, found.described].every((list) => list.length === 0)
    return isSame ? [] : [found]
  })
}

function diffOf(view: string, older: KnownView | undefined, newer: KnownView | undefined): ViewDiff {
  if (older === undefined || newer === undefined) {
    return {
      view,
      change: older === undefined ? 'added' : 'removed',
      ...(older === undefined ? {} : { versionBefore: older.version }),
      ...(newer === undefined ? {} : { versionAfter: newer.version }),
      added: Object.keys(newer?.meaning.features ?? {}),
      removed: Object.keys(older?.meaning.features ?? {}),
      changed: [],
      described: [],
    }
  }
  const { added, removed, changed, isAltered } = diffMeanings(older.meaning, newer.meaning)
  const described = changes(
    { owner: older.owner, description: older.description },
    { owner: newer.owner, description: newer.description },
  )
  const mustRaise = newer.version < older.version || (isAltered && newer.version === older.version)
  return {
    view,
    change: 'changed',
    versionBefore: older.version,
    versionAfter: newer.version,
    added,
    removed,
    changed,
    described,
    ...(mustRaise ? { raiseTo: older.version + (isAltered ? 1 : 0) } : {}),
  }
}
