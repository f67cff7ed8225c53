import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Declaration } from '../models/declaration.ts'
import { embeddedRegistry, memoryJournal } from '../state/contracts/embedded-registry.ts'
import { openMemoryLog } from '../state/log/memory/memory-log.ts'
import { memoryDatabase } from '../state/store/memory/memory-database.ts'
import { assemble } from './assembly.ts'

/*
 * A data folder keeps the live state in one of the folders `state` and
 * `state-b`, and the shadow of a backfill in the other. `live.json` says which
 * one is live and what topology it was swapped to; without it that is `state`.
 * `backfill/ready.json` says that the shadow is a fold of a declaration, and
 * whether a running engine is asked to take it. Both are written whole under
 * another name and renamed. The swap is the renaming of `live.json`: before
 * it the old state is the live one, behind it the new. What is left to remove
 * then is removed by the next start, where a crash came first.
 */

/** Says in `ready.json` what the shadow is a fold of. */
export interface ReadyBackfill {
  readonly layout: string
  /** Present where the shadow holds these views alone, to be put beside the state instead of in its place. */
  readonly views?: readonly string[]
  /** Parts in which these views were folded, each in a folder of its own; absent: one. */
  readonly parts?: number
  /** Where the shadow is. */
  readonly folder: string
  /** Path of the module that declares it, where it is known. */
  readonly module?: string
  /** Path of the module that ran when it was made. */
  readonly replaced?: string
  /** A running engine is asked to take it now, or else the next start, whichever of the two modules it names. */
  readonly isAsked?: boolean
}

/** Says in `live.json` which state is live. */
interface Live {
  readonly folder: string
  /** The topology that it was swapped to. */
  readonly swapped?: Swapped
}

/** What a data folder was swapped to. */
export interface Swapped {
  readonly layout: string
  /** Sequence number of the commit from which on it was this topology; absent where a start took it. */
  readonly sequence?: number
  /** Path of its module, and of those that it took the place of, where they are known. */
  readonly module?: string
  readonly replaced?: readonly string[]
}

const stateFolders = ['state', 'state-b'] as const

const backfillFolder = (data: string): string => join(data, 'backfill')
const readyFile = (data: string): string => join(backfillFolder(data), 'ready.json')
const failedFile = (data: string): string => join(backfillFolder(data), 'failed.json')
const cancelFile = (data: string): string => join(backfillFolder(data), 'cancel')
const liveFile = (data: string): string => join(data, 'live.json')

/** Where the live state of a data folder is. */
export const liveFolder = (data: string): string => join(data, readLive(data).folder)

/** Where the shadow of a data folder is. */
export const shadowFolder = (data: string): string => join(data, shadowName(data))

/** Where the parts of a shadow are. */
export const shadowParts = (data: string, parts = 1): readonly string[] =>
  parts === 1
    ? [shadowFolder(data)]
    : Array.from({ length: parts }, (_, part) => join(shadowFolder(data), `part-${part}-of-${parts}`))

const shadowName = (data: string): string =>
  stateFolders.find((name) => name !== readLive(data).folder) ?? stateFolders[1]

/** The topology that a data folder was swapped to while an engine ran; undefined where it never was. */
export const swappedTo = (data: string): Swapped | undefined => readLive(data).swapped

/** A backfill that is finished; undefined where there is none. */
export const readyBackfill = (data: string): ReadyBackfill | undefined =>
  readJson<ReadyBackfill>(readyFile(data))

/** Makes the shadow the state of the next start with the same declaration. */
export function markReady(data: string, ready: Omit<ReadyBackfill, 'folder'>): void {
  const { layout, views, parts, module, replaced, isAsked } = ready
  mkdirSync(backfillFolder(data), { recursive: true })
  rmSync(failedFile(data), { force: true })
  const content: ReadyBackfill = {
    layout,
    folder: shadowName(data),
    ...(views === undefined ? {} : { views }),
    ...(parts === undefined ? {} : { parts }),
    ...(module === undefined ? {} : { module }),
    ...(replaced === undefined ? {} : { replaced }),
    ...(isAsked === undefined ? {} : { isAsked }),
  }
  writeWhole(readyFile(data), content)
}

/** Before a shadow is written to: from now on it is not taken. */
export function unmarkReady(data: string): void {
  mkdirSync(backfillFolder(data), { recursive: true })
  for (const file of [readyFile(data), failedFile(data), cancelFile(data)]) rmSync(file, { force: true })
}

/** Why a running engine did not take the shadow that it was asked to; undefined where it did not say. */
export const swapFailure = (data: string): string | undefined =>
  readJson<{ readonly detail: string }>(failedFile(data))?.detail

