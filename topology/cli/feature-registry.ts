import type { Declaration } from '../../models/declaration.ts'
import type { Feature } from '../../processors/feature/feature.ts'
import type { ViewMeaning } from '../../processors/feature/view-meaning.ts'
import { type RegisteredView, usersOf, type ViewRegistry } from '../../replay/view-registry.ts'
import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'

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
  /** Those of the log, the newest last; absent where no log was asked. */
  readonly versions?: readonly VersionEntry[]
  /** False: the log has it, and the module no more. */
  readonly isDeclared: boolean
}

/** One version of a view, as an engine declared it last. */
export interface VersionEntry {
  readonly version: number
  readonly firstSeenAt: TimestampMs
  readonly declaredAt: TimestampMs
  readonly owner: string
  readonly features: readonly string[]
  readonly events: readonly string[]
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
  readonly kind: 'feeds' | 'is part of' | 'is read by' | 'was read by' | 'triggers' | 'labels' | 'becomes'
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
    isDeclared: true,
  }))
}

/** The views of a module and of a log: those that are declared first, then those that only the log has. */
export function viewsWithLog(declaration: Declaration, registry: ViewRegistry): readonly ViewEntry[] {
  const declared = viewsOf(declaration).map((entry) => ({
    ...entry,
    versions: versionsOf(registry, entry.view),
  }))
  const names = new Set(declared.map(({ view }) => view))
  const gone = [...registry.views].flatMap(([name, versions]) => {
    const newest = [...versions.values()].at(-1)
    return names.has(name) || newest === undefined ? [] : [entryOfLog(newest, versionsOf(registry, name))]
  })
  return [...declared, ...gone]
}

const versionsOf = (registry: ViewRegistry, view: string): readonly VersionEntry[] =>
  [...(registry.views.get(view)?.values() ?? [])].map((registered) => ({
    version: registered.version,
    firstSeenAt: registry.firstSeenMs(registered),
    declaredAt: registered.at,
    owner: registered.owner,
    features: Object.keys(meaningOf(registered).features),
    events: registered.sources,
    usedBy: registered.usedBy,
  }))

const meaningOf = ({ meaning }: RegisteredView): ViewMeaning => JSON.parse(meaning) as ViewMeaning

function entryOfLog(registered: RegisteredView, versions: readonly VersionEntry[]): ViewEntry {
  const { view, version, description, entity, owner, freshness, sources, usedBy } = registered
  const features = Object.entries(meaningOf(registered).features).map(([feature, meaning]) => ({
    feature,
    ...describeMeaning(meaning),
  }))
  return {
    view,
    version,
    description,
    entity,
    owner,
    freshness,
    events: sources,
    features,
    usedBy,
    versions,
    isDeclared: false,
  }
}

