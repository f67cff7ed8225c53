import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DurationMs, TimestampMs } from '../contracts/units.ts'
import type { Log, LogWriter } from '../log/log.ts'
import type { Database, DatabaseWrite } from '../store/database.ts'
import { ChangelogCoverage } from './changelog-coverage.ts'
import { ChangelogEncoder, type ChangelogPlace, changelogKey } from './changelog-record.ts'
import {
  type ChangelogEnd,
  changelogEnd,
  type RestoreProgress,
  restoreChangelog,
} from './changelog-restore.ts'
import { type Checkpoint, dropCheckpoint } from './checkpoint.ts'
import { type CommittedLog, standingOf } from './log-standing.ts'

export interface ChangelogSpec {
  readonly task: string
  readonly place: ChangelogPlace
  readonly log: Log
  /** The task's own: whoever may not commit may not write the changelog either. */
  readonly writer: LogWriter
  readonly database: Database
  /** Names of the state's stores, and of what they are a fold. */
  readonly stores: readonly string[]
  readonly layout: string
  /** Looks at the task's commits and inputs as they are now. */
  readonly committed: () => Promise<CommittedLog>
  /** Wall clock: the records' times, by which brokers close segments. */
  readonly now: () => TimestampMs
  /** A clock that only goes forward, ms. */
  readonly elapsedMs: () => DurationMs
  readonly onRestore?: (progress: RestoreProgress) => void
  /** Told why local state was not used. */
  readonly onNotice?: (text: string) => void
}

/** Records, and bytes of keys and values, put on the changelog since the start. */
export interface ChangelogTally {
  checkpoints: number
  records: number
  bytes: number
}

/** Of a commit that is one of several. */
const commitBytes = 4 << 20
/** Some µs each: others get their turn between. */
const writesPerTurn = 1_000

/**
 * The checkpoints of a task as records on a compacted topic: what the state
 * is restored from when the local database is gone or may not be used. The
 * commits behind it are followed as behind any checkpoint.
 *
 * A checkpoint is one commit of the task's writer, its position the last
 * record, so a reader sees it whole or not at all, also after compaction. It
 * is appended before the local database has it, and holds all that the
 * changelog may lack: what has changed since the checkpoint that the
 * database's state came from, or, where that is not known, all of the state.
 */
export class Changelog {
  readonly tally: ChangelogTally = { checkpoints: 0, records: 0, bytes: 0 }
  /** The last progress of the restore; undefined where there was none. */
  restored: RestoreProgress | undefined
  readonly #spec: ChangelogSpec
  readonly #coverage: ChangelogCoverage
  #writer: LogWriter | undefined
  /** Sequence of the last checkpoint on it; undefined: it holds no state that could be added to. */
  #kept: number | undefined

  constructor(spec: ChangelogSpec) {
    this.#spec = spec
    this.#coverage = new ChangelogCoverage(spec.database)
  }

  /**
   * Gives the checkpoint to start from: the local one if the log goes on from
   * it, else the one of the changelog, which is restored; undefined where
   * neither can be used, and the database is empty then.
   */
  async prepare(local: Checkpoint | undefined): Promise<Checkpoint | undefined> {
    const { layout, committed, onNotice = () => {} } = this.#spec
    const log = await committed()
    const standing = local?.layout === layout ? standingOf(local.position, log) : undefined
    if (local !== undefined && standing === 'on') {
      await this.#coverage.load(local.position.sequence)
      return local
    }
    const end = await this.#end()
    const kept = end.kind === 'whole' && end.checkpoint.layout === layout ? end.checkpoint : undefined
    const keptStanding = kept && standingOf(kept.position, log)
    if (local !== undefined && standing === 'cut off' && keptStanding !== 'on') {
      await this.#coverage.load(local.position.sequence)
      return local
    }
    if (local !== undefined && standing !== undefined) {
      onNotice(rolledBack(local, standing, log))
    }
    await this.#wipe(local)
    if (kept === undefined || keptStanding === 'ahead') {
      if (end.kind !== 'empty') onNotice(unusable(end, layout))
      await this.#coverage.begin(0)
      return undefined
    }
    return await this.#restore()
  }

  /**
   * To be called when the writer is this process's own: from here on its
   * checkpoints are put on the changelog.
   */
  async lead(): Promise<void> {
    const { writer, layout, committed } = this.#spec
    const end = await this.#end()
    const { covered } = this.#coverage
    this.#kept = undefined
    if (end.kind === 'empty' && covered === 0) this.#kept = 0
    if (end.kind === 'whole' && end.checkpoint.layout === layout && covered !== undefined) {
      const { position } = end.checkpoint
      const isOnLog = standingOf(position, await committed()) !== 'ahead'
      if (isOnLog && covered <= position.sequence) this.#kept = position.sequence
    }
    this.#writer = writer.beside()
  }

