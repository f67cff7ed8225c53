import type { TopicSpec } from '../log.ts'
import { sealSection, sectionHeaderBytes, sectionKinds, writeSectionHeader } from '../section.ts'
import { checkedTopicSpec, type Topic, type TopicCatalog } from '../topic-catalog.ts'

/** What the journal says about its topics, as JSON in a catalog section: the log describes itself. */
export type CatalogEvent =
  | { readonly event: 'created'; readonly id: number; readonly spec: TopicSpec }
  | { readonly event: 'changed'; readonly id: number; readonly spec: TopicSpec }
  | { readonly event: 'deleted'; readonly id: number }
  /** The oldest offsets of some topic partitions moved up. */
  | { readonly event: 'started'; readonly starts: readonly PartitionStart[] }
  /** Frames of these sequences are gone, with the segments that held nothing else. */
  | { readonly event: 'removed'; readonly ranges: readonly SequenceRange[] }
  /** The writer closed the log in order: every frame before this one was on the disk. */
  | { readonly event: 'closed' }
  /** All of it; the first frame of every segment. */
  | CatalogSnapshot

export interface PartitionStart {
  readonly id: number
  readonly partition: number
  readonly start: number
}

/** First and last sequence, both included. */
export type SequenceRange = readonly [first: number, last: number]

export interface CatalogSnapshot {
  readonly event: 'snapshot'
  readonly nextId: number
  readonly topics: readonly TopicSnapshot[]
  readonly removed: readonly SequenceRange[]
}

interface TopicSnapshot {
  readonly id: number
  readonly spec: TopicSpec
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

export function snapshotOf(catalog: TopicCatalog, removed: readonly SequenceRange[]): CatalogSnapshot {
  const topics = catalog.all().map(({ id, spec, partitions }) => ({
    id,
    spec,
    starts: partitions.map(({ start }) => start),
    ends: partitions.map(({ end }) => end),
  }))
  return { event: 'snapshot', nextId: catalog.nextId, topics, removed }
}

export function encodeCatalogEvent(event: CatalogEvent, appendedAtMs: number): Buffer {
  const text = Buffer.from(JSON.stringify(event))
  const section = Buffer.alloc(sectionHeaderBytes + text.length)
  text.copy(section, sectionHeaderBytes)
  writeSectionHeader(section, 0, {
    kind: sectionKinds.catalog,
    byteLength: section.length,
    topicId: 0,
    partition: 0,
    count: 0,
    span: 0,
    fieldBytes: 0,
    baseOffset: 0,
    firstTimestampMs: 0,
    maxTimestampMs: 0,
    appendedAtMs,
  })
  sealSection(section, 0, section.length)
  return section
}

/** The event in a section whose checksum is right. @throws Error when it is no catalog event */
export function decodeCatalogEvent(bytes: Buffer, at: number): CatalogEvent {
  const byteLength = bytes.readUInt32LE(at + 4)
  const event = JSON.parse(bytes.toString('utf8', at + sectionHeaderBytes, at + byteLength)) as CatalogEvent
  // The partitions are allocated by what the spec says.
  if ('spec' in event) checkedTopicSpec(event.spec)
  if ('topics' in event) for (const { spec } of event.topics) checkedTopicSpec(spec)
  return event
}

/** Folds an event into the catalog. Returns the ranges of sequences that are gone after it. */
export function applyCatalogEvent(
  catalog: TopicCatalog,
  event: CatalogEvent,
  removed: readonly SequenceRange[],
): readonly SequenceRange[] {
  switch (event.event) {
    case 'created':
      catalog.add(event.id, event.spec)
      return removed
    case 'changed': {
      const topic = catalog.findById(event.id)
      if (topic !== undefined) catalog.update(topic, event.spec)
      return removed
    }
    case 'deleted': {
      const topic = catalog.findById(event.id)
      if (topic !== undefined) catalog.remove(topic)
      return removed
    }
    case 'started':
      for (const { id, partition, start } of event.starts) {
        const held = catalog.findById(id)?.partitions[partition]
        if (held === undefined) continue
        held.start = start
        held.dropBeforeStart()
      }
      return removed
    case 'closed':
      return removed
    case 'removed':
      return mergeRanges([...removed, ...event.ranges])
    case 'snapshot':
      applySnapshot(catalog, event)
      return event.removed
  }
}

/** Brings a catalog, empty or behind, to the snapshot; topics that stay keep their indexes. */
function applySnapshot(catalog: TopicCatalog, snapshot: CatalogSnapshot): void {
  const kept = new Set(snapshot.topics.map(({ id }) => id))
  for (const topic of catalog.all()) if (!kept.has(topic.id)) catalog.remove(topic)
  for (const { id, spec, starts, ends } of snapshot.topics) {
    let topic: Topic | undefined = catalog.findById(id)
    if (topic === undefined) topic = catalog.add(id, spec)
    else catalog.update(topic, spec)
    for (const held of topic.partitions) {
      held.start = starts[held.partition]!
      held.end = ends[held.partition]!
      held.dropBeforeStart()
    }
  }
  catalog.nextId = snapshot.nextId
}

/** Sorted, with neighbours joined. */
export function mergeRanges(ranges: readonly SequenceRange[]): readonly SequenceRange[] {
  const merged: [number, number][] = []
  for (const [first, last] of [...ranges].sort((left, right) => left[0] - right[0])) {
    const before = merged.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else merged.push([first, last])
  }
  return merged
}
