import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Changelog } from '../../../state/commit/changelog.ts'
import { collectCheckpoint, readCheckpoint } from '../../../state/commit/checkpoint.ts'
import type { Log, LogWriter } from '../../../state/log/log.ts'
import { openMemoryLog } from '../../../state/log/memory/memory-log.ts'
import type { Database } from '../../../state/store/database.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import { orderedStore } from '../../../state/store/ordered-store.ts'
import type { OrderedStore } from '../../../state/store/state-store.ts'
import { CompactingLog } from '../../support/compacting-log.ts'

const place = { topic: 'app-changelog', partition: 0 }
const task = 'app-0'

/** One commit of the log: what it puts (a size in bytes) and what it deletes. */
type Change = readonly [key: number, bytes: number | undefined]
type Commit = readonly Change[]

type State = readonly (readonly [key: number, value: string])[]

/** What a process that was never interrupted has after so many commits. */
function fold(commits: readonly Commit[]): State {
  const state = new Map<number, string>()
  for (const [sequence, commit] of commits.entries()) {
    for (const [key, bytes] of commit) {
      if (bytes === undefined) state.delete(key)
      else state.set(key, valueAt(sequence, bytes))
    }
  }
  return [...state].sort(([left], [right]) => left - right)
}

const valueAt = (sequence: number, bytes: number): string => `${sequence}`.padEnd(bytes, '.')

class Killed extends Error {}

/** What all processes share: the commits, the changelog and its compaction. */
class World {
  readonly memory = openMemoryLog()
  readonly log = new CompactingLog(this.memory, place.topic)
  commits: Commit[] = []
  /** Oldest record of the input, which has one a commit. */
  inputStart = 0
  notices: string[] = []

  static async open(): Promise<World> {
    const world = new World()
    await world.log.createTopic({ name: place.topic, partitions: 1, compacted: true })
    return world
  }
}

/** A process over one local database: as a task drives its changelog. */
class Process {
  readonly #world: World
  readonly database: Database
  readonly changelog: Changelog
  readonly store: OrderedStore<string> = orderedStore('values')
  readonly #layout: string
  sequence = 0
  /** Commits and writes that it may still make before it dies. */
  lifeLeft = Number.POSITIVE_INFINITY

  private constructor(world: World, database: Database, writer: LogWriter, layout: string, log: Log) {
    this.#world = world
    this.database = this.#mortalDatabase(database)
    this.#layout = layout
    this.changelog = new Changelog({
      task,
      place,
      log,
      writer: this.#mortalWriter(writer),
      database: this.database,
      stores: ['values'],
      layout,
      committed: async () => ({
        nextSequence: world.commits.length,
        inputs: [{ start: BigInt(world.inputStart), end: BigInt(world.commits.length) }],
      }),
      now: () => 0,
      elapsedMs: () => 0,
      onNotice: (text) => world.notices.push(text),
    })
  }

  static async open(
    world: World,
    database: Database,
    { leads = true, layout = 'layout', from = 0 } = {},
  ): Promise<Process> {
    const writer = await world.log.writer(leads ? 'engine' : `standby`)
    const opened = new Process(world, database, writer, layout, world.log)
    const checkpoint = await opened.changelog.prepare(await readCheckpoint(opened.database, task))
    await opened.store.restore(opened.database)
    opened.sequence = checkpoint?.position.sequence ?? from
    if (leads) await opened.changelog.lead()
    return opened
  }

  follow(upTo = this.#world.commits.length): void {
    for (; this.sequence < upTo; this.sequence++) {
      for (const [key, bytes] of this.#world.commits[this.sequence]!) {
        if (bytes === undefined) this.store.delete([key])
        else this.store.put([key], valueAt(this.sequence, bytes))
      }
    }
  }

  async checkpoint(): Promise<void> {
    const position = { sequence: this.sequence, offsets: [this.sequence] }
    const at = { position, streamTimeMs: 0, layout: this.#layout }
    const writes = collectCheckpoint(task, at, [this.store])
    await this.changelog.keep(this.sequence, writes)
    await this.database.write(writes)
  }

  get state(): State {
    return [...this.store.range()].map(([[key], value]) => [key as number, value])
  }

  #live(): void {
    if (this.lifeLeft-- <= 0) throw new Killed()
  }

