import { EngineError } from '../../state/contracts/engine-error.ts'
import type { KafkaLog } from '../../state/log/kafka/kafka-log.ts'
import type { PlacedWriter } from '../../state/log/kafka/placed-writer.ts'
import type { Log, OffsetRange, TopicSpec } from '../../state/log/log.ts'
import { checksumOf } from './log-checksum.ts'

/** One topic partition on its way. */
export interface PartitionMove {
  /** Name in the embedded log. */
  readonly topic: string
  /** At the cluster, without the prefix; keeps all for the time being. */
  readonly target: TopicSpec
  /** Retention as declared: the engine sets it at its next start. */
  readonly declared: TopicSpec
  readonly partition: number
  readonly source: OffsetRange
  /** What the cluster has of it; absent while it has no such topic. */
  readonly found: OffsetRange | undefined
}

export interface MigrationPlan {
  readonly moves: readonly PartitionMove[]
  /** Offsets still to be copied. */
  readonly left: number
  /** Offsets of the source in all. */
  readonly total: number
  /** Somebody has written behind what was migrated: it is done, and the cluster has gone on. */
  readonly hasGoneOn: boolean
}

export interface MovedPartition {
  readonly topic: string
  readonly partition: number
  readonly start: number
  readonly end: number
  readonly records: number
  readonly checksum: string
}

export interface Migration {
  readonly source: Log
  readonly target: KafkaLog
  /** The name that a topic of the embedded log has at the cluster. */
  readonly targetName: (topic: string) => string
  /** Records that were checked or copied, as they are. */
  readonly onRecords: (count: number) => void
}

const copyBytes = 768 << 10
const sideBySide = 4
/** Lengths of a header's name and value, and of their count, at most. */
const headerRoom = 12

/**
 * What there is to do. Reads everything that the cluster has of it already,
 * and compares: a migration that was interrupted goes on where it stopped.
 *
 * @throws EngineError `migration-refused` when the cluster holds something else, `topic-mismatch`
 */
export async function planMigration(migration: Migration): Promise<MigrationPlan> {
  const { source, target, targetName } = migration
  const there = new Map((await target.topics()).map((spec) => [spec.name, spec]))
  const moves: PartitionMove[] = []
  for (const spec of await source.topics()) {
    const { name: topic, partitions, compacted = false } = spec
    const declared = { ...spec, name: targetName(topic) }
    const known = there.get(declared.name)
    if (known !== undefined) checkLayout(declared, known)
    for (let partition = 0; partition < partitions; partition++) {
      moves.push({
        topic,
        target: { name: declared.name, partitions, compacted },
        declared,
        partition,
        source: await source.offsets(topic, partition),
        found: known && (await target.offsets(declared.name, partition)),
      })
    }
  }
  for (const move of moves) await checkFound(migration, move)
  const beyond = moves.filter(({ source: { end }, found }) => found !== undefined && found.end > end)
  const left = moves.reduce((sum, move) => sum + Number(leftOf(move)), 0)
  if (beyond.length > 0 && left > 0) {
    const [{ target: spec, partition }] = beyond as [PartitionMove]
    throw new EngineError('migration-refused', {
      target: `"${spec.name}"`,
      detail: `partition ${partition} has gone on behind what was migrated, and so has the embedded log: they are two histories now`,
    })
  }
  const total = moves.reduce((sum, { source: { start, end } }) => sum + Number(end - start), 0)
  return { moves, left, total, hasGoneOn: beyond.length > 0 }
}

const leftOf = ({ source: { start, end }, found }: PartitionMove): bigint => {
  const from = found === undefined || found.end < start ? start : found.end
  return end > from ? end - from : 0n
}

function checkLayout({ name, partitions, compacted = false }: TopicSpec, found: TopicSpec): void {
  const mismatch = (what: string, has: string, expected: string) =>
    new EngineError('topic-mismatch', { topic: name, what, found: has, expected })
  if (found.partitions !== partitions) {
    throw mismatch('partitions', `${found.partitions}`, `${partitions}`)
  }
  if ((found.compacted ?? false) !== compacted) {
    throw mismatch('compaction', String(found.compacted ?? false), String(compacted))
  }
}

/** What the cluster has must be the beginning of what is to be there, record by record. */
async function checkFound(migration: Migration, move: PartitionMove): Promise<void> {
  const { source: own, found, target, partition } = move
  if (found === undefined || found.end === 0n) return
  const to = found.end < own.end ? found.end : own.end
  const refuse = (detail: string) =>
    new EngineError('migration-refused', {
      target: `"${target.name}"`,
      detail: `partition ${partition} ${detail}`,
    })
  // Retention at the cluster may have gone on since all was there, not before.
  if (found.start > own.start && found.end < own.end) {
    throw refuse(`has lost what is before offset ${found.start}`)
  }
  const from = found.start > own.start ? found.start : own.start
  const silent = () => {}
  const [expected, actual] = await Promise.all([
    checksumOf(migration.source, move.topic, partition, { from, to }, migration.onRecords),
    checksumOf(migration.target, target.name, partition, { from: found.start, to }, silent),
  ])
  if (expected.records === actual.records && expected.checksum === actual.checksum) return
  throw refuse(
    `holds other data: ${actual.records} records below offset ${to}, where the embedded log has ${expected.records}${expected.records === actual.records ? ' of another content' : ''}`,
  )
}

