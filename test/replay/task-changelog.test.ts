import { describe, expect, test } from 'vitest'
import { assemble } from '../../replay/assembly.ts'
import { stateDigest } from '../../replay/state-digest.ts'
import { changelogTopic } from '../../replay/task-changelog.ts'
import { type CommitStep, commitSteps } from '../../state/commit/commit-protocol.ts'
import { embeddedRegistry, memoryJournal } from '../../state/contracts/embedded-registry.ts'
import type { LogWriter } from '../../state/log/log.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { count, event, featureView, forever, sum, topology } from '../../topology/index.ts'

const visit = event(
  'visit',
  { visitor: 'int', spent: 'double', at: 'timestamp' },
  { key: 'visitor', time: 'at' },
)
const visitor = featureView('visitor', {
  entity: 'visitor',
  owner: 'tests',
  description: 'visits of a visitor',
  features: { visits: count(visit, { over: forever }), spent: sum(visit, 'spent', { over: forever }) },
})
const visits = topology('visits', { events: [visit], features: [visitor], partitions: 1 })

/** A log with an application on it, whose processes come and go. */
async function cluster() {
  const log = openMemoryLog()
  const registry = await embeddedRegistry(memoryJournal())
  return { log, registry }
}

type Cluster = Awaited<ReturnType<typeof cluster>>

/** A process that is gone as soon as it reaches the step: nothing that it had begun takes place. */
class Death {
  readonly reached: Promise<void>
  readonly #step: CommitStep | 'never'
  #left: number
  #isDead = false
  #die: () => void = () => {}

  constructor(step: CommitStep | 'never', times = 1) {
    this.#step = step
    this.#left = times
    this.reached = new Promise((resolve) => {
      this.#die = resolve
    })
  }

  readonly onStep = (step: CommitStep): void => {
    if (step !== this.#step || --this.#left > 0) return
    this.#isDead = true
    this.#die()
  }

  #unlessDead<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    return this.#isDead ? new Promise(() => {}) : Promise.resolve(work())
  }

  database(database: Database): Database {
    return {
      getMany: (space, keys) => database.getMany(space, keys),
      scan: (space, range) => database.scan(space, range),
      clear: (space) => database.clear(space),
      close: () => database.close(),
      write: (batch) => this.#unlessDead(() => database.write(batch)),
    }
  }

  writer(writer: LogWriter): LogWriter {
    return {
      sink: writer.sink,
      beside: () => this.writer(writer.beside()),
      close: () => writer.close(),
      commit: (consumed) => this.#unlessDead(() => writer.commit(consumed)),
    }
  }
}

async function start({ log, registry }: Cluster, database: Database, death = new Death('never')) {
  const notices: string[] = []
  const kept = death.database(database)
  const assembly = await assemble({
    declaration: visits,
    log,
    registry,
    writer: death.writer(await log.writer('engine')),
    database: kept,
    task: { batchRecords: 10, checkpointEvents: 25 },
    changelog: { now: () => 0, onNotice: (text) => notices.push(text) },
    onStep: death.onStep,
  })
  const recovered = await assembly.recover()
  return {
    assembly,
    recovered,
    notices,
    async work() {
      while ((await assembly.task.step()) !== undefined) await new Promise((turn) => setImmediate(turn))
    },
    async digest() {
      await assembly.task.checkpoint()
      return stateDigest(kept, assembly)
    },
  }
}

async function append({ log, registry }: Cluster, from: number, to: number): Promise<void> {
  const { events } = await assemble({
    declaration: visits,
    log,
    registry,
    writer: await log.writer('nobody'),
    database: memoryDatabase(),
  })
  const bound = events.get('visit')!
  const writer = await log.writer('door')
  for (let index = from; index < to; index++) {
    const value = { visitor: (index * 7) % 11, spent: index / 3, at: 1_700_000_000_000 + index }
    const out = writer.sink.begin('visit', 0, value.at)
    bound.writeKey(value, out)
    writer.sink.beginValue()
    bound.writeValue(value, out)
    writer.sink.end()
  }
  await writer.commit()
}

