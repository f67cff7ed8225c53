import { EngineError } from '../contracts/engine-error.ts'
import type { ResumePoint } from './column-batch.ts'
import type { TopicSpec } from './log.ts'
import { SectionIndex } from './section-index.ts'

/** One topic partition as a log holds it in memory. Offsets are safe integers here. */
export class TopicPartition {
  readonly topic: Topic
  readonly partition: number
  /** How the port's maps name it: `topic\0partition`. */
  readonly key: string
  /** Oldest offset that can be read. */
  start = 0
  /** Next offset to be written. */
  end = 0
  readonly index: SectionIndex = new SectionIndex()
  /** Where the last read stopped inside a section. */
  resume: ResumePoint | undefined

  constructor(topic: Topic, partition: number) {
    this.topic = topic
    this.partition = partition
    this.key = `${topic.spec.name}\0${partition}`
  }

  /** Takes the sections that lie wholly before `start` out of the index. */
  dropBeforeStart(): void {
    const { index, start } = this
    if (index.first === index.length) return
    const row = index.rowOf(start)
    const next = row + 1 < index.length ? index.baseOffsets[row + 1]! : this.end
    index.dropBefore(next <= start ? row + 1 : row)
  }
}

export class Topic {
  /** Never used again, not even for a topic of the same name that is created later. */
  readonly id: number
  spec: TopicSpec
  readonly partitions: readonly TopicPartition[]

  constructor(id: number, spec: TopicSpec) {
    this.id = id
    this.spec = spec
    this.partitions = Array.from(
      { length: spec.partitions },
      (_, partition) => new TopicPartition(this, partition),
    )
  }
}

/** The topics of one log, by name and by number. */
export class TopicCatalog {
  nextId = 1
  /** Goes up when a topic comes, changes or goes: whoever caches topics compares it. */
  version = 0
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<number, Topic>()

  find(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  findById(id: number): Topic | undefined {
    return this.#byId.get(id)
  }

  /** @throws EngineError `topic-unknown` */
  topic(name: string): Topic {
    const topic = this.#byName.get(name)
    if (topic === undefined) {
      throw new EngineError('topic-unknown', { topic: name, known: [...this.#byName.keys()].sort() })
    }
    return topic
  }

  /** @throws EngineError `topic-unknown`; RangeError for a partition that the topic does not have */
  partition(name: string, partition: number): TopicPartition {
    const topic = this.topic(name)
    const found = topic.partitions[partition]
    if (found === undefined) {
      throw new RangeError(
        `topic "${name}" has partitions 0 to ${topic.partitions.length - 1}, got ${partition}`,
      )
    }
    return found
  }

  /** In the order of their creation. */
  all(): readonly Topic[] {
    return [...this.#byId.values()]
  }

  add(id: number, spec: TopicSpec): Topic {
    const topic = new Topic(id, spec)
    this.#byName.set(spec.name, topic)
    this.#byId.set(id, topic)
    this.nextId = Math.max(this.nextId, id + 1)
    this.version++
    return topic
  }

  update(topic: Topic, spec: TopicSpec): void {
    topic.spec = spec
    this.version++
  }

  remove(topic: Topic): void {
    this.#byId.delete(topic.id)
    if (this.#byName.get(topic.spec.name) === topic) this.#byName.delete(topic.spec.name)
    this.version++
  }
}

const validName = /^[A-Za-z0-9._-]{1,249}$/

/**
 * The spec with only its own fields, checked. Names are those that Kafka
 * takes, so that a topology can move there.
 *
 * @throws RangeError when the name, the count of partitions or a bound is not valid
 */
export function checkedTopicSpec(spec: TopicSpec): TopicSpec {
  const { name, partitions, retentionMs, retentionBytes, compacted } = spec
  if (!validName.test(name) || name === '.' || name === '..') {
    throw new RangeError(`topic name ${JSON.stringify(name)} must match ${validName} and not be . or ..`)
  }
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 65_536) {
    throw new RangeError(`topic "${name}": partitions must be from 1 to 65536, got ${partitions}`)
  }
  for (const [bound, value] of Object.entries({ retentionMs, retentionBytes })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw new RangeError(`topic "${name}": ${bound} must be a whole number from 0, got ${value}`)
    }
  }
  return {
    name,
    partitions,
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(retentionBytes === undefined ? {} : { retentionBytes }),
    compacted: compacted === true,
  }
}

/**
 * What is to be done so that the topic is as `wanted`: nothing, or a change
 * of its retention, which may differ from run to run.
 *
 * @throws EngineError `topic-mismatch` when partitions or compaction differ, which are fixed
 */
export function reconcileTopic(found: TopicSpec, wanted: TopicSpec): 'same' | 'retention-differs' {
  for (const what of ['partitions', 'compacted'] as const) {
    if (found[what] !== wanted[what]) {
      const context = { topic: wanted.name, what, found: `${found[what]}`, expected: `${wanted[what]}` }
      throw new EngineError('topic-mismatch', context)
    }
  }
  const same = found.retentionMs === wanted.retentionMs && found.retentionBytes === wanted.retentionBytes
  return same ? 'same' : 'retention-differs'
}

/** The offset as a number inside the held range. @throws EngineError `offset-out-of-range` */
export function heldOffset(held: TopicPartition, offset: bigint): number {
  const value = Number(offset)
  if (value >= held.start && value <= held.end) return value
  throw new EngineError('offset-out-of-range', {
    topic: held.topic.spec.name,
    partition: held.partition,
    offset,
    start: BigInt(held.start),
    end: BigInt(held.end),
  })
}
