import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Declaration } from '../../models/declaration.ts'
import type { Assembly, InputChoice } from '../../replay/assembly.ts'
import { mergeViews, onlyViews } from '../../replay/backfill-merge.ts'
import { inputParts } from '../../replay/backfill-parts.ts'
import {
  discardBackfill,
  layoutOfDeclaration,
  makeLive,
  type ReadyBackfill,
  readyBackfill,
  shadowFolder,
  shadowParts,
} from '../../replay/backfill-swap.ts'
import { CommitFollower } from '../../replay/commit-follower.ts'
import { ViewRegistry } from '../../replay/view-registry.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { DurationMs } from '../../state/contracts/units.ts'
import type { Database } from '../../state/store/database.ts'
import type { Generation } from './generation.ts'
import type { Wiring } from './wire.ts'

/**
 * The steps of a swap, in their order: a crash behind any of them leaves the
 * old topology or the new one, and the log says which.
 *
 *     declared    topics and schemas of the new topology are on the log
 *     followed    the shadow has nearly caught up, beside the loop
 *     held        the loop stands still between two batches; all its commits are durable
 *     caught-up   the shadow stands where the old state stands, and is checkpointed
 *     live        every start from now on opens the new state
 *     announced   the log has the commit from which on it is the new topology
 *     released    the loop goes on, with the new topology
 *     cleaned     the old state is removed
 */
export type SwapStep =
  | 'declared'
  | 'followed'
  | 'held'
  | 'caught-up'
  | 'live'
  | 'announced'
  | 'released'
  | 'cleaned'

export interface SwapOptions {
  /** Swap although a view means something else than its version does on the log. */
  readonly acceptFeatureChanges?: boolean
  /** Gives it up where it is not the live topology yet; nothing is changed then. */
  readonly signal?: AbortSignal
  readonly onStep?: (step: SwapStep) => void
}

export interface SwapReport {
  /** Names what the state is a fold of now. */
  readonly layout: string
  /** Of the first commit of the new topology: it has no records, those before are the old one's. */
  readonly sequence: number
  /** Next offset of each input there, by `topic[partition]`. */
  readonly position: Readonly<Record<string, number>>
  /** Records that were followed beside the loop, and while it stood still. */
  readonly followed: number
  readonly followedHeld: number
  /** How long the loop stood still. */
  readonly heldMs: DurationMs
}

/** What a swap needs of its engine. */
export interface SwapHost {
  readonly wiring: Wiring
  readonly data: string | undefined
  readonly generation: Generation
  readonly now: () => number
  /** `isServing` tells whether callers wait for what it makes. */
  assemble(
    declaration: Declaration,
    database: Database,
    isServing: () => boolean,
    reads?: InputChoice,
  ): Promise<Assembly>
  /** Runs something while the loop stands still between two batches. */
  betweenBatches<Result>(work: () => Promise<Result>): Promise<Result>
  /** From now on the loop and everybody who asks work with this assembly. */
  install(declaration: Declaration, assembly: Assembly, database: Database): void
}

/** Rounds of catching up beside the loop before it is held. */
const mostRounds = 50
/** So few commits are followed while the loop stands still. */
const fewCommits = 4

/**
 * Gives a running engine another topology at a position of its log: every
 * record before is the old one's, every record behind it the new one's. The
 * state is that of the finished backfill of its data folder; an engine in
 * memory folds its log for it, beside its work.
 *
 * @throws EngineError `swap-refused`, `feature-meaning-changed`
 */
export async function swapTopology(
  host: SwapHost,
  declaration: Declaration,
  options: SwapOptions,
): Promise<SwapReport> {
  const { data, generation, wiring } = host
  const ready = await checked(host, declaration)
  const views = await ViewRegistry.read(declaration.name, wiring.log, wiring.registry)
  if (options.acceptFeatureChanges !== true) views.check(declaration)
  // Nobody else may put anything on the log by the engine's writer meanwhile.
  const none = await wiring.openState()
  await host.betweenBatches(() => host.assemble(declaration, none, () => false))
  await none.close()
  options.onStep?.('declared')
  const taken =
    ready?.views === undefined
      ? await takeState(host, declaration, options, ready)
      : await mergeState(host, declaration, options, { ...ready, views: ready.views })
  options.onStep?.('released')
  await generation.unread()
  if (generation.database !== taken.database) {
    // A checkpoint may be on its way.
    await generation.assembly.task.close()
    await generation.database.close()
  }
  if (data !== undefined) discardBackfill(data)
  options.onStep?.('cleaned')
  return taken.report
}

async function checked(host: SwapHost, declaration: Declaration): Promise<ReadyBackfill | undefined> {
  const { generation, data } = host
  const refuse = (detail: string): never => {
    throw new EngineError('swap-refused', { app: generation.declaration.name, detail })
  }
  if (declaration.name !== generation.declaration.name) {
    refuse(`the other topology is "${declaration.name}"; give it the same name`)
  }
  const layout = await layoutOfDeclaration(declaration)
  if (layout === generation.assembly.layout) refuse('it runs this topology already')
  if (data === undefined) return undefined
  const ready = readyBackfill(data)
  if (ready === undefined)
    return refuse(`${data} has no finished backfill; run "headwater replay backfill" first`)
  if (ready.layout !== layout) {
    return refuse(
      `the backfill in ${data} is of another topology; run "headwater replay backfill" with this one`,
    )
  }
  return ready
}

interface Taken {
  readonly database: Database
  readonly report: SwapReport
}

