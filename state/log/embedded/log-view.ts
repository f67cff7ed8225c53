import { ColumnBatch, emptyBatch } from '../column-batch.ts'
import type { OffsetRange, ReadRequest, TopicSpec } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import type { SectionIndex } from '../section-index.ts'
import { checkReadLimits, planRead } from '../section-read.ts'
import { firstRecordAt } from '../section-time.ts'
import { heldOffset, type TopicPartition } from '../topic-catalog.ts'
import type { Journal } from './journal.ts'
import { sectionBytes, withFreshIndex } from './section-bytes.ts'

/**
 * The reading half of the embedded log, the same for its writer and for a
 * reader in another process. `journal` gives the index as it is now;
 * `refresh` makes it so after a segment was replaced.
 */
export class LogView {
  readonly #journal: () => Journal
  readonly #refresh: () => void

  constructor(journal: () => Journal, refresh: () => void) {
    this.#journal = journal
    this.#refresh = refresh
  }

  topics(): readonly TopicSpec[] {
    return this.#journal()
      .catalog.all()
      .map(({ spec }) => spec)
  }

  offsets(topic: string, partition: number): OffsetRange {
    const { start, end } = this.#journal().catalog.partition(topic, partition)
    return { start: BigInt(start), end: BigInt(end) }
  }

  offsetForTime(topic: string, partition: number, atMs: number): Promise<bigint> {
    return withFreshIndex(async () => {
      const journal = this.#journal()
      const held = journal.catalog.partition(topic, partition)
      const { index, start, end } = held
      for (let row = index.first; row < index.length; row++) {
        if (!(index.maxTimestamps[row]! >= atMs)) continue
        const { moves } = journal
        const found = await this.#firstInRow(journal, held, row, start, atMs)
        if (found !== undefined) return BigInt(found)
        // Only a section with records that retention cut off, or one that was cleaned, can disappoint.
        if (journal.moves !== moves) row = index.first - 1
      }
      return BigInt(end)
    }, this.#refresh)
  }

  read(request: ReadRequest): Promise<RecordBatch> {
    checkReadLimits(request)
    return withFreshIndex(async () => {
      for (let wanted = request; ; ) {
        const batch = await this.#readOnce(wanted)
        // A place that compaction emptied is passed over, so that nothing read is the end and only that.
        if (batch.count > 0 || batch.nextOffset === wanted.offset) return batch
        const { start, end } = this.offsets(request.topic, request.partition)
        if (batch.nextOffset >= end || batch.nextOffset < start) return batch
        wanted = { ...request, offset: batch.nextOffset }
      }
    }, this.#refresh)
  }

  async #readOnce(request: ReadRequest): Promise<RecordBatch> {
    const journal = this.#journal()
    const held = journal.catalog.partition(request.topic, request.partition)
    const offset = heldOffset(held, request.offset)
    const plan = planRead(held, offset, request, together(journal))
    if (plan === undefined) return emptyBatch(request, held.end)
    const { resume } = held
    const { moves } = journal
    const { bytes, places } = await sectionBytes(journal, plan)
    const batch = new ColumnBatch(request, bytes, plan.capacity)
    let next: number | undefined = plan.nextOffset
    for (const [index, place] of places.entries()) {
      if (!batch.isOpen) {
        // Sections of the plan that did not fit are the next read's.
        next = undefined
        break
      }
      batch.addSection(place, offset, plan.segments[index]!, plan.positions[index]!, resume)
    }
    // Another section may lie at the same place after a cleaning.
    if (journal.moves === moves) held.resume = batch.resume
    return batch.finish(next)
  }

  async #firstInRow(
    journal: Journal,
    { index }: TopicPartition,
    row: number,
    start: number,
    atMs: number,
  ): Promise<number | undefined> {
    const plan = {
      segments: [index.segments[row]!],
      positions: [index.positions[row]!],
      byteLengths: [index.byteLengths[row]!],
      capacity: 0,
      nextOffset: 0,
    }
    const { bytes, places } = await sectionBytes(journal, plan)
    return firstRecordAt(bytes, places[0]!, start, atMs)
  }
}

/** One read is of one segment, and of one piece of the tail where it begins in it. */
const together =
  ({ tail }: Journal) =>
  (index: SectionIndex, first: number, row: number): boolean => {
    const segment = index.segments[first]!
    if (index.segments[row] !== segment) return false
    const chunk = tail.find(segment, index.positions[first]!)
    return chunk === undefined || index.positions[row]! + index.byteLengths[row]! <= chunk.to
  }
