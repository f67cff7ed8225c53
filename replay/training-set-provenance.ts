import { createHash } from 'node:crypto'
import type { Declaration } from '../models/declaration.ts'
import type { Feature } from '../processors/feature/feature.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'

/** Where a training set comes from: written into its file, and the ground of its snapshot id. */
export interface Provenance {
  /** Names the data for ever: the same id is the same rows. */
  readonly snapshot: string
  readonly topology: string
  /** Of everything that the declaration says about events, views and models, functions by their text. */
  readonly topologyDigest: string
  readonly mode: string
  readonly model: string | null
  readonly views: readonly string[]
  /** Batches of the log that were folded: `untilCommit` makes the same set again. */
  readonly commits: number
  /** First and next offset of each input, as `topic[partition]`. */
  readonly log: Readonly<Record<string, readonly [start: number, end: number]>>
  readonly options: Readonly<Record<string, unknown>>
  /** SHA-256 of the label file, or first and next offsets of the label topic's partitions. */
  readonly labelSource: string | null
}

/** Completes a provenance with the id that follows from it. */
export function provenanceOf(of: Omit<Provenance, 'snapshot'>): Provenance {
  return { snapshot: digestOf(of).slice(0, 32), ...of }
}

/** Digest of what a declaration says. */
export function topologyDigest({ name, events, views, models, partitions }: Declaration): string {
  return digestOf({
    name,
    partitions,
    events: events.map(({ name, topic, schema, keyFields, timeField }) => ({
      name,
      topic,
      schema,
      keyFields,
      timeField,
    })),
    views: views.map(viewText),
    models: models.map(({ name, trigger, columns, label, sources }) => ({
      name,
      trigger: trigger.name,
      columns,
      label: { ...label, from: label.from.name },
      sources: sources.map((source) => (source.kind === 'feature-view' ? source.name : source)),
    })),
  })
}

export const viewText = (view: FeatureView): unknown => ({
  name: view.name,
  version: view.version,
  entity: view.entity,
  disorderMs: view.disorderMs,
  keys: view.keys,
  features: [...view.features].map(([name, feature]) => ({ name, ...featureText(feature) })),
})

const featureText = (feature: Feature): object =>
  feature.kind === 'derived'
    ? feature
    : {
        ...feature,
        source: feature.source.name,
        ...('aggregate' in feature ? { aggregate: feature.aggregate.name } : {}),
      }

/** Equal values give equal digests; functions count by their text. */
function digestOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex')
}

/** JSON in which nothing is lost that tells two declarations apart. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, given: unknown) => {
    if (typeof given === 'function') return String(given)
    if (typeof given === 'bigint') return `${given}n`
    if (typeof given === 'number' && !Number.isFinite(given)) return String(given)
    if (given instanceof Map) return [...given]
    return given
  })
}
