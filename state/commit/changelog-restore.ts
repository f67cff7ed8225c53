import type { Log } from '../log/log.ts'
import type { Database, DatabaseWrite } from '../store/database.ts'
import { ChangelogDecoder, type ChangelogPlace, changelogKey } from './changelog-record.ts'
import { type Checkpoint, checkpointOf, positionsSpace } from './checkpoint.ts'

const readBytes = 8 << 20
const batchBytes = 8 << 20

/** How far a restore from the changelog is. */
export interface RestoreProgress {
  /** Records read. */
  readonly records: number
  /** Records read and at most still to be read: what compaction took away is counted until it is passed. */
  readonly of: number
  /** Of keys and values read. */
  readonly bytes: number
  readonly recordsPerSecond: number
  readonly secondsLeft: number
}

/** What the end of the changelog says: where the state stands that it holds. */
export type ChangelogEnd =
  | { readonly kind: 'empty' }
  /** It was being written anew and that was not finished. */
  | { readonly kind: 'torn' }
  | { readonly kind: 'whole'; readonly checkpoint: Checkpoint }

/** Looks at the end alone. Every commit on the changelog ends with the position, or with its absence. */
export async function changelogEnd(log: Log, place: ChangelogPlace, task: string): Promise<ChangelogEnd> {
  const { start, end } = await log.offsets(place.topic, place.partition)
  const positionKey = changelogKey(positionsSpace, Buffer.from(task))
  let found: ChangelogEnd = { kind: start < end ? 'torn' : 'empty' }
  for (let back = 2n; ; back *= 2n) {
    const from = end - back > start ? end - back : start
    let isFound = false
    for (let offset = from; offset < end; ) {
      const batch = await log.read({ ...place, offset, maxBytes: readBytes })
      for (let index = 0; index < batch.count; index++) {
        const { bytes, keyStart, keyEnd, baseOffset, offsetDeltas } = batch
        // Somebody has just begun to write it; the rest of that may be in the next read.
        if (baseOffset + BigInt(offsetDeltas[index]!) >= end) break
        isFound = true
        const isPosition = positionKey.equals(bytes.subarray(keyStart[index], keyEnd[index]))
        const write = isPosition ? new ChangelogDecoder().decode(batch, index) : undefined
        found = write?.value ? { kind: 'whole', checkpoint: checkpointOf(write.value) } : { kind: 'torn' }
      }
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
    if (isFound) return found
    if (from === start) return { kind: 'empty' }
  }
}

export interface RestoreSource {
  readonly log: Log
  readonly place: ChangelogPlace
  readonly task: string
  /** A clock that only goes forward, ms. */
  readonly elapsedMs: () => number
  readonly onProgress: (progress: RestoreProgress) => void
}

/**
 * Applies the changelog to an empty database, the position last: before it is
 * there, nothing of the rest is used. `beside` is written with it.
 *
 * Read while somebody writes, a key may be missed whose record gave way to a
 * later one: so it reads on until nothing has come while it read.
 *
 * Undefined, and no position in the database, where the changelog holds no
 * whole state.
 */
export async function restoreChangelog(
  { log, place, task, elapsedMs, onProgress }: RestoreSource,
  database: Database,
  beside: (checkpoint: Checkpoint) => Promise<DatabaseWrite>,
): Promise<{ readonly checkpoint: Checkpoint; readonly progress: RestoreProgress } | undefined> {
  const decoder = new ChangelogDecoder()
  const startedMs = elapsedMs()
  let { start: offset, end } = await log.offsets(place.topic, place.partition)
  const first = offset
  const seen = { records: 0, bytes: 0 }
  let writes: DatabaseWrite[] = []
  let writesBytes = 0
  let position: DatabaseWrite | undefined
  const progress = (): RestoreProgress => {
    const seconds = (elapsedMs() - startedMs) / 1000
    const passed = Number(offset - first)
    const left = Number(end - offset)
    return {
      ...seen,
      of: seen.records + Math.max(0, left),
      recordsPerSecond: seconds > 0 ? Math.round(seen.records / seconds) : 0,
      secondsLeft: passed > 0 ? (Math.max(0, left) * seconds) / passed : 0,
    }
  }
  const apply = async () => {
    await database.write(writes)
    writes = []
    writesBytes = 0
  }
  while (offset < end) {
    const batch = await log.read({ ...place, offset, maxBytes: readBytes })
    for (let index = 0; index < batch.count; index++) {
      const write = decoder.decode(batch, index)
      seen.records++
      seen.bytes += batch.keyEnd[index]! - batch.keyStart[index]!
      seen.bytes += Math.max(0, batch.valueEnd[index]! - batch.valueStart[index]!)
      if (write === undefined) continue
      if (write.space === positionsSpace) {
        position = write
        continue
      }
      position = undefined
      writes.push(write)
      writesBytes += write.key.length + (write.value?.length ?? 0)
    }
    const isStuck = batch.nextOffset === offset
    offset = batch.nextOffset
    if (writesBytes >= batchBytes) await apply()
    onProgress(progress())
    if (offset >= end || isStuck) {
      const now = await log.offsets(place.topic, place.partition)
      if (isStuck && now.end <= end) break
      end = now.end
    }
  }
  if (decoder.incomplete.size > 0) return undefined
  if (position?.value === undefined || !Buffer.from(task).equals(position.key)) return undefined
  await apply()
  const checkpoint = checkpointOf(position.value)
  await database.write([position, await beside(checkpoint)])
  return { checkpoint, progress: progress() }
}