/**
 * That every record that is left fits into the topics: before the first of
 * them is written, since a topic's limit is set when it is created.
 *
 * @throws EngineError `record-too-large`
 */
export async function checkSizes(
  { source, onRecords }: Migration,
  { moves }: MigrationPlan,
  limitBytes: number,
): Promise<void> {
  for (const move of moves) {
    const { topic, partition } = move
    const { end } = move.source
    for (let offset = end - leftOf(move); offset < end; ) {
      const batch = await source.read({ topic, partition, offset, maxBytes: copyBytes })
      for (let index = 0; index < batch.count; index++) {
        const { keyStart, keyEnd, valueStart, valueEnd } = batch
        let sizeBytes = keyEnd[index]! - keyStart[index]! + valueEnd[index]! - valueStart[index]!
        for (const { name, value } of batch.headers(index))
          sizeBytes += name.length + value.length + headerRoom
        if (sizeBytes > limitBytes)
          throw new EngineError('record-too-large', { topic, sizeBytes, limitBytes })
      }
      onRecords(batch.count)
      offset = batch.nextOffset
    }
  }
}

/** Creates the topics and copies what is left, some partitions side by side. */
export async function copyAll(
  migration: Migration,
  { moves }: MigrationPlan,
  writer: PlacedWriter,
): Promise<void> {
  for (const { target } of new Map(moves.map((move) => [move.topic, move])).values()) {
    await migration.target.createTopic(target)
  }
  const waiting = moves.filter((move) => leftOf(move) > 0n || needsCut(move))
  const work = async () => {
    for (let move = waiting.shift(); move !== undefined; move = waiting.shift()) {
      await copyPartition(migration, move, writer)
    }
  }
  await Promise.all(Array.from({ length: sideBySide }, work))
}

const needsCut = ({ source: { start }, found }: PartitionMove): boolean => start > (found?.start ?? 0n)

async function copyPartition(
  { source, target: cluster, onRecords }: Migration,
  move: PartitionMove,
  writer: PlacedWriter,
): Promise<void> {
  const { topic, target, partition } = move
  const { start, end } = move.source
  let done = move.found?.end ?? 0n
  // What a killed migration had sent may have arrived only now.
  const { end: reached } = await cluster.offsets(target.name, partition)
  if (reached !== done) {
    throw new EngineError('migration-refused', {
      target: `"${target.name}"`,
      detail: `partition ${partition} went from offset ${done} to ${reached} meanwhile; if nobody else writes to it, run the migration again, else`,
    })
  }
  if (done < start) {
    await writer.skip(target, partition, Number(done), Number(start))
    done = start
  }
  while (done < end) {
    const records = await source.read({ topic, partition, offset: done, maxBytes: copyBytes })
    const isDense = records.count === 0 || records.offsetDeltas[records.count - 1] === records.count - 1
    const batch = isDense ? records : await firstRun(source, { topic, partition, offset: done })
    const first = batch.count > 0 ? batch.baseOffset : end
    if (first > done) await writer.skip(target, partition, Number(done), Number(first))
    if (batch.count > 0) await writer.write(target, partition, batch)
    onRecords(Number(first - done) + batch.count)
    done = first + BigInt(batch.count)
  }
  // A topic that is only compacted takes no cut; a committed reader finds nothing there all the same.
  if (needsCut(move) && target.compacted !== true) await writer.truncate(target, partition, Number(start))
}

/** Records whose offsets follow each other, where compaction left holes between them. */
async function firstRun(
  source: Log,
  place: { readonly topic: string; readonly partition: number; readonly offset: bigint },
) {
  const { count, offsetDeltas } = await source.read({ ...place, maxBytes: copyBytes })
  let run = 1
  while (run < count && offsetDeltas[run] === run) run++
  return await source.read({ ...place, maxBytes: copyBytes, maxRecords: run })
}

/**
 * Reads both logs again, each from its own medium, and compares.
 *
 * @throws EngineError `migration-refused` where they differ
 */
export async function verifyMigration(
  migration: Migration,
  { moves }: MigrationPlan,
): Promise<readonly MovedPartition[]> {
  const { source, target, onRecords } = migration
  const moved: MovedPartition[] = []
  for (const { topic, target: spec, partition, source: range } of moves) {
    const { start, end } = range
    const there = await target.offsets(spec.name, partition)
    const from = there.start > start ? there.start : start
    const [expected, actual] = await Promise.all([
      checksumOf(source, topic, partition, { from, to: end }, onRecords),
      checksumOf(target, spec.name, partition, { from: there.start, to: end }, () => {}),
    ])
    const isEqual = expected.records === actual.records && expected.checksum === actual.checksum
    if (!isEqual || there.end < end) {
      throw new EngineError('migration-refused', {
        target: `"${spec.name}"`,
        detail: `after the copy partition ${partition} has ${actual.records} records up to offset ${there.end}, the embedded log ${expected.records} up to ${end}${isEqual ? '' : ', or their content differs'}`,
      })
    }
    moved.push({ topic: spec.name, partition, start: Number(start), end: Number(end), ...actual })
  }
  return moved
}
