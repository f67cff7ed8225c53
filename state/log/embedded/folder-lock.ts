import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { EngineError } from '../../contracts/engine-error.ts'
import { diskError } from './log-files.ts'

/** Who has a log open for writing: the content of the file LOCK, as JSON. */
interface Holder {
  readonly pid: number
  readonly host: string
  readonly since: string
  /** When the process began, as the system counts it: process ids are used again. Absent where it cannot be told. */
  readonly began?: string
  /** Tells this lock from every other. */
  readonly token: string
}

/**
 * Makes this process the one writer of a folder until the returned function
 * is called. The lock of a process that is gone is taken over.
 *
 * @throws EngineError `log-locked` with the holder, `log-disk`
 */
export function lockFolder(folder: string, nowMs: number): () => void {
  const path = join(folder, 'LOCK')
  const began = beginningOf(process.pid)
  const mine: Holder = {
    pid: process.pid,
    host: hostname(),
    since: new Date(nowMs).toISOString(),
    ...(began === undefined ? {} : { began }),
    token: randomUUID(),
  }
  for (let tries = 0; tries < 10; tries++) {
    if (create(path, mine)) return () => release(path, mine)
    const text = contentOf(path)
    if (text === undefined) continue
    const holder = parse(text)
    if (holder !== undefined && isRunning(holder)) throw locked(folder, holder)
    takeAway(folder, path, text, mine.token)
  }
  throw diskError(path, 'lock', new Error('the lock changes hands all the time'))
}

/** The lock comes with its content or not at all: an empty one would look like one that a dead process left. */
function create(path: string, holder: Holder): boolean {
  const draft = `${path}.${holder.token}`
  try {
    writeFileSync(draft, `${JSON.stringify(holder)}\n`, { flag: 'wx' })
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw diskError(path, 'lock', error)
  } finally {
    removeQuietly(draft)
  }
}

/**
 * Moves a dead holder's lock aside. Another process may have done the same
 * and made its own since it was read: what was moved is then put back.
 */
function takeAway(folder: string, path: string, dead: string, token: string): void {
  const aside = `${path}.${token}.dead`
  try {
    renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw diskError(path, 'lock', error)
  }
  const moved = contentOf(aside)
  try {
    if (moved === dead || moved === undefined) return
    const holder = parse(moved)
    try {
      linkSync(aside, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw diskError(path, 'lock', error)
    }
    if (holder !== undefined) throw locked(folder, holder)
  } finally {
    removeQuietly(aside)
  }
}

/** What stays is a file of another name, which no lock is. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The error that came before says more.
  }
}

function release(path: string, mine: Holder): void {
  const text = contentOf(path)
  if (text !== undefined && parse(text)?.token === mine.token) rmSync(path, { force: true })
}

function isRunning(holder: Holder): boolean {
  // Another machine's processes cannot be seen from here, so its lock stands.
  if (holder.host !== hostname()) return true
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const began = beginningOf(holder.pid)
  return holder.began === undefined || began === undefined || began === holder.began
}

/** Field 22 of `/proc/<pid>/stat`, the start time counted from the boot, and the boot; only Linux has them. */
function beginningOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field is the command in brackets and may hold anything.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${ticks}`
  } catch {
    return undefined
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Undefined for a lock that was never written whole: its writer died in between. */
function parse(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder
  } catch {
    return undefined
  }
}

function locked(path: string, { pid, host, since }: Holder): EngineError {
  // From here nobody can tell whether a process of another machine (or container) is alive.
  const advice = host === hostname() ? '' : ` (another machine; if it is gone for good, remove ${path}/LOCK)`
  return new EngineError('log-locked', { path, holder: `process ${pid} on ${host} since ${since}${advice}` })
}
