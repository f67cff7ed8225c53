import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import { verifyLog } from '../../state/log/embedded/verify.ts'
import { LogFolders } from '../support/log-folders.ts'
import { readAll } from '../support/log-records.ts'

/** Kills in a run; `LOG_KILLS=200 npx vitest run test/fault/log-kill.test.ts` for a long one. */
const kills = Number(process.env['LOG_KILLS'] ?? 8)
const seed = Number(process.env['LOG_SEED'] ?? 20_261_123)

let folders: LogFolders
beforeAll(() => {
  folders = new LogFolders()
})
const started: ChildProcess[] = []
afterAll(() => {
  for (const child of started) child.kill('SIGKILL')
  folders.remove()
})

interface Child {
  readonly process: ChildProcess
  /** Commit numbers that it said are durable. */
  readonly acknowledged: number[]
  readonly closed: Promise<string | null>
}

function start(path: string): Child {
  const script = new URL('../support/log-child.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', script, path], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  const acknowledged: number[] = []
  let rest = ''
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop()!
    for (const line of lines) acknowledged.push(Number(line))
  })
  const closed = new Promise<string | null>((resolve, reject) => {
    child.on('close', (code, signal) =>
      code === null ? resolve(signal) : reject(new Error(`the child ended with ${code}: ${errors}`)),
    )
  })
  return { process: child, acknowledged, closed }
}

async function untilAcknowledged({ acknowledged }: Child, count: number): Promise<void> {
  while (acknowledged.length < count) await delay(1)
}

test('a process killed at any moment loses no acknowledged commit and leaves none by half', {
  timeout: 60_000 + kills * 10_000,
}, async () => {
  const path = folders.fresh()
  let state = seed
  const upTo = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % limit
  }
  let last = -1
  for (let kill = 0; kill < kills; kill++) {
    const child = start(path)
    await Promise.race([untilAcknowledged(child, 1 + upTo(1_500)), child.closed])
    child.process.kill('SIGKILL')
    expect(await child.closed).toBe('SIGKILL')
    last = Math.max(last, ...child.acknowledged)

    expect((await verifyLog({ path })).damage).toBeUndefined()
    // The lock of the dead process is taken over.
    const log = await openEmbeddedLog({ path, now: Date.now, segmentBytes: 20_000 })
    const numbers = async (topic: string, partition: number) =>
      (await readAll(log, topic, partition, 0)).map(({ value }) => Number(value!.split(':')[0]))
    const committed = await numbers('a', 0)
    expect(committed).toEqual(Array.from({ length: committed.length }, (_, index) => index))
    expect(committed.length).toBeGreaterThan(last)
    const { end } = await log.offsets('a', 0)
    for (const partition of [0, 1]) {
      // Whole commits: both partitions of the other topic end where this one does.
      expect((await log.offsets('b', partition)).end).toBe(end)
      const kept = new Map<number, number>()
      for (const number of await numbers('b', partition)) kept.set(number % 50, number)
      const expected = new Map<number, number>()
      for (const number of committed) expected.set(number % 50, number)
      expect(Object.fromEntries(kept)).toEqual(Object.fromEntries(expected))
    }
    await log.close()
  }
  expect(last).toBeGreaterThan(kills * 10)
})

test('a second process is refused with who has the log, reads beside it, and takes over when it is dead', async () => {
  const path = folders.fresh()
  const child = start(path)
  await untilAcknowledged(child, 20)
  const error = await openEmbeddedLog({ path, now: Date.now }).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'log-locked' })
  expect((error as Error).message).toMatch(
    new RegExp(`process ${child.process.pid} on \\S+ since \\d{4}-\\d\\d-\\d\\dT`),
  )
  const reader = await openEmbeddedLog({ path, now: Date.now, readOnly: true })
  let seen = 0n
  for (let round = 0; round < 5; round++) {
    await reader.appended(new AbortController().signal)
    const { end } = await reader.offsets('a', 0)
    expect(end).toBeGreaterThan(seen)
    seen = end
    const records = await readAll(reader, 'a', 0)
    expect(records.map(({ timestampMs }) => timestampMs)).toEqual(records.map((_, index) => index))
    for (const partition of [0, 1]) {
      const newest = (await readAll(reader, 'b', partition, 0)).at(-1)
      expect(newest?.timestampMs).toBeGreaterThanOrEqual(records.length - 1)
    }
  }
  child.process.kill('SIGKILL')
  await child.closed
  const log = await openEmbeddedLog({ path, now: Date.now })
  expect((await log.offsets('a', 0)).end).toBeGreaterThan(BigInt(Math.max(...child.acknowledged)))
  await reader.close()
  await log.close()
})