  /**
   * Puts a checkpoint on the changelog, its position the last of the writes,
   * and adds to the writes what the database is to know about that. The
   * commit on which it stands has to be durable. False where this process may
   * not write, or the changelog is further on already: then it is for a later
   * checkpoint to hold the same.
   */
  async keep(sequence: number, writes: DatabaseWrite[]): Promise<boolean> {
    if (this.#writer === undefined) {
      const end = await this.#end()
      const isSame = end.kind === 'whole' && end.checkpoint.layout === this.#spec.layout
      writes.push(...this.#coverage.note(sequence, writes, isSame ? end.checkpoint.position.sequence : -1))
      return false
    }
    if (this.#kept !== undefined && sequence < this.#kept) {
      writes.push(...this.#coverage.note(sequence, writes, this.#kept))
      return false
    }
    if (this.#kept === undefined) await this.#rewrite(this.#writer)
    await this.#append(this.#writer, writes)
    this.#kept = sequence
    this.tally.checkpoints++
    writes.push(...this.#coverage.settled(sequence))
    return true
  }

  async #append(writer: LogWriter, writes: readonly DatabaseWrite[]): Promise<void> {
    if (this.#coverage.isPending) {
      const known = new Set<string>()
      for (const { space, key } of writes) known.add(changelogKey(space, key).toString('latin1'))
      await this.#put(writer, await this.#coverage.pendingWrites(known))
    }
    await this.#put(writer, writes)
    await this.#commit(writer)
  }

  /**
   * Replaces what is on the changelog by what is in the database, in many
   * commits. From the first of them on its last record is no position, until
   * the checkpoint that follows puts one behind it all.
   */
  async #rewrite(writer: LogWriter): Promise<void> {
    const { log, place, database, stores, now } = this.#spec
    const { start, end } = await log.offsets(place.topic, place.partition)
    const encoder = new ChangelogEncoder(writer.sink, place)
    for (let offset = start; offset < end; ) {
      const batch = await log.read({ ...place, offset, maxBytes: commitBytes })
      for (let index = 0; index < batch.count; index++) {
        if (batch.valueStart[index]! < 0) continue
        const key = batch.bytes.subarray(batch.keyStart[index], batch.keyEnd[index])
        encoder.bury(key, now())
      }
      await this.#commit(writer)
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
    for (const space of stores) {
      for await (const chunk of database.scan(space)) {
        await this.#put(
          writer,
          chunk.map(({ key, value }) => ({ space, key, value })),
        )
        if (writer.sink.sizeBytes >= commitBytes) await this.#commit(writer)
      }
    }
    await this.#commit(writer)
  }

  async #put(writer: LogWriter, writes: readonly DatabaseWrite[]): Promise<void> {
    const atMs = this.#spec.now()
    const encoder = new ChangelogEncoder(writer.sink, this.#spec.place)
    for (const [index, write] of writes.entries()) {
      encoder.put(write, atMs)
      if (index % writesPerTurn === writesPerTurn - 1) await nextTurn()
    }
  }

  async #commit(writer: LogWriter): Promise<void> {
    this.tally.records += writer.sink.count
    this.tally.bytes += writer.sink.sizeBytes
    const ticket = await writer.commit()
    await ticket.durable
  }

  async #restore(): Promise<Checkpoint | undefined> {
    const { log, place, task, layout, elapsedMs, database } = this.#spec
    const { onRestore = () => {}, onNotice = () => {} } = this.#spec
    const source = {
      log,
      place,
      task,
      elapsedMs,
      onProgress: (progress: RestoreProgress) => {
        this.restored = progress
        onRestore(progress)
      },
    }
    const found = await restoreChangelog(source, database, ({ position }) =>
      this.#coverage.begin(position.sequence),
    )
    if (found !== undefined) {
      this.restored = found.progress
      return found.checkpoint
    }
    onNotice(unusable({ kind: 'torn' }, layout))
    await this.#wipe(undefined)
    await this.#coverage.begin(0)
    return undefined
  }

  async #wipe(local: Checkpoint | undefined): Promise<void> {
    const { database, task, stores } = this.#spec
    await dropCheckpoint(database, task, [...new Set([...stores, ...(local?.stores ?? [])])])
  }

  #end(): Promise<ChangelogEnd> {
    const { log, place, task } = this.#spec
    return changelogEnd(log, place, task)
  }
}

function rolledBack({ position }: Checkpoint, standing: string, log: CommittedLog): string {
  const ends = log.inputs.map(({ start, end }) => `${start}..${end}`).join(', ')
  const found = `it stands at commit ${position.sequence} and offsets ${position.offsets.join(', ')}, the log at commit ${log.nextSequence ?? '?'} with inputs ${ends}`
  return `the local state is ${standing === 'ahead' ? 'ahead of' : 'cut off from'} the log and was dropped: ${found}`
}

function unusable(end: ChangelogEnd, layout: string): string {
  const found =
    end.kind !== 'whole'
      ? 'holds no whole state'
      : end.checkpoint.layout === layout
        ? `stands at commit ${end.checkpoint.position.sequence} and offsets ${end.checkpoint.position.offsets.join(', ')}, which the log does not have`
        : 'is of another declaration'
  return `the changelog ${found}: the state is folded from the inputs, and the changelog written anew`
}
