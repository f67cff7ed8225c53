import type { FeatureValue } from '../../processors/feature/feature-value.ts'
import type { ViewMeaning } from '../../processors/feature/view-meaning.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import { Engine } from '../runtime/engine.ts'
import { folderViews } from '../runtime/folder-replay.ts'
import { CliError } from './cli-error.ts'
import { runningDoor, topologyOf } from './data-folder.ts'
import { callDoor } from './door-client.ts'
import { dotOf, lineageOf, mermaidOf, viewsOf } from './feature-registry.ts'
import { table } from './table.ts'

export interface FeaturesGetOptions {
  readonly data: string
  readonly topology?: string
  readonly at?: string
  readonly json?: boolean
}

interface FeatureValues {
  readonly view: string
  readonly key: readonly (string | number)[]
  readonly at: number
  readonly features: Readonly<Record<string, FeatureValue>>
}

export interface FeaturesOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
}

/** `features list`: every view, and the models and streams that read it. */
export async function featuresListCommand(options: FeaturesOptions): Promise<number> {
  const declaration = await topologyOf(options.data, options.topology)
  const views = viewsOf(declaration)
  if (options.json) for (const view of views) process.stdout.write(`${JSON.stringify(view)}\n`)
  else {
    const rows = views.map(({ view, version, entity, owner, freshness, features, usedBy }) => [
      view,
      String(version),
      entity.join(', '),
      owner,
      freshness,
      String(features.length),
      usedBy.join(', '),
    ])
    process.stdout.write(
      `${table(['view', 'version', 'entity', 'owner', 'freshness', 'features', 'used by'], rows)}\n`,
    )
  }
  return 0
}

/** `features show`: one view with all that it declares. */
export async function featuresShowCommand(name: string, options: FeaturesOptions): Promise<number> {
  const declaration = await topologyOf(options.data, options.topology)
  const found = viewsOf(declaration).find(({ view }) => view === name)
  if (found === undefined) {
    const known = declaration.views.map((view) => view.name).join(', ')
    throw new CliError(`feature view "${name}" does not exist; known views: ${known || 'none'}`)
  }
  if (options.json) process.stdout.write(`${JSON.stringify(found)}\n`)
  else {
    const { view, version, description, entity, owner, freshness, usedBy } = found
    const rows = found.features.map(({ feature, of, from, over, hop }) => [feature, of, from, over, hop])
    process.stdout.write(`${view} (version ${version}): ${description}
  about      ${entity.join(', ')}
  owner      ${owner}
  freshness  ${freshness}
  used by    ${usedBy.join(', ') || 'nobody'}

${table(['feature', 'what', 'from', 'window', 'hop'], rows)}
`)
  }
  return 0
}

/** `features versions`: every version of every view that the log knows, as it was declared last. */
export async function featuresVersionsCommand(options: FeaturesOptions): Promise<number> {
  const topology = await topologyOf(options.data, options.topology)
  const { views } = await folderViews({ topology, data: options.data })
  const registered = [...views.values()].flatMap((versions) => [...versions.values()])
  if (options.json) {
    for (const { meaning, ...rest } of registered) {
      process.stdout.write(`${JSON.stringify({ ...rest, meaning: JSON.parse(meaning) })}\n`)
    }
    return 0
  }
  const rows = registered.map(({ view, version, at, owner, meaning, usedBy }) => {
    const { features } = JSON.parse(meaning) as ViewMeaning
    return [
      view,
      String(version),
      new Date(at).toISOString(),
      owner,
      String(Object.keys(features).length),
      usedBy.join(', '),
    ]
  })
  process.stdout.write(`${table(['view', 'version', 'declared', 'owner', 'features', 'used by'], rows)}\n`)
  return 0
}

/** `features lineage`: events, features and models as a graph, in Mermaid or DOT. */
export async function featuresLineageCommand(
  options: FeaturesOptions & { readonly dot?: boolean },
): Promise<number> {
  const declaration = await topologyOf(options.data, options.topology)
  const edges = lineageOf(declaration)
  if (options.json) for (const edge of edges) process.stdout.write(`${JSON.stringify(edge)}\n`)
  else process.stdout.write(options.dot ? dotOf(edges) : mermaidOf(edges))
  return 0
}

/** `features get`: asks the running engine, else opens the folder and reads the state itself. */
export async function featuresGetCommand(
  view: string,
  key: readonly string[],
  options: FeaturesGetOptions,
): Promise<number> {
  const { data, json = false } = options
  const atMs = options.at === undefined ? undefined : timeOf(options.at)
  const door = runningDoor(data)
  const path = `/v1/features/${encodeURIComponent(view)}/${key.map(encodeURIComponent).join('/')}`
  const found =
    door === undefined
      ? await readFrom(data, options.topology, view, key, atMs)
      : ((await callDoor(door, `${path}${atMs === undefined ? '' : `?at=${atMs}`}`)) as FeatureValues)
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

async function readFrom(
  data: string,
  module: string | undefined,
  view: string,
  key: readonly string[],
  atMs = Date.now(),
): Promise<FeatureValues> {
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
