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
  const anew = await assemble({ ...options, database: options.fresh })
  const { records, commits } = await anew.recover(onProgress)
  const after = await digestOf(anew, options.fresh)
  return { records, commits, before, after, equal: before === after }
}

async function digestOf(assembly: Assembly, database: AssemblyOptions['database']): Promise<string> {
  await assembly.task.checkpoint()
  return stateDigest(database, assembly)
}