/** The shadow is the state of the whole declaration: it takes the place of the old one. */
async function takeState(
  host: SwapHost,
  declaration: Declaration,
  options: SwapOptions,
  ready: ReadyBackfill | undefined,
): Promise<Taken> {
  const { data, wiring, generation } = host
  const { onStep = () => {} } = options
  const database = await wiring.openState(data === undefined ? undefined : shadowFolder(data))
  try {
    let isServing = false
    const assembly = await host.betweenBatches(() => host.assemble(declaration, database, () => isServing))
    const follower = new CommitFollower(assembly, wiring.log, () => {})
    await follower.open()
    await nearlyCatchUp(follower, options)
    onStep('followed')
    return await host.betweenBatches(async () => {
      const startedMs = performance.now()
      await settled(generation)
      onStep('held')
      const before = follower.followed.records
      await follower.catchUp()
      const { task } = assembly
      await task.checkpoint()
      onStep('caught-up')
      refuseIfGivenUp(host, options, ready)
      if (data !== undefined && ready !== undefined) makeLive(data, ready, task.position.sequence)
      onStep('live')
      isServing = true
      const report = { followed: before, followedHeld: follower.followed.records - before }
      return {
        database,
        report: await announce(host, declaration, assembly, database, { startedMs, onStep, report }),
      }
    })
  } catch (error) {
    await database.close()
    throw error
  }
}

/** The shadow has views alone: they are put beside the state, at the position where it stands. */
async function mergeState(
  host: SwapHost,
  declaration: Declaration,
  options: SwapOptions,
  ready: ReadyBackfill & { readonly views: readonly string[] },
): Promise<Taken> {
  const { wiring, generation } = host
  const { onStep = () => {} } = options
  const { database } = generation
  const shadows: Database[] = []
  try {
    for (const path of shadowParts(host.data!, ready.parts)) shadows.push(await wiring.openState(path))
    const views = declaration.views.filter(({ name }) => ready.views.includes(name))
    const choices = inputParts(onlyViews(declaration, views), shadows.length)
    const parts: { readonly assembly: Assembly; readonly follower: CommitFollower }[] = []
    for (const [number, shadow] of shadows.entries()) {
      const reads = shadows.length > 1 ? choices[number] : undefined
      const assembly = await host.betweenBatches(() =>
        host.assemble(onlyViews(declaration, views), shadow, () => false, reads),
      )
      const follower = new CommitFollower(assembly, wiring.log, () => {})
      await follower.open()
      parts.push({ assembly, follower })
    }
    // The second round takes what came while the others caught up.
    for (const { follower } of [...parts, ...parts]) await nearlyCatchUp(follower, options)
    onStep('followed')
    return await host.betweenBatches(async () => {
      const startedMs = performance.now()
      await settled(generation)
      onStep('held')
      const records = () => parts.reduce((sum, { follower }) => sum + follower.followed.records, 0)
      const before = records()
      for (const { assembly, follower } of parts) {
        await follower.catchUp()
        await assembly.task.checkpoint()
      }
      // Everything of the old topology is in its database then, at this position.
      await generation.assembly.task.checkpoint()
      onStep('caught-up')
      refuseIfGivenUp(host, options, ready)
      makeLive(host.data!, ready, parts[0]!.assembly.task.position.sequence)
      onStep('live')
      const { log, registry } = wiring
      const isMerged = await mergeViews({ declaration, added: ready.views, log, registry, database, shadows })
      if (!isMerged) throw new RangeError('the live state is not that of the topology without these views')
      const assembly = await host.assemble(declaration, database, () => true)
      await assembly.task.open()
      const report = { followed: before, followedHeld: records() - before }
      return {
        database,
        report: await announce(host, declaration, assembly, database, { startedMs, onStep, report }),
      }
    })
  } finally {
    for (const shadow of shadows) await shadow.close()
  }
}

/** Every commit is durable and everybody who waited for one has an answer by the old topology. */
async function settled({ assembly }: Generation): Promise<void> {
  await assembly.task.flush()
  await nextTurn()
}

async function nearlyCatchUp(follower: CommitFollower, { signal }: SwapOptions): Promise<void> {
  for (let round = 0; round < mostRounds; round++) {
    signal?.throwIfAborted()
    await follower.catchUp(signal)
    await nextTurn()
    if ((await follower.behindOffsets()) <= fewCommits) return
  }
}

function refuseIfGivenUp(
  { data, generation }: SwapHost,
  { signal }: SwapOptions,
  ready: ReadyBackfill | undefined,
): void {
  signal?.throwIfAborted()
  if (data === undefined || readyBackfill(data)?.layout === ready?.layout) return
  throw new EngineError('swap-refused', { app: generation.declaration.name, detail: 'it was cancelled' })
}

async function announce(
  host: SwapHost,
  declaration: Declaration,
  assembly: Assembly,
  database: Database,
  {
    startedMs,
    onStep,
    report,
  }: {
    readonly startedMs: number
    readonly onStep: (step: SwapStep) => void
    readonly report: Pick<SwapReport, 'followed' | 'followedHeld'>
  },
): Promise<SwapReport> {
  const { task, layout } = assembly
  const { wiring, now } = host
  const views = await ViewRegistry.read(declaration.name, wiring.log, wiring.registry)
  await views.register(declaration, wiring.writer, now())
  const { sequence, offsets } = task.position
  const { durable } = await task.announce()
  await durable
  onStep('announced')
  host.install(declaration, assembly, database)
  const position = Object.fromEntries(task.inputs.map(({ name }, index) => [name, offsets[index]!]))
  return { layout, sequence, position, ...report, heldMs: Math.round(performance.now() - startedMs) }
}
