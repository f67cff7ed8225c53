import type { Feature } from './feature.ts'
import type { FeatureView } from './feature-view.ts'

/** What the values of something depend on, by name, as text. */
export type Meaning = Readonly<Record<string, string>>

/** What the values of a view's features mean, as plain data: equal where every value is the same. */
export interface ViewMeaning {
  readonly view: Meaning
  readonly features: Readonly<Record<string, Meaning>>
}

/** What one feature, or the view itself, meant and means. */
export interface MeaningChange {
  /** Absent: the view itself, as its entity. */
  readonly feature?: string
  readonly what: string
  readonly before: string
  readonly after: string
}

/** How the meaning of a view differs from an earlier one. */
export interface MeaningDiff {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly MeaningChange[]
  /** A feature that was known is gone or means something else: the view needs a greater version. */
  readonly isAltered: boolean
}

/**
 * What a view means: its entity, and of each feature the source, field,
 * aggregate with its parameters, condition, window, hop, ttl and default. The
 * bodies of functions are not looked at: the same code reads differently once
 * it is compiled. Whoever changes one has to raise the version unasked.
 */
export const meaningOf = (view: FeatureView): ViewMeaning => ({
  view: {
    entity: view.entity.map(({ field, many }) => (many ? `each of ${field}` : field)).join(', '),
    keys: JSON.stringify(view.keys),
  },
  features: Object.fromEntries(
    [...view.features].map(([name, feature]) => [name, meaningOfFeature(feature)]),
  ),
})

export function diffMeanings(before: ViewMeaning, after: ViewMeaning): MeaningDiff {
  const names = Object.keys(before.features)
  const removed = names.filter((name) => after.features[name] === undefined)
  const changed = [
    ...changes(before.view, after.view),
    ...names.flatMap((name) => {
      const other = after.features[name]
      if (other === undefined) return []
      return changes(before.features[name]!, other).map((each) => ({ feature: name, ...each }))
    }),
  ]
  return {
    added: Object.keys(after.features).filter((name) => before.features[name] === undefined),
    removed,
    changed,
    isAltered: removed.length > 0 || changed.length > 0,
  }
}

/** A change in one line: `spent: window 3600000 ms -> 7200000 ms`. */
export const changeText = ({ feature, what, before, after }: MeaningChange): string =>
  `${feature === undefined ? what : `${feature}: ${what}`} ${before} -> ${after}`

export function changes(before: Meaning, after: Meaning): MeaningChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.flatMap((what) => {
    const change = { what, before: before[what] ?? 'none', after: after[what] ?? 'none' }
    return change.before === change.after ? [] : [change]
  })
}

/** Milliseconds in full, so that no rounding for readers hides a change. */
function meaningOfFeature(feature: Feature): Meaning {
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
  const state = aggregate.kind === 'object' ? aggregate.id : aggregate.folds.map(({ id }) => id).join(' ')
  return {
    ...taken,
    aggregate: aggregate.name,
    parameters: [state, ...(aggregate.asked === undefined ? [] : [aggregate.asked])].join(' '),
    window: `${overMs} ms`,
    hop: `${hopMs} ms`,
    condition: where === undefined ? 'none' : 'a function',
  }
}