  #mortalDatabase(database: Database): Database {
    return {
      getMany: (space, keys) => database.getMany(space, keys),
      scan: (space, range) => database.scan(space, range),
      clear: (space) => database.clear(space),
      close: () => database.close(),
      write: async (batch) => {
        this.#live()
        await database.write(batch)
      },
    }
  }

  #mortalWriter(writer: LogWriter): LogWriter {
    return {
      sink: writer.sink,
      close: () => writer.close(),
      beside: () => this.#mortalWriter(writer.beside()),
      commit: (consumed) => {
        if (writer.sink.count > 0) this.#live()
        return writer.commit(consumed)
      },
    }
  }
}

/** The local database with everything in it, to compare after a restore. */
async function contents(database: Database): Promise<readonly string[]> {
  const found: string[] = []
  for await (const chunk of database.scan('values')) {
    for (const { key, value } of chunk) {
      found.push(`${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`)
    }
  }
  return found
}

test('a database that is gone comes back at the last checkpoint, byte by byte, with progress', async () => {
  const world = await World.open()
  const lost = memoryDatabase()
  const first = await Process.open(world, lost)
  world.commits.push(
    [
      [1, 3],
      [2, 200_000],
    ],
    [[3, 65_536]],
    [
      [1, undefined],
      [3, 10],
    ],
  )
  first.follow(2)
  await first.checkpoint()
  first.follow()
  await first.checkpoint()
  world.commits.push([[4, 4]])

  const fresh = memoryDatabase()
  const second = await Process.open(world, fresh)
  expect(second.sequence).toBe(3)
  expect(await contents(fresh)).toEqual(await contents(lost))
  expect(second.state).toEqual(fold(world.commits.slice(0, 3)))
  expect(second.changelog.restored).toMatchObject({
    records: 13,
    of: 13,
    recordsPerSecond: 0,
    secondsLeft: 0,
  })
  expect(second.changelog.restored!.bytes).toBe(first.changelog.tally.bytes)
  expect(first.changelog.tally).toMatchObject({ checkpoints: 2, records: 13 })
})

test('compaction that ends between the parts of a long value leaves the later value whole', async () => {
  const world = await World.open()
  const first = await Process.open(world, memoryDatabase())
  world.commits.push([[1, 200_000]], [[1, 200_000]])
  for (const upTo of [1, 2]) {
    first.follow(upTo)
    await first.checkpoint()
  }
  // Twice four parts, the value's own record and the position: of the older value, two parts are gone.
  await world.log.compact(8 / 12)
  const restored = await Process.open(world, memoryDatabase())
  expect([restored.sequence, restored.state]).toEqual([2, fold(world.commits)])
})

test('state of commits that are not on the log is dropped, and that of the changelog taken', async () => {
  const world = await World.open()
  const ahead = memoryDatabase()
  world.commits.push([[1, 1]], [[2, 2]], [[3, 3]])
  const first = await Process.open(world, memoryDatabase())
  first.follow(2)
  await first.checkpoint()
  const standby = await Process.open(world, ahead, { leads: false })
  standby.follow(3)
  await standby.checkpoint()
  world.commits.pop()

  const second = await Process.open(world, ahead)
  expect(second.sequence).toBe(2)
  expect(second.state).toEqual(fold(world.commits))
  expect(world.notices).toEqual([
    'the local state is ahead of the log and was dropped: it stands at commit 3 and offsets 3, the log at commit 2 with inputs 0..2',
  ])
})

test('a changelog that is ahead of the log is not used, and written anew', async () => {
  const world = await World.open()
  world.commits.push(
    [
      [1, 1],
      [2, 2],
    ],
    [[3, 3]],
  )
  const first = await Process.open(world, memoryDatabase())
  first.follow()
  await first.checkpoint()
  world.commits = [[[1, 9]]]

  const second = await Process.open(world, memoryDatabase())
  expect(second.sequence).toBe(0)
  second.follow()
  await second.checkpoint()
  const third = await Process.open(world, memoryDatabase())
  expect([third.sequence, third.state]).toEqual([1, fold(world.commits)])
})

test('state of another layout is folded anew, and the changelog with it', async () => {
  const world = await World.open()
  const database = memoryDatabase()
  world.commits.push(
    [
      [1, 1],
      [2, 2],
    ],
    [[3, 3]],
  )
  const first = await Process.open(world, database)
  first.follow()
  await first.checkpoint()

  const second = await Process.open(world, database, { layout: 'other' })
  expect([second.sequence, second.state]).toEqual([0, []])
  second.follow(1)
  await second.checkpoint()
  const third = await Process.open(world, memoryDatabase(), { layout: 'other' })
  expect([third.sequence, third.state]).toEqual([1, fold(world.commits.slice(0, 1))])
})

