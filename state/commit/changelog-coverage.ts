import { ByteWriter } from '../contracts/byte-writer.ts'
import type { Database, DatabaseWrite } from '../store/database.ts'
import { changelogKey, splitChangelogKey } from './changelog-record.ts'

const space = '__changelog'
/** Of more, all of the state is written anew rather than remembered what of it has changed. */
const mostPendingKeys = 1_000_000
const coveredKey = Buffer.from('covered')

interface PendingCheckpoint {
  readonly sequence: number
  readonly keys: number
  /** Of its note. */
  readonly key: Buffer
}

/**
 * What of the local database the changelog may lack. A standby writes
 * checkpoints that it may not put on the changelog; it notes their keys, so
 * that it can catch up when it becomes the one that writes. The notes lie in
 * the database, in the batch of their checkpoint.
 *
 * Every key that was written since the checkpoint `covered` is in one of the
 * notes. Undefined: nothing is known, and the whole state has to be written.
 * So it is when somebody without a changelog has written a checkpoint, such
 * as a rebuild that brings the state up first.
 */
export class ChangelogCoverage {
  readonly #database: Database
  #covered: number | undefined
  #pending: PendingCheckpoint[] = []

  constructor(database: Database) {
    this.#database = database
  }

  get covered(): number | undefined {
    return this.#covered
  }

  /** Whether the database has checkpoints that are not on the changelog. */
  get isPending(): boolean {
    return this.#pending.length > 0
  }

  /** Of the database whose checkpoint has this sequence. */
  async load(checkpoint: number): Promise<void> {
    this.#covered = undefined
    this.#pending = []
    let writtenWith: number | undefined
    for await (const chunk of this.#database.scan(space)) {
      for (const { key, value } of chunk) {
        const bytes = Buffer.from(value)
        if (coveredKey.equals(key)) {
          this.#covered = bytes.readDoubleLE(0)
          writtenWith = bytes.readDoubleLE(8)
        } else {
          const note = Buffer.from(key)
          this.#pending.push({ sequence: sequenceOf(note), keys: bytes.readUInt32BE(0), key: note })
        }
      }
    }
    if (writtenWith !== checkpoint) this.#covered = undefined
  }

  /** Of an empty database, or of one that was restored up to there. Returns what is to be written with its position. */
  async begin(sequence: number): Promise<DatabaseWrite> {
    await this.#database.clear(space)
    this.#pending = []
    return this.#cover(sequence, sequence)
  }

  /** Of a checkpoint that the changelog holds, with all that was pending. */
  settled(sequence: number): DatabaseWrite[] {
    const forgotten = this.#pending.map(({ key }) => ({ space, key }))
    this.#pending = []
    return [...forgotten, this.#cover(sequence, sequence)]
  }

  /** Of a checkpoint that is in the database alone, while the changelog stands at `kept`. */
  note(sequence: number, writes: readonly DatabaseWrite[], kept: number): DatabaseWrite[] {
    const covered = this.#pending.filter((each) => each.sequence <= kept)
    this.#pending = this.#pending.filter((each) => each.sequence > kept)
    const notes: DatabaseWrite[] = covered.map(({ key }) => ({ space, key }))
    if (this.#covered === undefined) return notes
    const upTo = sequence <= kept ? sequence : covered.at(-1)?.sequence
    notes.push(this.#cover(Math.max(this.#covered, upTo ?? 0), sequence))
    if (sequence <= kept) return notes
    const keys = writes.map((write) => changelogKey(write.space, write.key))
    const last = this.#pending.at(-1)?.key
    const note = keyOf(sequence, last === undefined ? 0 : numberOf(last) + 1)
    this.#pending.push({ sequence, keys: keys.length, key: note })
    if (this.#pending.reduce((sum, each) => sum + each.keys, 0) > mostPendingKeys) return this.#forget()
    const out = new ByteWriter(keys.length * 32)
    out.uint32(keys.length)
    for (const key of keys) {
      out.uint32(key.length)
      out.raw(key)
    }
    notes.push({ space, key: note, value: out.take() })
    return notes
  }

  /** The values, as the database has them, of all keys that are pending; of those in `but` they are known better. */
  async pendingWrites(but: ReadonlySet<string>): Promise<DatabaseWrite[]> {
    const bySpace = new Map<string, Map<string, Buffer>>()
    for await (const chunk of this.#database.scan(space)) {
      for (const { key: note, value } of chunk) {
        if (coveredKey.equals(note)) continue
        for (const whole of keysIn(Buffer.from(value))) {
          if (but.has(whole.toString('latin1'))) continue
          const { space: owner, key } = splitChangelogKey(whole)
          const keys = bySpace.get(owner) ?? new Map<string, Buffer>()
          bySpace.set(owner, keys.set(key.toString('latin1'), key))
        }
      }
    }
    const writes: DatabaseWrite[] = []
    for (const [owner, byText] of bySpace) {
      const keys = [...byText.values()]
      const values = await this.#database.getMany(owner, keys)
      for (const [index, key] of keys.entries()) {
        const value = values[index]
        writes.push({ space: owner, key, ...(value === undefined ? {} : { value }) })
      }
    }
    return writes
  }

  /** Removes every note, and what is covered: the next to write the changelog writes all of it. */
  #forget(): DatabaseWrite[] {
    const notes = this.#pending.map(({ key }) => ({ space, key }))
    this.#pending = []
    this.#covered = undefined
    return [...notes, { space, key: coveredKey }]
  }

  #cover(covered: number, checkpoint: number): DatabaseWrite {
    this.#covered = covered
    const value = Buffer.alloc(16)
    value.writeDoubleLE(covered)
    value.writeDoubleLE(checkpoint, 8)
    return { space, key: coveredKey, value }
  }
}

/** In order of the sequence, and of the notes of one: a task may write two checkpoints at the same place. */
function keyOf(sequence: number, number: number): Buffer {
  const key = Buffer.alloc(13)
  key.writeBigUInt64BE(BigInt(sequence), 1)
  key.writeUInt32BE(number, 9)
  return key
}

const sequenceOf = (key: Buffer): number => Number(key.readBigUInt64BE(1))
const numberOf = (key: Buffer): number => key.readUInt32BE(9)

function* keysIn(note: Buffer): Generator<Buffer> {
  for (let at = 4; at < note.length; ) {
    const end = at + 4 + note.readUInt32BE(at)
    yield note.subarray(at + 4, end)
    at = end
  }
}
