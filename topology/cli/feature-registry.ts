import type { Declaration } from '../../models/declaration.ts'
import type { Feature } from '../../processors/feature/feature.ts'
import { usersOf } from '../../replay/view-registry.ts'
import type { DurationMs } from '../../state/contracts/units.ts'

/** A feature view as people and programs look at it. */
export interface ViewEntry {
  readonly view: string
  readonly version: number
  readonly description: string
  readonly entity: readonly string[]
  readonly owner: string
  readonly freshness: string
  readonly events: readonly string[]
  readonly features: readonly FeatureEntry[]
  /** Models and streams that read it. */
  readonly usedBy: readonly string[]
}

export interface FeatureEntry {
  readonly feature: string
  readonly of: string
  readonly from: string
  readonly over: string
  readonly hop: string
}

/** One step of the lineage: events → features → models, and streams between events. */
export interface LineageEdge {
  readonly from: string
  readonly to: string
  readonly kind: 'feeds' | 'is read by' | 'triggers' | 'labels' | 'becomes'
}

export function viewsOf(declaration: Declaration): readonly ViewEntry[] {
  return declaration.views.map((view) => ({
    view: view.name,
    version: view.version,
    description: view.description,
    entity: view.entity.map(({ field, many }) => (many ? `each of ${field}` : field)),
    owner: view.owner,
    freshness: view.freshness,
    events: view.sources.map(({ name }) => name),
    features: [...view.features].map(([name, feature]) => ({ feature: name, ...describe(feature) })),
    usedBy: usersOf(declaration, view),
  }))
}

function describe(feature: Feature): Omit<FeatureEntry, 'feature'> {
  switch (feature.kind) {
    case 'object':
    case 'windowed': {
      const { aggregate, source, overMs, hopMs, input, where } = feature
      const field =
        typeof input === 'function' ? ' of a function' : input === undefined ? '' : ` ${String(input)}`
      return {
        of: `${aggregate.name}${field}${where === undefined ? '' : ' where a condition holds'}`,
        from: source.name,
        over: duration(overMs),
        hop: overMs === Number.POSITIVE_INFINITY ? '' : hopMs === 0 ? 'exact' : duration(hopMs),
      }
    }
    case 'lookup': {
      const field = typeof feature.input === 'string' ? feature.input : 'of a function'
      const over = feature.ttlMs === Number.POSITIVE_INFINITY ? 'forever' : `ttl ${duration(feature.ttlMs)}`
      return { of: `latest ${field}`, from: feature.source.name, over, hop: '' }
    }
    case 'derived':
      return { of: `computed from ${feature.of.join(', ')}`, from: '', over: '', hop: '' }
  }
}

const units: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
  [1, 'ms'],
]

/** In the largest unit that gives a whole number. */
function duration(ms: DurationMs): string {
  if (ms === Number.POSITIVE_INFINITY) return 'forever'
  const [size, name] = units.find(([each]) => ms % each === 0) ?? [1, 'ms']
  return `${ms / size} ${name}`
}

export function lineageOf({ views, models, streams }: Declaration): readonly LineageEdge[] {
  return [
    ...views.flatMap((view) =>
      view.sources.map(
        (source): LineageEdge => ({ from: `event ${source.name}`, to: `view ${view.name}`, kind: 'feeds' }),
      ),
    ),
    ...models.flatMap((model): LineageEdge[] => [
      { from: `event ${model.trigger.name}`, to: `model ${model.name}`, kind: 'triggers' },
      ...model.views.map(
        (view): LineageEdge => ({ from: `view ${view.name}`, to: `model ${model.name}`, kind: 'is read by' }),
      ),
      { from: `event ${model.label.from.name}`, to: `model ${model.name}`, kind: 'labels' },
    ]),
    ...streams.flatMap(({ lineage, sink }) => [
      ...lineage.sources.map(
        (source): LineageEdge => ({
          from: `event ${source.name}`,
          to: `event ${sink.name}`,
          kind: 'becomes',
        }),
      ),
      ...lineage.views.map(
        (view): LineageEdge => ({ from: `view ${view.name}`, to: `event ${sink.name}`, kind: 'is read by' }),
      ),
    ]),
  ]
}

const idOf = (name: string): string => name.replaceAll(/[^a-zA-Z0-9]/g, '_')

/** A Mermaid flowchart. */
export function mermaidOf(edges: readonly LineageEdge[]): string {
  const node = (name: string) => `${idOf(name)}["${name}"]`
  return `flowchart LR\n${edges.map(({ from, to, kind }) => `  ${node(from)} -->|${kind}| ${node(to)}\n`).join('')}`
}

/** A graph for Graphviz. */
export function dotOf(edges: readonly LineageEdge[]): string {
  const lines = edges.map(({ from, to, kind }) => `  "${from}" -> "${to}" [label="${kind}"]\n`)
  return `digraph lineage {\n  rankdir=LR\n${lines.join('')}}\n`
}