test('state from before there was a changelog is put on it as a whole', async () => {
  const world = await World.open()
  const database = memoryDatabase()
  world.commits.push(
    [
      [1, 1],
      [2, 2],
    ],
    [[3, 3]],
  )
  const store = orderedStore<string>('values')
  store.put([1], valueAt(0, 1))
  store.put([2], valueAt(0, 2))
  const at = { position: { sequence: 1, offsets: [1] }, streamTimeMs: 0, layout: 'layout' }
  await database.write(collectCheckpoint(task, at, [store]))

  const first = await Process.open(world, database)
  first.follow()
  await first.checkpoint()
  const second = await Process.open(world, memoryDatabase())
  expect([second.sequence, second.state]).toEqual([2, fold(world.commits)])
})

test('a standby that takes over puts on the changelog what it had folded by itself', async () => {
  const world = await World.open()
  const active = await Process.open(world, memoryDatabase())
  const held = memoryDatabase()
  const standby = await Process.open(world, held, { leads: false })
  world.commits.push(
    [
      [1, 1],
      [2, 2],
      [3, 3],
    ],
    [
      [1, undefined],
      [4, 4],
    ],
    [[2, 9]],
  )
  active.follow(1)
  await active.checkpoint()
  standby.follow(1)
  await standby.checkpoint()
  standby.follow(2)
  await standby.checkpoint()
  standby.follow(3)
  await standby.checkpoint()
  const taken = await Process.open(world, held)
  expect(taken.sequence).toBe(3)
  world.commits.push([[7, 7]])
  taken.follow()
  await taken.checkpoint()
  // Key 3 was on it before and has not changed since.
  expect(taken.changelog.tally).toMatchObject({ checkpoints: 1, records: 5 })
  const third = await Process.open(world, memoryDatabase())
  expect([third.sequence, third.state]).toEqual([4, fold(world.commits)])
})

test('what somebody without a changelog has folded into the local state is put on it', async () => {
  const world = await World.open()
  const database = memoryDatabase()
  world.commits.push([[1, 1]], [[2, 2]], [[3, 3]])
  const first = await Process.open(world, database)
  first.follow(1)
  await first.checkpoint()
  first.follow(2)
  const at = { position: { sequence: 2, offsets: [2] }, streamTimeMs: 0, layout: 'layout' }
  await database.write(collectCheckpoint(task, at, [first.store]))

  const second = await Process.open(world, database)
  second.follow()
  await second.checkpoint()
  const restored = await Process.open(world, memoryDatabase())
  expect([restored.sequence, restored.state]).toEqual([3, fold(world.commits)])
})

test('a rewriting that was cut short is no state, and is done again', async () => {
  const world = await World.open()
  world.commits.push(
    [
      [1, 1],
      [2, 2],
    ],
    [[3, 3]],
  )
  const first = await Process.open(world, memoryDatabase())
  first.follow()
  await first.checkpoint()
  const other = await Process.open(world, memoryDatabase(), { layout: 'other' })
  other.follow(1)
  // The tombstones of what is there are one commit, what replaces it the next.
  other.lifeLeft = 1
  await expect(other.checkpoint()).rejects.toThrow(Killed)

  for (const layout of ['layout', 'other']) {
    const torn = await Process.open(world, memoryDatabase(), { layout, leads: false })
    expect([torn.sequence, torn.state]).toEqual([0, []])
  }
  const again = await Process.open(world, memoryDatabase(), { layout: 'other' })
  again.follow()
  await again.checkpoint()
  const restored = await Process.open(world, memoryDatabase(), { layout: 'other' })
  expect([restored.sequence, restored.state]).toEqual([2, fold(world.commits)])
})

test('a changelog that lost what it held is written anew from the local state', async () => {
  const world = await World.open()
  world.commits.push([[1, 1]], [[2, 2]], [[3, 3]])
  const database = memoryDatabase()
  const first = await Process.open(world, database)
  first.follow(2)
  await first.checkpoint()
  await world.log.deleteTopic(place.topic)
  await world.log.createTopic({ name: place.topic, partitions: 1, compacted: true })
  const elsewhere = await Process.open(world, memoryDatabase())
  elsewhere.follow(1)
  await elsewhere.checkpoint()

  const back = await Process.open(world, database)
  back.follow()
  await back.checkpoint()
  const restored = await Process.open(world, memoryDatabase())
  expect([restored.sequence, restored.state]).toEqual([3, fold(world.commits)])
})

