import type { Declaration } from '../../models/declaration.ts'
import type { Feature } from '../../processors/feature/feature.ts'
import type { FeatureView } from '../../processors/feature/feature-view.ts'

/** What one feature, or the view itself, meant and means. */
export interface MeaningChange {
  /** Absent: the view itself, as its entity. */
  readonly feature?: string
  readonly what: string
  readonly before: string
  readonly after: string
}

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

type Meaning = Readonly<Record<string, string>>

/**
 * The views that differ between two declarations, by name. A feature that is
 * added leaves the others as they were; one that is removed or means something
 * else (source, aggregate, field, condition, window, hop, ttl, default), or a
 * view of another entity, needs a greater version. The bodies of functions are
 * not looked at, nor what is asked of a state that stays the same (the share of
 * a quantile, the prior of a rate): whoever changes one has to raise the
 * version unasked.
 */
export function diffViews(before: Declaration, after: Declaration): readonly ViewDiff[] {
  const names = [...new Set([...before.views, ...after.views].map(({ name }) => name))].sort()
  return names.flatMap((name) => {
    const older = before.views.find((view) => view.name === name)
    const newer = after.views.find((view) => view.name === name)
    const found = diffOf(name, older, newer)
    const isSame =
      found.change === 'changed' &&
      found.versionBefore === found.versionAfter &&
      [found.added, found.removed, found.changed, found.described].every((list) => list.length === 0)
    return isSame ? [] : [found]
  })
}

function diffOf(view: string, older: FeatureView | undefined, newer: FeatureView | undefined): ViewDiff {
  const before = older?.features ?? new Map<string, Feature>()
  const after = newer?.features ?? new Map<string, Feature>()
  const added = [...after.keys()].filter((name) => !before.has(name))
  const removed = [...before.keys()].filter((name) => !after.has(name))
  const lists = { view, added, removed }
  if (older === undefined || newer === undefined) {
    return {
      ...lists,
      change: older === undefined ? 'added' : 'removed',
      ...(older === undefined ? {} : { versionBefore: older.version }),
      ...(newer === undefined ? {} : { versionAfter: newer.version }),
      changed: [],
      described: [],
    }
  }
  const changed = [
    ...changes(meaningOfView(older), meaningOfView(newer)),
    ...[...before].flatMap(([name, feature]) => {
      const other = after.get(name)
      if (other === undefined) return []
      return changes(meaningOf(feature), meaningOf(other)).map((each) => ({ feature: name, ...each }))
    }),
  ]
  const described = changes(
    { owner: older.owner, description: older.description },
    { owner: newer.owner, description: newer.description },
  )
  const isAltered = changed.length > 0 || removed.length > 0
  const mustRaise = newer.version < older.version || (isAltered && newer.version === older.version)
  return {
    ...lists,
    change: 'changed',
    versionBefore: older.version,
    versionAfter: newer.version,
    changed,
    described,
    ...(mustRaise ? { raiseTo: older.version + (isAltered ? 1 : 0) } : {}),
  }
}

function changes(before: Meaning, after: Meaning): MeaningChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.flatMap((what) => {
    const change = { what, before: before[what] ?? 'none', after: after[what] ?? 'none' }
    return change.before === change.after ? [] : [change]
  })
}

const meaningOfView = ({ entity, keys }: FeatureView): Meaning => ({
  entity: entity.map(({ field, many }) => (many ? `each of ${field}` : field)).join(', '),
  keys: JSON.stringify(keys),
})

/** Milliseconds in full, so that no rounding for readers hides a change. */
function meaningOf(feature: Feature): Meaning {
  if (feature.kind === 'derived') return { kind: feature.kind, of: feature.of.join(', ') }
  const { source, input } = feature
  const taken = {
    kind: feature.kind,
    source: source.name,
    field: typeof input === 'function' ? 'a function' : String(input ?? 'the event'),
    default: Number.isNaN(feature.default) ? 'null' : String(feature.default),
  }
  if (feature.kind === 'lookup') return { ...taken, ttl: `${feature.ttlMs} ms` }
  const { aggregate, overMs, hopMs, where } = feature
  return {
    ...taken,
    aggregate: aggregate.name,
    parameters: aggregate.kind === 'object' ? aggregate.id : aggregate.folds.map(({ id }) => id).join(' '),
    window: `${overMs} ms`,
    hop: `${hopMs} ms`,
    condition: where === undefined ? 'none' : 'a function',
  }
}