/** What the log says of a feature, in the words of `describe`. */
function describeMeaning(meaning: Readonly<Record<string, string>>): Omit<FeatureEntry, 'feature'> {
  const { kind, source = '', field = '', aggregate, of = '', ttl = '', condition = 'none' } = meaning
  if (kind === 'derived') return { of: `computed from ${of}`, from: '', over: '', hop: '' }
  const taken = field === 'a function' ? 'of a function' : field
  if (kind === 'lookup') {
    const ttlMs = Number.parseFloat(ttl)
    const over = ttlMs === Number.POSITIVE_INFINITY ? 'forever' : `ttl ${duration(ttlMs)}`
    return { of: `latest ${taken}`, from: source, over, hop: '' }
  }
  const overMs = Number.parseFloat(meaning['window'] ?? '')
  const hopMs = Number.parseFloat(meaning['hop'] ?? '')
  return {
    of: `${aggregate ?? ''}${field === 'the event' ? '' : ` ${taken}`}${condition === 'none' ? '' : ' where a condition holds'}`,
    from: source,
    over: duration(overMs),
    hop: overMs === Number.POSITIVE_INFINITY ? '' : hopMs === 0 ? 'exact' : duration(hopMs),
  }
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

/** `each`: with a node for each feature, between the events and the view. */
export function lineageOf(
  { views, models, streams }: Declaration,
  { each = false }: { readonly each?: boolean } = {},
): readonly LineageEdge[] {
  return [
    ...views.flatMap((view) =>
      each
        ? [...view.features].flatMap(([name, feature]) =>
            featureEdges(
              view.name,
              name,
              `view ${view.name}`,
              feature.kind === 'derived' ? feature.of : [],
              feature.kind === 'derived' ? undefined : feature.source.name,
            ),
          )
        : feeding(
            view.sources.map(({ name }) => name),
            `view ${view.name}`,
          ),
    ),
    ...aroundViews({ models, streams }),
    ...models.flatMap((model) =>
      model.views.map(
        (view): LineageEdge => ({ from: `view ${view.name}`, to: `model ${model.name}`, kind: 'is read by' }),
      ),
    ),
    ...streams.flatMap(({ lineage, sink }) =>
      lineage.views.map(
        (view): LineageEdge => ({ from: `view ${view.name}`, to: `event ${sink.name}`, kind: 'is read by' }),
      ),
    ),
  ]
}

/**
 * The same with every version of every view that the log has or had. A version
 * that the module declares is read, of the others it is told who read them
 * when they were declared last.
 */
export function lineageOfLog(
  declaration: Declaration,
  registry: ViewRegistry,
  { each = false }: { readonly each?: boolean } = {},
): readonly LineageEdge[] {
  const { models, streams } = declaration
  const current = new Map(declaration.views.map(({ name, version }) => [name, version]))
  const registered = [...registry.views.values()].flatMap((versions) => [...versions.values()])
  return [
    ...registered.flatMap((view) => {
      const owner = `${view.view} v${view.version}`
      const node = `view ${owner}`
      if (!each) return feeding(view.sources, node)
      return Object.entries(meaningOf(view).features).flatMap(([name, meaning]) =>
        featureEdges(
          owner,
          name,
          node,
          meaning['kind'] === 'derived' ? (meaning['of'] ?? '').split(', ') : [],
          meaning['source'],
        ),
      )
    }),
    ...aroundViews({ models, streams }),
    ...registered.flatMap(({ view, version, usedBy }) =>
      usedBy.map(
        (user): LineageEdge => ({
          from: `view ${view} v${version}`,
          to: user.replace(/^stream to /, 'event '),
          kind: current.get(view) === version ? 'is read by' : 'was read by',
        }),
      ),
    ),
  ]
}

const feeding = (events: readonly string[], to: string): LineageEdge[] =>
  events.map((event) => ({ from: `event ${event}`, to, kind: 'feeds' }))

function featureEdges(
  owner: string,
  name: string,
  view: string,
  of: readonly string[],
  source: string | undefined,
): LineageEdge[] {
  const node = `feature ${owner}.${name}`
  return [
    ...feeding(source === undefined ? [] : [source], node),
    ...of.map((other): LineageEdge => ({ from: `feature ${owner}.${other}`, to: node, kind: 'feeds' })),
    { from: node, to: view, kind: 'is part of' },
  ]
}

/** Events that have models answer and learn, and those that streams make of others. */
const aroundViews = ({ models, streams }: Pick<Declaration, 'models' | 'streams'>): LineageEdge[] => [
  ...models.flatMap((model): LineageEdge[] => [
    { from: `event ${model.trigger.name}`, to: `model ${model.name}`, kind: 'triggers' },
    { from: `event ${model.label.from.name}`, to: `model ${model.name}`, kind: 'labels' },
  ]),
  ...streams.flatMap(({ lineage, sink }) =>
    lineage.sources.map(
      (source): LineageEdge => ({ from: `event ${source.name}`, to: `event ${sink.name}`, kind: 'becomes' }),
    ),
  ),
]

/** A Mermaid flowchart. Nodes are numbered, since names that differ in signs alone would be one otherwise. */
export function mermaidOf(edges: readonly LineageEdge[]): string {
  const ids = new Map<string, string>()
  const node = (name: string): string => {
    const id = ids.get(name) ?? `n${ids.size + 1}`
    ids.set(name, id)
    return `${id}["${name.replaceAll('"', '#quot;')}"]`
  }
  return `flowchart LR\n${edges.map(({ from, to, kind }) => `  ${node(from)} -->|${kind}| ${node(to)}\n`).join('')}`
}

/** A graph for Graphviz. */
export function dotOf(edges: readonly LineageEdge[]): string {
  const quoted = (name: string) => `"${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  const lines = edges.map(
    ({ from, to, kind }) => `  ${quoted(from)} -> ${quoted(to)} [label=${quoted(kind)}]\n`,
  )
  return `digraph lineage {\n  rankdir=LR\n${lines.join('')}}\n`
}