/** What the inputs alone give. */
async function foldedAnew({ log, registry }: Cluster): Promise<string> {
  const database = memoryDatabase()
  const writer = await log.writer('nobody')
  const assembly = await assemble({ declaration: visits, log, registry, writer, database })
  await assembly.recover()
  await assembly.task.checkpoint()
  return stateDigest(database, assembly)
}

describe('a process that is killed', () => {
  const cases = commitSteps.flatMap((step) => [1, 2, 3].map((times) => ({ step, times })))
  test.each(cases)(
    'at $step, time $times, goes on with its disk or without it, to the same state',
    async ({ step, times }) => {
      const shared = await cluster()
      const disk = memoryDatabase()
      await append(shared, 0, 200)
      const death = new Death(step, times)
      const first = await start(shared, disk, death)
      await Promise.race([first.work(), death.reached])

      const second = await start(shared, disk)
      await append(shared, 200, 260)
      await second.work()
      const digest = await second.digest()
      expect(digest).toBe(await foldedAnew(shared))

      const third = await start(shared, memoryDatabase())
      expect(third.recovered).toMatchObject({ records: 0, restore: { secondsLeft: 0 } })
      expect(await third.digest()).toBe(digest)
    },
  )
})

test('the gap behind the changelog is followed, and where the disk is newer the disk is taken', async () => {
  const shared = await cluster()
  const disk = memoryDatabase()
  await append(shared, 0, 50)
  const first = await start(shared, disk)
  await first.work()
  await first.assembly.task.checkpoint()
  await append(shared, 50, 70)
  await first.work()

  const lost = await start(shared, memoryDatabase())
  expect([lost.recovered.records, lost.recovered.restore !== undefined]).toEqual([20, true])
  const digest = await lost.digest()
  const kept = await start(shared, disk)
  expect([kept.recovered.records, kept.recovered.restore]).toEqual([20, undefined])
  expect(await kept.digest()).toBe(digest)
})

test('a disk that is ahead of the log is rolled back to the changelog and goes on from there', async () => {
  const [lost, other] = [await cluster(), await cluster()]
  const disk = memoryDatabase()
  for (const [shared, records, database] of [
    [lost, 30, memoryDatabase()],
    [other, 80, disk],
  ] as const) {
    await append(shared, 0, records)
    const process = await start(shared, database)
    await process.work()
    await process.assembly.task.checkpoint()
  }
  const back = await start(lost, disk)
  expect(back.notices).toEqual([
    'the local state is ahead of the log and was dropped: it stands at commit 8 and offsets 80, the log at commit 3 with inputs 0..30',
  ])
  expect(back.recovered.restore).toBeDefined()
  expect(back.assembly.task.position).toEqual({ sequence: 3, offsets: [30] })
  expect(await back.digest()).toBe(await foldedAnew(lost))
})

test('topics that were deleted and made anew start a new state, whatever disk and changelog hold', async () => {
  const shared = await cluster()
  const disk = memoryDatabase()
  await append(shared, 0, 40)
  const first = await start(shared, disk)
  await first.work()
  await first.assembly.task.checkpoint()
  for (const topic of ['visit', 'visits-commits']) await shared.log.deleteTopic(topic)
  await append(shared, 0, 5)

  const anew = await start(shared, disk)
  expect(anew.assembly.task.position).toEqual({ sequence: 0, offsets: [0] })
  expect(anew.notices.at(-1)).toBe(
    'the changelog stands at commit 4 and offsets 40, which the log does not have: the state is folded from the inputs, and the changelog written anew',
  )
  await anew.work()
  const digest = await anew.digest()
  expect(digest).toBe(await foldedAnew(shared))
  const restored = await start(shared, memoryDatabase())
  expect(restored.recovered).toMatchObject({ records: 0, restore: { secondsLeft: 0 } })
  expect(await restored.digest()).toBe(digest)
})

test('a topic of the name that drops records instead of compacting them is refused', async () => {
  const shared = await cluster()
  await shared.log.createTopic({ ...changelogTopic('visits'), compacted: false })
  await expect(start(shared, memoryDatabase())).rejects.toMatchObject({
    code: 'topic-mismatch',
    context: { topic: 'visits-changelog', what: 'compacted', found: 'false', expected: 'true' },
  })
})
