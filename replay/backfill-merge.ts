import type { Declaration } from '../models/declaration.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import { collectCheckpoint, readCheckpoint } from '../state/commit/checkpoint.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log } from '../state/log/log.ts'
import type { Database, DatabaseWrite } from '../state/store/database.ts'
import { type Assembly, assemble, type InputChoice } from './assembly.ts'
import { DeclaredLog } from './backfill-log.ts'
import { inputParts } from './backfill-parts.ts'
import { layoutOfDeclaration } from './backfill-swap.ts'

/** More views than this are not tried one by one: the whole is folded. */
const mostViewsTried = 6

/**
 * The views by which a declaration differs from one of this layout, and by
 * nothing else; undefined where there is no such set. Views that somebody
 * reads are never among them, nor any where records are quarantined: what
 * that keeps from a view, only the whole graph knows.
 */
export async function addedViews(
  declaration: Declaration,
  liveLayout: string,
): Promise<readonly FeatureView[] | undefined> {
  const { models, streams, expectations } = declaration
  if (expectations.some(({ list }) => list.some(({ severity }) => severity === 'quarantine')))
    return undefined
  const read = new Set<FeatureView>([
    ...models.flatMap((model) => model.views),
    ...streams.flatMap(({ lineage }) => lineage.views),
    ...expectations.flatMap(({ view }) => (view === undefined ? [] : [view])),
  ])
  const candidates = declaration.views.filter((view) => !read.has(view))
  if (candidates.length > mostViewsTried) return undefined
  for (let choice = 1; choice < 1 << candidates.length; choice++) {
    const added = candidates.filter((_, index) => choice & (1 << index))
    if ((await layoutOfDeclaration(without(declaration, added))) === liveLayout) return added
  }
  return undefined
}

/** The declaration as it was before these views. */
const without = (declaration: Declaration, added: readonly FeatureView[]): Declaration => ({
  ...declaration,
  views: declaration.views.filter((view) => !added.includes(view)),
})

/** Only these views of the declaration: what a shadow of added views folds. */
export const onlyViews = (declaration: Declaration, views: readonly FeatureView[]): Declaration => ({
  ...declaration,
  views,
  models: [],
  streams: [],
  expectations: [],
})

export interface MergeOptions {
  readonly declaration: Declaration
  /** Names of the views that the shadow holds. */
  readonly added: readonly string[]
  readonly log: Log
  readonly registry: SchemaRegistry
  /** The live state, opened by the engine that is about to start. */
  readonly database: Database
  /** One, or the parts in which the views were folded. */
  readonly shadows: readonly Database[]
}

/**
 * Puts the stores of added views beside those of the live state. Both are
 * brought to the last commit on the log first; the stores are copied while
 * nothing refers to them, and one write then makes the state that of the new
 * declaration. Cut off before it, the state is what it was and the merge is
 * done again. Returns false where the state is no fold of the declaration
 * without these views.
 */
export async function mergeViews(options: MergeOptions): Promise<boolean> {
  const { declaration, database, shadows } = options
  const added = declaration.views.filter(({ name }) => options.added.includes(name))
  const base = await assembled(without(declaration, added), options, database)
  const live = await readCheckpoint(database, base.task.id)
  if (live?.layout !== base.layout) return false
  const views = onlyViews(declaration, added)
  const choices = inputParts(views, shadows.length)
  const parts: Assembly[] = []
  for (const [number, shadow] of shadows.entries()) {
    parts.push(await assembled(views, options, shadow, shadows.length > 1 ? choices[number] : undefined))
  }
  for (const each of [base, ...parts]) {
    await each.recover()
    await each.task.checkpoint()
  }
  const names = parts[0]!.graph.stores.map(({ name }) => name)
  for (const name of names) {
    await database.clear(name)
    for (const shadow of shadows) {
      for await (const chunk of shadow.scan(name)) {
        await database.write(chunk.map(({ key, value }) => ({ space: name, key, value })))
      }
    }
  }
  const whole = await assembled(declaration, options, database)
  const offsets = whole.task.inputs.map(({ topic, partition }) => offsetOf(base, topic, partition))
  const { sequence } = base.task.position
  const { streamTimeMs } = base.graph
  const place = { position: { sequence, offsets }, streamTimeMs, layout: whole.layout }
  // What a commit of answers alone has changed is in no checkpoint yet: it is collected here.
  const [part, ...others] = parts
  const early: DatabaseWrite[] = []
  for (const store of others.flatMap(({ graph }) => graph.stores)) store.collect(early)
  const stores = [...base.graph.stores, ...part!.graph.stores]
  await database.write(collectCheckpoint(base.task.id, place, stores, early))
  return true
}

/** Nothing is emitted while the log is followed. */
async function assembled(
  declaration: Declaration,
  { registry, log }: MergeOptions,
  database: Database,
  reads?: InputChoice,
): Promise<Assembly> {
  const own = new DeclaredLog(log)
  const writer = await own.writer('backfill')
  return assemble({ declaration, log: own, writer, registry, database, ...(reads && { reads }) })
}

/** Inputs that only the added views have were never read by the live engine: it begins with them. */
function offsetOf({ task }: Assembly, topic: string, partition: number): number {
  const index = task.inputs.findIndex((each) => each.topic === topic && each.partition === partition)
  return index < 0 ? 0 : task.position.offsets[index]!
}