test('local state whose next records have left the log gives way to a changelog that has them in it', async () => {
  const world = await World.open()
  world.commits.push([[1, 1]], [[2, 2]], [[3, 3]])
  const old = memoryDatabase()
  const first = await Process.open(world, old)
  first.follow(1)
  await first.checkpoint()
  const elsewhere = await Process.open(world, memoryDatabase())
  elsewhere.follow(3)
  await elsewhere.checkpoint()

  world.inputStart = 1
  expect((await Process.open(world, old, { leads: false })).sequence).toBe(1)
  world.inputStart = 2
  const restored = await Process.open(world, old)
  expect([restored.sequence, restored.state]).toEqual([3, fold(world.commits)])
  expect(world.notices).toEqual([
    'the local state is cut off from the log and was dropped: it stands at commit 1 and offsets 1, the log at commit 3 with inputs 2..3',
  ])
  // Where the changelog does not help, the local state stays.
  await world.log.deleteTopic(place.topic)
  await world.log.createTopic({ name: place.topic, partitions: 1, compacted: true })
  const kept = memoryDatabase()
  const behind = await Process.open(world, kept, { leads: false })
  behind.follow(1)
  await behind.checkpoint()
  expect((await Process.open(world, kept, { leads: false })).sequence).toBe(1)
})

type Step =
  | { readonly do: 'commit'; readonly changes: Commit }
  | { readonly do: 'checkpoint'; readonly who: 0 | 1; readonly life: number }
  | { readonly do: 'follow'; readonly who: 0 | 1; readonly count: number }
  | { readonly do: 'restart'; readonly who: 0 | 1; readonly isLost: boolean; readonly life: number }
  | { readonly do: 'take over' }
  | { readonly do: 'compact'; readonly share: number }

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      changes: fc.array(
        fc.tuple(
          fc.nat(4),
          fc.oneof(
            { weight: 5, arbitrary: fc.nat(20) },
            { weight: 3, arbitrary: fc.constant(undefined) },
            { weight: 3, arbitrary: fc.constantFrom(70_000, 140_000, 200_000) },
          ),
        ),
        { maxLength: 4 },
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('checkpoint' as const),
      who: fc.constantFrom(0 as const, 1 as const),
      life: fc.constantFrom(0, 1, 2, 3, 5, 99),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('follow' as const),
      who: fc.constantFrom(0 as const, 1 as const),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('restart' as const),
      who: fc.constantFrom(0 as const, 1 as const),
      isLost: fc.boolean(),
      life: fc.constantFrom(0, 1, 99, 99),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'take over' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('compact' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
)

test('whatever is killed, lost, taken over and compacted, a restore is the fold up to a commit on the log', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 40 }), async (sequence) => {
      const world = await World.open()
      const databases = [memoryDatabase(), memoryDatabase()]
      let leader: 0 | 1 = 0
      const open = async (who: 0 | 1) => {
        const process = await Process.open(world, databases[who]!, { leads: who === leader })
        expect(process.state).toEqual(fold(world.commits.slice(0, process.sequence)))
        return process
      }
      const processes = [await open(0), await open(1)]
      const revive = async (who: 0 | 1, work: (process: Process) => Promise<void>) => {
        try {
          await work(processes[who]!)
        } catch (error) {
          if (!(error instanceof Killed)) throw error
          processes[who] = await open(who)
        }
        processes[who]!.lifeLeft = Number.POSITIVE_INFINITY
      }
      for (const step of sequence) {
        if (step.do === 'commit') world.commits.push(step.changes)
        else if (step.do === 'compact') await world.log.compact(step.share)
        else if (step.do === 'follow') {
          const process = processes[step.who]!
          process.follow(Math.min(world.commits.length, process.sequence + step.count))
        } else if (step.do === 'checkpoint') {
          await revive(step.who, async (process) => {
            process.lifeLeft = step.life
            await process.checkpoint()
          })
        } else if (step.do === 'restart') {
          if (step.isLost) databases[step.who] = memoryDatabase()
          processes[step.who] = await open(step.who)
        } else {
          leader = leader === 0 ? 1 : 0
          processes[0] = await open(0)
          processes[1] = await open(1)
        }
        const restored = await Process.open(world, memoryDatabase(), { leads: false })
        expect(restored.state).toEqual(fold(world.commits.slice(0, restored.sequence)))
      }
      // The changelog is of use: a checkpoint of the leader is where a restore stands.
      const last = processes[leader]!
      last.follow()
      await last.checkpoint()
      const restored = await Process.open(world, memoryDatabase(), { leads: false })
      expect(restored.sequence).toBe(world.commits.length)
      expect(restored.state).toEqual(fold(world.commits))
    }),
    { numRuns: 300 },
  )
})
