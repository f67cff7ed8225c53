import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Declaration } from '../models/declaration.ts'
import { embeddedRegistry, memoryJournal } from '../state/contracts/embedded-registry.ts'
import { openMemoryLog } from '../state/log/memory/memory-log.ts'
import { memoryDatabase } from '../state/store/memory/memory-database.ts'
import { assemble } from './assembly.ts'

/*
 * A data folder keeps the live state in `state` and the shadow of a backfill
 * in `backfill/state`. `backfill/ready.json`, written whole under another name
 * and renamed, says that the shadow may take the place of the state. The swap
 * is three steps, of which each may be the last before a crash:
 *
 *     state           ->  backfill/replaced    only where that is not there yet
 *     backfill/state  ->  state
 *     backfill is removed
 *
 * While ready.json is there, the next start does the steps that are missing.
 */

/** Says in `ready.json` what the shadow is a fold of. */
interface Ready {
  readonly layout: string
  /** Present where the shadow holds these views alone, to be put beside the state instead of in its place. */
  readonly views?: readonly string[]
}

const folderOf = (data: string): string => join(data, 'backfill')
const readyFile = (data: string): string => join(folderOf(data), 'ready.json')

/** Where the shadow of a data folder lives. */
export const shadowFolder = (data: string): string => join(folderOf(data), 'state')

/** Makes the shadow the state of the next start with the same declaration. */
export function markReady(data: string, { layout, views }: Ready): void {
  const partial = `${readyFile(data)}.part`
  writeFileSync(
    partial,
    JSON.stringify({ layout, ...(views === undefined ? {} : { views }) } satisfies Ready),
  )
  renameSync(partial, readyFile(data))
}

/** Before a shadow is written to: from now on it is not taken. */
export function unmarkReady(data: string): void {
  mkdirSync(folderOf(data), { recursive: true })
  rmSync(readyFile(data), { force: true })
}

/** Throws a shadow away. Returns whether there was one. */
export function discardBackfill(data: string): boolean {
  const found = existsSync(folderOf(data))
  unmarkReady(data)
  rmSync(folderOf(data), { recursive: true, force: true })
  return found
}

/**
 * Puts a finished shadow in the place of the state, if it is a fold of this
 * declaration. To be called while the log is locked and no state is open.
 * Returns whether the state is another one now.
 */
export async function adoptBackfill(data: string, declaration: Declaration): Promise<boolean> {
  if (!existsSync(readyFile(data))) return false
  const { layout, views } = JSON.parse(readFileSync(readyFile(data), 'utf8')) as Ready
  if (views !== undefined || layout !== (await layoutOfDeclaration(declaration))) return false
  const [state, shadow] = [join(data, 'state'), shadowFolder(data)]
  const replaced = join(folderOf(data), 'replaced')
  if (existsSync(shadow)) {
    if (existsSync(state) && existsSync(replaced)) rmSync(replaced, { recursive: true })
    if (existsSync(state)) renameSync(state, replaced)
    renameSync(shadow, state)
  }
  rmSync(readyFile(data))
  rmSync(folderOf(data), { recursive: true, force: true })
  return true
}

/** The views of a finished shadow that belong beside the state of this declaration; undefined where there are none. */
export async function viewsToMerge(
  data: string,
  declaration: Declaration,
): Promise<readonly string[] | undefined> {
  if (!existsSync(readyFile(data))) return undefined
  const { layout, views } = JSON.parse(readFileSync(readyFile(data), 'utf8')) as Ready
  return layout === (await layoutOfDeclaration(declaration)) ? views : undefined
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
