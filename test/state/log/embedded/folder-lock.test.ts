import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lockFolder } from '../../../../state/log/embedded/folder-lock.ts'
import { LogFolders } from '../../../support/log-folders.ts'

let folders: LogFolders
beforeAll(() => {
  folders = new LogFolders()
})
afterAll(() => folders.remove())

const folder = (lock?: string): string => {
  const path = folders.fresh()
  mkdirSync(path)
  if (lock !== undefined) writeFileSync(join(path, 'LOCK'), lock)
  return path
}

const since = '2026-11-23T00:00:00.000Z'
/** No process has it: Linux counts to 4 194 304 at most. */
const nobody = 99_999_999

test('a lock holds until it is given back, and leaves nothing behind', () => {
  const path = folder()
  const unlock = lockFolder(path, Date.parse(since))
  expect(JSON.parse(readFileSync(join(path, 'LOCK'), 'utf8'))).toMatchObject({
    pid: process.pid,
    host: hostname(),
    since,
  })
  expect(() => lockFolder(path, 0)).toThrow(`process ${process.pid} on ${hostname()} since ${since}`)
  expect(readdirSync(path)).toEqual(['LOCK'])
  unlock()
  expect(readdirSync(path)).toEqual([])
})

const dead: readonly (readonly [string, string])[] = [
  ['of a process that is gone', JSON.stringify({ pid: nobody, host: hostname(), since, token: 't' })],
  [
    'of an earlier process with the same number',
    JSON.stringify({ pid: process.pid, host: hostname(), since, began: 'another boot 1', token: 't' }),
  ],
  ['that was never written whole', '{"pid":'],
  ['without content', ''],
]

test.each(dead)('a lock %s is taken over', (_, lock) => {
  const path = folder(lock)
  const unlock = lockFolder(path, 0)
  expect(JSON.parse(readFileSync(join(path, 'LOCK'), 'utf8'))).toMatchObject({ pid: process.pid })
  expect(readdirSync(path)).toEqual(['LOCK'])
  unlock()
})

test('a lock of another machine stands, since nobody can see from here whether its process lives', () => {
  const path = folder(JSON.stringify({ pid: 1, host: 'elsewhere', since, token: 't' }))
  expect(() => lockFolder(path, 0)).toThrow(
    `process 1 on elsewhere since ${since} (another machine; if it is gone for good, remove ${path}/LOCK)`,
  )
})

test('giving back a lock that another has taken over meanwhile leaves that one alone', () => {
  const path = folder()
  const unlock = lockFolder(path, 0)
  const other = JSON.stringify({ pid: process.pid, host: hostname(), since, token: 'other' })
  writeFileSync(join(path, 'LOCK'), other)
  unlock()
  expect(readFileSync(join(path, 'LOCK'), 'utf8')).toBe(other)
})

test('a folder that takes no files is an error of the disk', () => {
  const file = join(folder(), 'file')
  writeFileSync(file, '')
  expect(() => lockFolder(file, 0)).toThrow(expect.objectContaining({ code: 'log-disk' }))
})
