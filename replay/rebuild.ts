import { createHash } from 'node:crypto'
import type { Declaration } from '../models/declaration.ts'
import type { Database } from '../state/store/database.ts'
import { type Assembly, type AssemblyOptions, assemble, type RecoveryProgress } from './assembly.ts'
import { stateDigest, stateDigests } from './state-digest.ts'
import { taskIdOf } from './task-plan.ts'

export interface RebuildReport {
  readonly records: number
  readonly commits: number
  /** Digest of the state that was there, brought up to the last commit. */
  readonly before: string
  /** Digest of the state folded anew from the inputs. */
  readonly after: string
  readonly equal: boolean
}

export interface FoldReport extends Pick<RebuildReport, 'records' | 'commits' | 'after'> {
  /** Digest without the positions: that of the same records on another log. */
  readonly entries: string
}

/**
 * Folds all state anew from the inputs, in the recorded interleaving, into
 * `fresh`, and compares its digest with that of the state that was there.
 */
export async function rebuild(
  options: AssemblyOptions & { readonly fresh: AssemblyOptions['database'] },
  onProgress?: (progress: RecoveryProgress) => void,
): Promise<RebuildReport> {
  const current = await assemble(options)
  await current.recover()
  const before = await digestOf(current, options.database)
  const anew = await foldAnew({ ...options, database: options.fresh }, onProgress)
  const { records, commits, after } = anew
  return { records, commits, before, after, equal: before === after }
}

/** The digest of the state that the inputs give, folded into an empty database. */
export async function foldAnew(
  options: AssemblyOptions,
  onProgress?: (progress: RecoveryProgress) => void,
): Promise<FoldReport> {
  const anew = await assemble(options)
  const { records, commits } = await anew.recover(onProgress)
  await anew.task.checkpoint()
  const { state, entries } = await stateDigests(options.database, anew)
  return { records, commits, after: state, entries }
}

/** One of several tasks, folded anew. */
export interface TaskFold extends FoldReport {
  readonly task: string
  /** Digest of the state that was there, where there was one. */
  readonly before?: string
}

export interface TasksReport extends FoldReport {
  /** In their order; what stands beside it is over all of them. */
  readonly tasks: readonly TaskFold[]
  /** Whether every state that was there is what its inputs give; absent where there was none. */
  readonly equal?: boolean
}

/**
 * The same for each of several tasks, one after the other. `stateOf` opens the
 * state that there is of one, and `scratch` an empty database.
 */
export async function rebuildTasks(
  tasks: readonly Declaration[],
  options: Omit<AssemblyOptions, 'declaration' | 'database'> & {
    readonly scratch: () => Promise<Database>
    readonly stateOf: (task: string) => Promise<Database | undefined>
  },
  onProgress: (progress: RecoveryProgress) => void = () => {},
): Promise<TasksReport> {
  const folds: TaskFold[] = []
  const sum = (of: 'records' | 'commits') => folds.reduce((total, fold) => total + fold[of], 0)
  for (const declaration of tasks) {
    const task = taskIdOf(declaration)
    const before = await stateBefore(declaration, options)
    const database = await options.scratch()
    const records = sum('records')
    const fold = await foldAnew({ ...options, declaration, database }, (progress) =>
      onProgress({ ...progress, records: records + progress.records }),
    )
    await database.close()
    folds.push({ task, ...(before === undefined ? {} : { before }), ...fold })
  }
  const compared = folds.filter(({ before }) => before !== undefined)
  return {
    records: sum('records'),
    commits: sum('commits'),
    after: combined(folds, 'after'),
    entries: combined(folds, 'entries'),
    tasks: folds,
    ...(compared.length === 0 ? {} : { equal: compared.every(({ before, after }) => before === after) }),
  }
}

async function stateBefore(
  declaration: Declaration,
  options: Parameters<typeof rebuildTasks>[1],
): Promise<string | undefined> {
  const database = await options.stateOf(taskIdOf(declaration))
  if (database === undefined) return undefined
  try {
    const current = await assemble({ ...options, declaration, database })
    await current.recover()
    return await digestOf(current, database)
  } finally {
    await database.close()
  }
}

/** One digest of those of all tasks. */
export function combined<Of extends string>(
  tasks: readonly (Readonly<Record<Of, string>> & { readonly task: string })[],
  of: Of,
): string {
  const hash = createHash('sha256')
  for (const fold of tasks) hash.update(`${fold.task} ${fold[of]}\n`)
  return hash.digest('hex')
}

async function digestOf(assembly: Assembly, database: AssemblyOptions['database']): Promise<string> {
  await assembly.task.checkpoint()
  return stateDigest(database, assembly)
}
