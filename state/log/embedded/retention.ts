import { join } from 'node:path'
import type { Topic, TopicPartition } from '../topic-catalog.ts'
import type { PartitionStart, SequenceRange } from './catalog-event.ts'
import type { Journal } from './journal.ts'
import { onDisk } from './log-files.ts'
import { indexName, type Segment } from './segment.ts'

/**
 * Drops what the topics need not keep: moves their oldest offsets up, then
 * removes the segments that hold nothing live. Each step is on the log before
 * the next, and files go last, so an interruption leaves files that the next
 * opening removes.
 */
export function applyRetention(journal: Journal): void {
  const starts = journal.catalog.all().flatMap((topic) => outlived(topic))
  if (starts.length > 0) journal.appendEvent({ event: 'started', starts })
  removeDeadSegments(journal)
}

function outlived(topic: Topic): PartitionStart[] {
  const { spec, partitions, id } = topic
  const { retentionMs = Number.POSITIVE_INFINITY, retentionBytes = Number.POSITIVE_INFINITY } = spec
  if (retentionMs === Number.POSITIVE_INFINITY && retentionBytes === Number.POSITIVE_INFINITY) return []
  let newestMs = Number.NEGATIVE_INFINITY
  for (const { index } of partitions) {
    for (let row = index.first; row < index.length; row++) {
      newestMs = Math.max(newestMs, index.maxTimestamps[row]!)
    }
  }
  return partitions.flatMap((held) => {
    const start = firstKept(held, newestMs - retentionMs, retentionBytes)
    return start > held.start ? [{ id, partition: held.partition, start }] : []
  })
}

/** Sections go from the oldest on, whole, while they are too old or beyond the size. */
function firstKept({ index, start, end }: TopicPartition, oldestMs: number, limitBytes: number): number {
  let sizeBytes = 0
  for (let row = index.first; row < index.length; row++) sizeBytes += index.byteLengths[row]!
  let row = index.first
  for (; row < index.length; row++) {
    if (index.maxTimestamps[row]! >= oldestMs && sizeBytes <= limitBytes) break
    sizeBytes -= index.byteLengths[row]!
  }
  if (row === index.first) return start
  return row < index.length ? index.baseOffsets[row]! : end
}

/**
 * Removes the segments that no index names any more.
 *
 * @throws EngineError `log-disk`
 */
export function removeDeadSegments(journal: Journal): void {
  const live = new Set<number>([journal.active.number])
  for (const { partitions } of journal.catalog.all()) {
    for (const { index } of partitions) {
      for (let row = index.first; row < index.length; row++) live.add(index.segments[row]!)
    }
  }
  const dead = [...journal.segments.values()].filter(({ number }) => !live.has(number))
  if (dead.length === 0) return
  const ranges = dead.map(({ header, lastSequence }): SequenceRange => [header.firstSequence, lastSequence])
  journal.appendEvent({ event: 'removed', ranges })
  journal.syncNow()
  for (const segment of dead) removeFiles(journal, segment)
}

function removeFiles(journal: Journal, segment: Segment): void {
  const { files, path, segments } = journal
  segments.delete(segment.number)
  segment.retire()
  onDisk(segment.path, 'remove', () => {
    files.remove(join(path, indexName(segment.number)))
    files.remove(segment.path)
  })
}
