import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Declaration } from '../../models/declaration.ts'
import { taskIdOf } from '../../replay/task-plan.ts'
import { readCheckpoint } from '../../state/commit/checkpoint.ts'
import { openStateFolder, statePath } from '../runtime/wire.ts'

/** What an instance's data folder remembers of its place among the others. */
export interface RememberedInstance {
  readonly id: string
  /** Its id in the group, which a restart gives back. */
  readonly memberId?: string
}

const file = (data: string): string => join(data, 'instance.json')

/** Undefined for a folder that no instance has run on. */
export function rememberedInstance(data: string): RememberedInstance | undefined {
  if (!existsSync(file(data))) return undefined
  try {
    return JSON.parse(readFileSync(file(data), 'utf8')) as RememberedInstance
  } catch {
    // Cut short by a power loss. What it says saves time and names the instance; it holds nothing up.
    return undefined
  }
}

export function rememberInstance(data: string, instance: RememberedInstance): void {
  mkdirSync(data, { recursive: true })
  writeFileSync(`${file(data)}.new`, `${JSON.stringify(instance)}\n`)
  renameSync(`${file(data)}.new`, file(data))
}

/**
 * Records that a task's state on the disk has folded: the sum of its
 * positions, 0 where there is none. Nobody else may have it open.
 *
 * @throws EngineError `store-locked` where another process runs on this folder
 */
export async function positionOnDisk(data: string, declaration: Declaration): Promise<number> {
  const path = statePath(data, declaration.share?.task)
  if (!existsSync(path)) return 0
  const database = await openStateFolder(path)
  try {
    const checkpoint = await readCheckpoint(database, taskIdOf(declaration))
    return checkpoint?.position.offsets.reduce((sum, offset) => sum + offset, 0) ?? 0
  } finally {
    await database.close()
  }
}
