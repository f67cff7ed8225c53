import { type Assembly, type AssemblyOptions, assemble, type RecoveryProgress } from './assembly.ts'
import { stateDigest } from './state-digest.ts'

export interface RebuildReport {
  readonly records: number
  readonly commits: number
  /** Digest of the state that was there, brought up to the last commit. */
  readonly before: string
  /** Digest of the state folded anew from the inputs. */
  readonly after: string
  readonly equal: boolean
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
  return { ...anew, before, equal: before === anew.after }
}

/** The digest of the state that the inputs give, folded into an empty database. */
export async function foldAnew(
  options: AssemblyOptions,
  onProgress?: (progress: RecoveryProgress) => void,
): Promise<Pick<RebuildReport, 'records' | 'commits' | 'after'>> {
  const anew = await assemble(options)
  const { records, commits } = await anew.recover(onProgress)
  return { records, commits, after: await digestOf(anew, options.database) }
}

async function digestOf(assembly: Assembly, database: AssemblyOptions['database']): Promise<string> {
  await assembly.task.checkpoint()
  return stateDigest(database, assembly)
}