/** Tells whoever asked that the shadow is not taken now. It stays ready for the next start. */
export function refuseSwap(data: string, detail: string): void {
  const ready = readyBackfill(data)
  if (ready === undefined) return
  markReady(data, { ...ready, isAsked: false })
  writeWhole(failedFile(data), { detail })
}

/** Asks a backfill of another process to end, and a running engine not to take the shadow any more. Returns whether there is one. */
export function askToCancel(data: string): boolean {
  if (!existsSync(backfillFolder(data))) return false
  rmSync(readyFile(data), { force: true })
  writeFileSync(cancelFile(data), '')
  return true
}

/** Whether somebody asked the backfill of this folder to end. */
export const isCancelled = (data: string): boolean => existsSync(cancelFile(data))

/** Throws a shadow away. */
export function discardBackfill(data: string): void {
  removeShadow(data)
  rmSync(backfillFolder(data), { recursive: true, force: true })
}

/** A part of a state is none: it goes out of sight before it is removed. */
function removeShadow(data: string): void {
  const [shadow, gone] = [shadowFolder(data), join(data, 'state-gone')]
  rmSync(gone, { recursive: true, force: true })
  if (existsSync(shadow)) renameSync(shadow, gone)
  rmSync(readyFile(data), { force: true })
  rmSync(gone, { recursive: true, force: true })
}

/**
 * Makes the shadow the live state, in one step: from now on every start opens
 * it, and a start that names the module that it replaced opens its own.
 * `sequence` is that of its first commit, where a running engine is swapped.
 */
export function makeLive(data: string, ready: ReadyBackfill, sequence?: number): void {
  const { layout, module, folder, views, isAsked } = ready
  const { folder: before, swapped } = readLive(data)
  const past = [...(swapped?.replaced ?? []), swapped?.module, ready.replaced]
  const replaced = [...new Set(past)].filter((each): each is string => each !== undefined && each !== module)
  const names = module === undefined || isAsked !== true ? {} : { module, replaced }
  writeWhole(liveFile(data), {
    folder: views === undefined ? folder : before,
    swapped: { layout, ...(sequence === undefined ? {} : { sequence }), ...names },
  } satisfies Live)
}

/** For a start with a module of its own: what was swapped to does not count any more. */
export function forgetSwap(data: string): void {
  const { folder, swapped } = readLive(data)
  if (swapped !== undefined) writeWhole(liveFile(data), { folder } satisfies Live)
}

/**
 * The module to run where somebody names one: that which it was swapped to
 * meanwhile, or which the next start was asked to take.
 */
export function moduleToRun(data: string, named: string): string {
  const ready = readyBackfill(data)
  if (ready?.isAsked && ready.module !== undefined && ready.replaced === named) return ready.module
  const { module, replaced = [] } = swappedTo(data) ?? {}
  return module !== undefined && replaced.includes(named) ? module : named
}

/**
 * Makes a finished shadow the state, if it is a fold of this declaration, and
 * removes what a swap has left behind. To be called while the log is locked
 * and no state is open. Returns whether the state is another one now.
 */
export async function adoptBackfill(data: string, declaration: Declaration): Promise<boolean> {
  const ready = readyBackfill(data)
  if (ready === undefined) {
    // What a swap that is complete did not come to remove; a backfill that is not finished goes on in it.
    if (!existsSync(backfillFolder(data))) removeShadow(data)
    return false
  }
  const { views, layout, folder } = ready
  if (views !== undefined || layout !== (await layoutOfDeclaration(declaration))) return false
  const isDone = readLive(data).folder === folder
  if (!isDone) makeLive(data, ready)
  discardBackfill(data)
  return !isDone
}

/** The views of a finished shadow that belong beside the state of this declaration; undefined where there are none. */
export async function viewsToMerge(
  data: string,
  declaration: Declaration,
): Promise<readonly string[] | undefined> {
  const ready = readyBackfill(data)
  if (ready === undefined) return undefined
  return ready.layout === (await layoutOfDeclaration(declaration)) ? ready.views : undefined
}

/** The name of what a declaration folds, as a task of it would give it. */
export async function layoutOfDeclaration(declaration: Declaration): Promise<string> {
  const log = openMemoryLog({ now: () => 0 })
  const registry = await embeddedRegistry(memoryJournal())
  const writer = await log.writer('layout')
  const { layout } = await assemble({ declaration, log, writer, registry, database: memoryDatabase() })
  await log.close()
  return layout
}

const readLive = (data: string): Live => readJson<Live>(liveFile(data)) ?? { folder: stateFolders[0] }

function readJson<Content>(path: string): Content | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Content
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Whole or not at all, also after a power cut. */
function writeWhole(path: string, content: object): void {
  const partial = `${path}.part`
  const file = openSync(partial, 'w')
  writeFileSync(file, `${JSON.stringify(content)}\n`)
  fsyncSync(file)
  closeSync(file)
  renameSync(partial, path)
}
