import { type Assembly, type AssemblyOptions, assemble, type RecoveryProgress } from './assembly.ts'
import { stateDigest, stateDigests } from './state-digest.ts'

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

async function digestOf(assembly: Assembly, database: AssemblyOptions['database']): Promise<string> {
  await assembly.task.checkpoint()
  return stateDigest(database, assembly)
}
