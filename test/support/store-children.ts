import { type ChildProcess, spawn } from 'node:child_process'

const script = new URL('./store-child.ts', import.meta.url).pathname

export interface StoreChild {
  readonly pid: number | undefined
  /** Resolves when it has the folder open, rejects with its last words if it ends before. */
  readonly opened: Promise<void>
  /** Lines after "open", so far. */
  readonly lines: readonly string[]
  /** Kills it with SIGKILL and resolves when it is gone and all its lines are in `lines`. */
  kill(): Promise<void>
}

/** A process that has the RocksDB folder open and does nothing. */
export const spawnHolder = (path: string): StoreChild => watch(spawnStoreChild([path, 'hold']))

/** A process that writes numbered batches from `first` on and says what was acknowledged. */
export const spawnWriter = (path: string, first: number): StoreChild =>
  watch(spawnStoreChild([path, 'write', String(first)]))

/**
 * Writes numbered batches from 0 to `last` in a process none of whose files
 * may grow beyond `fileKiB`, which is what a full disk looks like to it.
 * Resolves to what it says.
 */
export function fillLimited(path: string, last: number, fileKiB: number): Promise<string> {
  const child = spawn(
    'bash',
    ['-c', `ulimit -f ${fileKiB} && exec "$@"`, 'bash', ...commandOf([path, 'fill', String(last)])],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  return new Promise((resolve, reject) => {
    let said = ''
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(said.trim())
      else reject(new Error(`the child ended with ${code}: ${errors}`))
    })
  })
}

const commandOf = (args: readonly string[]): string[] => [
  process.execPath,
  '--import',
  'tsx',
  script,
  ...args,
]

function spawnStoreChild(args: readonly string[]): ChildProcess {
  const [command = '', ...rest] = commandOf(args)
  return spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
}

function watch(child: ChildProcess): StoreChild {
  const lines: string[] = []
  let rest = ''
  let errors = ''
  const gone = new Promise<void>((resolve) => child.on('close', () => resolve()))
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const opened = new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n')
      // A number cut off by the kill is no number.
      rest = parts.pop() ?? ''
      for (const part of parts) {
        if (part === 'open') resolve()
        else lines.push(part)
      }
    })
    child.on('close', () => reject(new Error(`the child ended early: ${errors}`)))
  })
  // Whoever does not wait for it learns of the end by `kill`.
  opened.catch(() => {})
  return {
    pid: child.pid,
    opened,
    lines,
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}
