import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Declaration } from '../../models/declaration.ts'
import type { FeatureValue } from '../../processors/feature/feature-value.ts'
import type { ViewMeaning } from '../../processors/feature/view-meaning.ts'
import { ViewRegistry } from '../../replay/view-registry.ts'
import { EngineError, isEngineError } from '../../state/contracts/engine-error.ts'
import { clusterFeatures } from '../runtime/cluster-features.ts'
import { Engine } from '../runtime/engine.ts'
import { CliError } from './cli-error.ts'
import { refuseClusterState, runningDoor, topologyOf } from './data-folder.ts'
import { callDoor } from './door-client.ts'
import {
  dotOf,
  lineageOf,
  lineageOfLog,
  mermaidOf,
  type VersionEntry,
  type ViewEntry,
  viewsOf,
  viewsWithLog,
} from './feature-registry.ts'
import { RecoveryLines } from './recovery-lines.ts'
import { findSource, openSource, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface FeaturesGetOptions extends ReplaySourceOptions {
  readonly at?: string
}

interface FeatureValues {
  readonly view: string
  readonly key: readonly (string | number)[]
  readonly at: number
  readonly features: Readonly<Record<string, FeatureValue>>
}

export interface FeaturesOptions extends ReplaySourceOptions {}

/** The declaration of a module, with what the log knows of its views where one is named. */
interface KnownViews {
  readonly declaration: Declaration
  readonly registry?: ViewRegistry
}

/** Without a log it is the module's word alone; a folder where nothing ran yet has none. */
async function knownViews(options: FeaturesOptions): Promise<KnownViews> {
  const { kafka, topology } = options
  const data = options.data ?? (topology === undefined ? '.' : undefined)
  const hasLog = kafka !== undefined || (data !== undefined && existsSync(join(data, 'log')))
  if (hasLog) return await readViews({ ...options, ...(data === undefined ? {} : { data }) })
  if (options.kafkaConfig !== undefined || options.registry !== undefined) {
    throw new CliError('--kafka-config and --registry go with --kafka: name the cluster too')
  }
  return { declaration: await topologyOf(data ?? '.', topology) }
}

async function readViews(options: FeaturesOptions): Promise<Required<KnownViews>> {
  const { declaration, wiring } = await openSource(options)
  try {
    return { declaration, registry: await ViewRegistry.read(declaration.name, wiring.log, wiring.registry) }
  } finally {
    await wiring.close()
  }
}

const entriesOf = ({ declaration, registry }: KnownViews): readonly ViewEntry[] =>
  registry === undefined ? viewsOf(declaration) : viewsWithLog(declaration, registry)

const timeText = (atMs: number): string => new Date(atMs).toISOString()

/** `features list`: every view, the models and streams that read it, and which versions the log has since when. */
export async function featuresListCommand(options: FeaturesOptions): Promise<number> {
  const known = await knownViews(options)
  const views = entriesOf(known)
  if (options.json) for (const view of views) process.stdout.write(`${JSON.stringify(view)}\n`)
  else {
    const header = ['view', 'version', 'entity', 'owner', 'freshness', 'features', 'used by']
    if (known.registry !== undefined) header.push('on the log', 'first seen', 'declared')
    const rows = views.map(({ view, version, entity, owner, freshness, features, usedBy, ...rest }) => {
      const row = [
        view,
        String(version),
        entity.join(', '),
        owner,
        freshness,
        String(features.length),
        usedBy.join(', '),
      ]
      const { versions = [], isDeclared } = rest
      const [first] = versions
      return known.registry === undefined
        ? row
        : [
            ...row,
            versions.map((each) => `v${each.version}`).join(', ') || '-',
            first === undefined ? '-' : timeText(Math.min(...versions.map(({ firstSeenAt }) => firstSeenAt))),
            isDeclared ? 'yes' : 'no more',
          ]
    })
    process.stdout.write(`${table(header, rows)}\n`)
  }
  return 0
}

/** `features show`: one view with all that it declares, and its versions on the log. */
export async function featuresShowCommand(name: string, options: FeaturesOptions): Promise<number> {
  const entries = entriesOf(await knownViews(options))
  const found = entries.find(({ view }) => view === name)
  if (found === undefined) {
    const known = entries.map(({ view }) => view).join(', ')
    throw new CliError(`feature view "${name}" does not exist; known views: ${known || 'none'}`)
  }
  if (options.json) process.stdout.write(`${JSON.stringify(found)}\n`)
  else {
    const { view, version, description, entity, owner, freshness, usedBy, versions, isDeclared } = found
    const rows = found.features.map(({ feature, of, from, over, hop }) => [feature, of, from, over, hop])
    process.stdout.write(`${view} (version ${version}): ${description}
  about      ${entity.join(', ')}
  owner      ${owner}
  freshness  ${freshness}
  used by    ${usedBy.join(', ') || 'nobody'}
${isDeclared ? '' : '  declared   no more: this is the newest version of the log\n'}
${table(['feature', 'what', 'from', 'window', 'hop'], rows)}
`)
    if (versions !== undefined) process.stdout.write(`\n${versionsText(versions)}\n`)
  }
  return 0
}

function versionsText(versions: readonly VersionEntry[]): string {
  if (versions.length === 0) return 'the log has no version of it yet: no engine has run with it'
  const rows = versions.map(({ version, firstSeenAt, declaredAt, owner, features, events, usedBy }) => [
    String(version),
    timeText(firstSeenAt),
    timeText(declaredAt),
    owner,
    String(features.length),
    events.join(', '),
    usedBy.join(', ') || 'nobody',
  ])
  const header = ['version', 'first seen', 'last declared', 'owner', 'features', 'from', 'used by']
  return `on the log\n${table(header, rows)}`
}

/** `features versions`: every version of every view that the log knows, as it was declared last. */
export async function featuresVersionsCommand(options: FeaturesOptions): Promise<number> {
  const { registry } = await readViews(options)
  const registered = [...registry.views.values()].flatMap((versions) => [...versions.values()])
  if (options.json) {
    for (const view of registered) {
      const { meaning, ...rest } = view
      const firstSeenAt = registry.firstSeenMs(view)
      process.stdout.write(`${JSON.stringify({ ...rest, firstSeenAt, meaning: JSON.parse(meaning) })}\n`)
    }
    return 0
  }
  const rows = registered.map((each) => {
    const { features } = JSON.parse(each.meaning) as ViewMeaning
    return [
      each.view,
      String(each.version),
      timeText(registry.firstSeenMs(each)),
      timeText(each.at),
      each.owner,
      String(Object.keys(features).length),
      each.usedBy.join(', '),
    ]
  })
  const header = ['view', 'version', 'first seen', 'declared', 'owner', 'features', 'used by']
  process.stdout.write(`${table(header, rows)}\n`)
  return 0
}

/** `features lineage`: events, features and models as a graph, in Mermaid or DOT; with a log, of every version there. */
export async function featuresLineageCommand(
  options: FeaturesOptions & { readonly dot?: boolean; readonly features?: boolean },
): Promise<number> {
  const { declaration, registry } = await knownViews(options)
  const each = options.features === true
  const edges =
    registry === undefined ? lineageOf(declaration, { each }) : lineageOfLog(declaration, registry, { each })
  if (options.json) for (const edge of edges) process.stdout.write(`${JSON.stringify(edge)}\n`)
  else process.stdout.write(options.dot ? dotOf(edges) : mermaidOf(edges))
  return 0
}

/** `features get`: asks the running engine, else opens the folder or the cluster and reads the state itself. */
export async function featuresGetCommand(
  view: string,
  key: readonly string[],
  options: FeaturesGetOptions,
): Promise<number> {
  const { json = false } = options
  const atMs = options.at === undefined ? undefined : timeOf(options.at)
  const found = await (options.kafka === undefined ? ofFolder : ofCluster)(view, key, atMs, options)
  if (json) process.stdout.write(`${JSON.stringify(found)}\n`)
  else {
    const rows = Object.entries(found.features).map(([name, value]) => [
      name,
      value === null ? '-' : typeof value === 'object' ? JSON.stringify(value) : String(value),
    ])
    process.stdout.write(`${view} ${key.join(' ')} as of ${new Date(found.at).toISOString()}\n`)
    process.stdout.write(`${table(['feature', 'value'], rows)}\n`)
  }
  return 0
}

async function ofFolder(
  view: string,
  key: readonly string[],
  atMs: number | undefined,
  options: FeaturesGetOptions,
): Promise<FeatureValues> {
  const { data } = options
  if (options.kafkaConfig !== undefined || options.registry !== undefined) {
    throw new CliError('--kafka-config and --registry go with --kafka: name the cluster too')
  }
  if (data === undefined) {
    throw new CliError('name the state: --data <dir> for that of a folder, --kafka <brokers> for a cluster')
  }
  const door = runningDoor(data)
  const path = `/v1/features/${encodeURIComponent(view)}/${key.map(encodeURIComponent).join('/')}`
  if (door === undefined) return await readFrom(data, options.topology, view, key, atMs)
  return (await callDoor(door, `${path}${atMs === undefined ? '' : `?at=${atMs}`}`)) as FeatureValues
}

/** Beside those who run the application there, or without any. */
async function ofCluster(
  view: string,
  texts: readonly string[],
  atMs = Date.now(),
  options: FeaturesGetOptions,
): Promise<FeatureValues> {
  const { declaration: topology, place } = await findSource(options)
  const recovery = new RecoveryLines(options.json ?? false)
  try {
    const { key, features } = await clusterFeatures({
      topology,
      kafka: place.kafka!,
      view,
      key: texts,
      atMs,
      now: Date.now,
      onRecovery: (progress) => recovery.update(progress),
    })
    return { view, key: key.map(plain), at: atMs, features }
  } catch (error) {
    if (isEngineError(error, 'feature-view-unknown') || isEngineError(error, 'entity-key-mismatch')) {
      throw new CliError(error.message, { cause: error })
    }
    throw error
  }
}

async function readFrom(
  data: string,
  module: string | undefined,
  view: string,
  key: readonly string[],
  atMs = Date.now(),
): Promise<FeatureValues> {
  refuseClusterState(data)
  const topology = await topologyOf(data, module)
  const engine = await Engine.open({ topology, data })
  try {
    const parts = engine.entityKey(view, key)
    return { view, key: parts.map(plain), at: atMs, features: await engine.features(view, parts, atMs) }
  } catch (error) {
    if (error instanceof EngineError) throw new CliError(error.message, { cause: error })
    throw error
  } finally {
    await engine.close()
  }
}

const plain = (part: string | number | bigint): string | number =>
  typeof part === 'bigint' ? part.toString() : part

/** ISO-8601, or milliseconds since 1970. */
export function timeOf(text: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  if (Number.isFinite(ms)) return ms
  throw new CliError(`"${text}" is not a time; give ISO-8601, such as 2026-01-31T12:00:00Z, or milliseconds`)
}
