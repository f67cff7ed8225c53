import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BackfillProgress, BackfillReport } from '../../replay/backfill.ts'
import { shadowParts } from '../../replay/backfill-swap.ts'

/** What a process is told to fold. */
export interface PartOrder {
  readonly module: string
  readonly data: string
  readonly part: { readonly number: number; readonly of: number }
  readonly follow: boolean
  readonly checkpointEvents?: number
}

/** What it tells. */
export interface PartTold {
  readonly progress?: BackfillProgress
  readonly report?: BackfillReport
  readonly failure?: string
}

export interface PartsOptions extends Omit<PartOrder, 'part'> {
  readonly parts: number
  readonly signal: AbortSignal
  readonly onProgress?: (progress: BackfillProgress) => void
}

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const program = fileURLToPath(new URL(`../cli/backfill-part.${extension}`, import.meta.url))

/** Folds the parts of a backfill of views, each in a process of its own, into a state of its own. */
export async function foldInProcesses(options: PartsOptions): Promise<BackfillReport> {
  const { parts, data, signal, onProgress } = options
  mkdirSync(dirname(shadowParts(data, parts)[0]!), { recursive: true })
  const progress = new Map<number, BackfillProgress>()
  const children: ChildProcess[] = []
  const stop = () => {
    for (const child of children) if (child.connected) child.send('stop')
  }
  signal.addEventListener('abort', stop)
  try {
    const reports = Array.from({ length: parts }, (_, number) => {
      // A child that runs another program than this one is told how by this one's own arguments.
      const child = fork(program, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      children.push(child)
      return reportOf(child, { ...options, part: { number, of: parts } }, (told) => {
        progress.set(number, told)
        if (progress.size === parts) onProgress?.(sumOf([...progress.values()]))
      })
    })
    if (signal.aborted) stop()
    // One that fails ends the others, and its reason is what is told.
    for (const report of reports) report.catch(stop)
    const ended = await Promise.allSettled(reports)
    const failed = ended.find((each) => each.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return reportOfAll(ended.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])))
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function reportOf(
  child: ChildProcess,
  { module, data, part, follow, checkpointEvents }: PartOrder,
  onProgress: (progress: BackfillProgress) => void,
): Promise<BackfillReport> {
  return new Promise((resolve, reject) => {
    let told: PartTold | undefined
    child.on('message', (message: PartTold) => {
      if (message.progress === undefined) told = message
      else onProgress(message.progress)
    })
    child.on('error', reject)
    let ending = 'exit code 0'
    // What it has told may come behind its end: both are waited for.
    const ended = [
      new Promise<void>((exited) => {
        child.on('exit', (code, signal) => {
          ending = String(signal ?? `exit code ${code}`)
          exited()
        })
      }),
      new Promise<void>((disconnected) => child.on('disconnect', disconnected)),
    ]
    void Promise.all(ended).then(() => {
      const failure = told?.failure ?? `part ${part.number} of the backfill ended with ${ending}`
      if (told?.report !== undefined) resolve(told.report)
      else reject(new Error(failure))
    })
    const rest = checkpointEvents === undefined ? {} : { checkpointEvents }
    child.send({ module, data, part, follow, ...rest } satisfies PartOrder)
  })
}

const summed = ['records', 'total', 'recordsPerSecond', 'late', 'dropped', 'refused'] as const

/** The parts are folded beside each other: the last one ends it. */
function sumOf(all: readonly BackfillProgress[]): BackfillProgress {
  const sum = (name: (typeof summed)[number]) => all.reduce((total, each) => total + each[name], 0)
  const sums = Object.fromEntries(summed.map((name) => [name, sum(name)])) as {
    readonly [Name in (typeof summed)[number]]: number
  }
  const left = all.map(({ leftMs }) => leftMs)
  const known = left.filter((each) => each !== undefined)
  return { ...sums, leftMs: known.length < all.length ? undefined : Math.max(...known) }
}

function reportOfAll(reports: readonly BackfillReport[]): BackfillReport {
  const [first] = reports
  const isReady = reports.every(({ outcome }) => outcome === 'ready')
  const commits = Math.min(...reports.map((each) => each.commits))
  const unread = reports.reduce((sum, each) => sum + each.unread, 0)
  return { ...first!, ...sumOf(reports), outcome: isReady ? 'ready' : 'interrupted', commits, unread }
}
