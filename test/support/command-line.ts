import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  /** null when a signal ended it. */
  readonly code: number | null
  readonly out: string
  readonly errors: string
}

const script = fileURLToPath(new URL('../../topology/cli/headwater.ts', import.meta.url))

const running = new Set<ChildProcess>()

/** Ends what a failed test left running. */
export function endAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** Starts the command as a user would; the caller waits for it, or ends it by its process id. */
export function start(
  args: readonly string[],
  options: { readonly cwd?: string; readonly input?: string } = {},
): {
  readonly child: ChildProcess
  readonly ended: Promise<Outcome>
  /** Resolves to the first line of either output that matches. */
  seen(pattern: RegExp): Promise<string>
} {
  const tsx = import.meta.resolve('tsx')
  const child = spawn(process.execPath, ['--import', tsx, script, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  running.add(child)
  child.on('close', () => running.delete(child))
  child.stdin.end(options.input ?? '')
  let out = ''
  let errors = ''
  const watchers = new Set<() => void>()
  const gather = (take: (text: string) => void) => (chunk: Buffer) => {
    take(chunk.toString())
    for (const watch of watchers) watch()
  }
  child.stdout.on(
    'data',
    gather((text) => {
      out += text
    }),
  )
  child.stderr.on(
    'data',
    gather((text) => {
      errors += text
    }),
  )
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, errors }))
  })
  const seen = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const watch = () => {
        const line = `${errors}\n${out}`.split('\n').find((each) => pattern.test(each))
        if (line === undefined) return
        watchers.delete(watch)
        resolve(line)
      }
      watchers.add(watch)
      watch()
      ended.then(() => reject(new Error(`it ended without ${pattern}: ${errors}${out}`)), reject)
    })
  return { child, ended, seen }
}

export const headwater = (
  args: readonly string[],
  options: { readonly cwd?: string; readonly input?: string } = {},
): Promise<Outcome> => start(args, options).ended
