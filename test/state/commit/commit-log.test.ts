import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nextSequence, offsetBefore, readCommits } from '../../../state/commit/commit-log.ts'
import type { BoundContract } from '../../../state/contracts/codec.ts'
import type { Log } from '../../../state/log/log.ts'
import { openMemoryLog } from '../../../state/log/memory/memory-log.ts'

interface Commit {
  readonly task: string
  readonly sequence: number
}

/** Commits as JSON: the schema is not what is looked at here. */
const commits = {
  contract: { topic: 'app-commits' },
  readValue: (bytes: Buffer, start: number, end: number) => JSON.parse(bytes.toString('utf8', start, end)),
} as unknown as BoundContract<Commit>

/** A log of commits by the tasks in turn, as named; each has its own sequence. */
async function logOf(tasks: readonly string[]): Promise<{ log: Log; written: readonly Commit[] }> {
  const log = openMemoryLog()
  await log.createTopic({ name: 'app-commits', partitions: 1 })
  const writer = await log.writer('engine')
  const next = new Map<string, number>()
  const written: Commit[] = []
  for (const task of tasks) {
    const commit = { task, sequence: next.get(task) ?? 0 }
    next.set(task, commit.sequence + 1)
    written.push(commit)
    const out = writer.sink.begin('app-commits', 0, 0)
    writer.sink.beginValue()
    out.raw(Buffer.from(JSON.stringify(commit)))
    writer.sink.end()
  }
  await writer.commit()
  return { log, written }
}

const names = fc.array(fc.constantFrom('a', 'a', 'a', 'b'), { maxLength: 700 })

test('the commits of a task from a sequence on are the ones, whatever other tasks wrote between', async () => {
  await fc.assert(
    fc.asyncProperty(names, fc.nat(600), async (tasks, from) => {
      const { log, written } = await logOf(tasks)
      const found: Commit[] = []
      for await (const commit of readCommits({ log, commits, task: 'a' }, from)) found.push(commit)
      const own = written.filter(({ task }) => task === 'a')
      expect(found).toEqual(own.slice(from))
      expect(await nextSequence({ log, commits, task: 'a' })).toBe(own.length)
    }),
    { numRuns: 60 },
  )
})

test('the last commits of a long log are found from its end', async () => {
  const { log } = await logOf(Array.from({ length: 5_000 }, () => 'a'))
  expect(await offsetBefore({ log, commits, task: 'a' }, 4_990)).toBe(5_000n - 64n)
  expect(await offsetBefore({ log, commits, task: 'a' }, 4_800)).toBe(5_000n - 256n)
  expect(await offsetBefore({ log, commits, task: 'a' }, 5_000)).toBe(5_000n - 64n)
  expect(await offsetBefore({ log, commits, task: 'b' }, 7)).toBe(0n)
})
