import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { EngineError } from '../../contracts/engine-error.ts'

/*
 * Two small files beside RocksDB's own: FORMAT, the version of the layout as
 * decimal text, and PID, the process that has the folder open. RocksDB's LOCK
 * does the locking, which a dead process cannot keep; PID only says who.
 */

/** Version of the layout of keys. */
const format = 1

/**
 * Makes the folder where there is none, and says in it which version it is
 * of. RocksDB must not have been opened before: a newer version's files are
 * left as they are.
 *
 * @throws EngineError `store-newer-format`, `store-failed`
 */
export function prepareFolder(path: string): void {
  mkdirSync(path, { recursive: true })
  const file = join(path, 'FORMAT')
  if (!existsSync(file)) {
    if (existsSync(join(path, 'CURRENT'))) {
      throw refused(path, 'it is a RocksDB database without a FORMAT file, so another program wrote it')
    }
    writeFormat(file)
    return
  }
  const text = readFileSync(file, 'utf8').trim()
  if (!/^\d{1,9}$/.test(text)) {
    throw refused(path, `FORMAT says ${JSON.stringify(text)}, expected a version number; remove the folder`)
  }
  const found = Number(text)
  if (found !== format) throw new EngineError('store-newer-format', { path, found, supported: format })
}

/** Notes that this process has the folder open. A folder that cannot take the note is as good without. */
export function signFolder(path: string): void {
  try {
    writeFileSync(join(path, 'PID'), `${process.pid}\n`)
  } catch {}
}

export function unsignFolder(path: string): void {
  try {
    rmSync(join(path, 'PID'), { force: true })
  } catch {}
}

/** Who has the folder open, as text for an operator, when RocksDB has said that someone has. */
export function holderOf(path: string): string {
  let pid = ''
  try {
    pid = readFileSync(join(path, 'PID'), 'utf8').trim()
  } catch {}
  return /^\d+$/.test(pid) ? `process ${pid}` : `another process (lsof ${join(path, 'LOCK')} names it)`
}

/** On the disk before RocksDB's first file: a folder that has those and no FORMAT is not one of ours. */
function writeFormat(file: string): void {
  const draft = `${file}.draft`
  const open = openSync(draft, 'w')
  try {
    writeFileSync(open, `${format}\n`)
    fsyncSync(open)
  } finally {
    closeSync(open)
  }
  renameSync(draft, file)
}

function refused(path: string, detail: string): EngineError {
  return new EngineError('store-failed', { path, operation: 'opening', detail })
}
