import { EngineError } from '../../contracts/engine-error.ts'
import { DeadRecords, findDeadRecords } from './dead-records.ts'
import type { Journal } from './journal.ts'
import { removeDeadSegments } from './retention.ts'
import { rewriteSegments } from './rewrite.ts'
import { type Segment, StaleSegment } from './segment.ts'

/** What one cleaning did. */
export interface CleaningReport {
  /** Segments that were written anew or removed. */
  readonly segments: number
  /** Their bytes before and after. */
  readonly before: number
  readonly after: number
}

export interface CleanerOptions {
  readonly segmentBytes: number
  /** Keys of a compacted partition held in memory at once. */
  readonly keys: number
  /** How long a tombstone stays after it was appended, so that followers see it. */
  readonly tombstoneMs: number
  readonly now: () => number
  readonly onCleaned?: (report: CleaningReport) => void
  /** Told when a cleaning failed; nothing is lost by that, and a later one tries again. */
  readonly onFailure?: (error: unknown) => void
}

interface Usage {
  /** Bytes of sections that the indexes still name. */
  live: number
  /** Those of compacted topics. */
  compacted: number
}

/**
 * Frees what is dead in sealed segments, beside the writing, in short turns.
 * Segments at least half dead are written anew, small neighbours along with
 * them, so that the cost of copying stays in proportion to what is freed.
 * Compacted topics are searched for dead records once half of their sealed
 * bytes are new since the last search.
 */
export class Cleaner {
  readonly #journal: Journal
  readonly #options: CleanerOptions
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  /** Compacted topics were searched up to this frame. */
  #searched = 0

  constructor(journal: Journal, options: CleanerOptions) {
    this.#journal = journal
    this.#options = options
  }

  /** Begins a cleaning unless one is going on. */
  start(): void {
    if (this.#stop.signal.aborted) return
    this.#running ??= this.#run()
  }

  /** Ends the cleaning that is going on at its next step; what it did so far stays. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    await undefined
    try {
      const report = await this.#clean()
      if (report.segments > 0) this.#options.onCleaned?.(report)
    } catch (error) {
      // A segment that retention removed meanwhile is no failure.
      if (!(error instanceof StaleSegment)) this.#options.onFailure?.(error)
      if (!(error instanceof StaleSegment) && !(error instanceof EngineError)) throw error
    } finally {
      this.#running = undefined
    }
  }

  async #clean(): Promise<CleaningReport> {
    const journal = this.#journal
    const { signal } = this.#stop
    const dead = new DeadRecords()
    await this.#search(dead)
    const report = { segments: 0, before: 0, after: 0 }
    for (const group of this.#groups(dead)) {
      if (signal.aborted) break
      const before = group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      const after = await rewriteSegments(journal, group, dead, signal)
      if (after === undefined) continue
      if (after === 0) removeDeadSegments(journal)
      report.segments += group.length
      report.before += before
      report.after += after
    }
    return report
  }

  async #search(dead: DeadRecords): Promise<void> {
    const { now, tombstoneMs, keys } = this.#options
    const { catalog, segments, active } = this.#journal
    const usage = this.#usage()
    let fresh = 0
    let all = 0
    for (const segment of segments.values()) {
      const { compacted } = usage.get(segment.number)!
      if (segment === active) continue
      all += compacted
      if (segment.lastSequence > this.#searched) fresh += compacted
    }
    if (fresh === 0 || fresh * 2 < all) return
    const searched = active.header.firstSequence - 1
    const limits = { keys, tombstonesBeforeMs: now() - tombstoneMs }
    for (const { spec, partitions } of catalog.all()) {
      if (spec.compacted !== true) continue
      for (const held of partitions) {
        await findDeadRecords(this.#journal, held, limits, dead, this.#stop.signal)
      }
    }
    this.#searched = searched
  }

  #usage(): Map<number, Usage> {
    const usage = new Map<number, Usage>()
    for (const number of this.#journal.segments.keys()) usage.set(number, { live: 0, compacted: 0 })
    for (const { spec, partitions } of this.#journal.catalog.all()) {
      for (const { index } of partitions) {
        for (let row = index.first; row < index.length; row++) {
          const one = usage.get(index.segments[row]!)
          if (one === undefined) continue
          one.live += index.byteLengths[row]!
          if (spec.compacted === true) one.compacted += index.byteLengths[row]!
        }
      }
    }
    return usage
  }

  /** Neighbours that are to become one segment; each group has one at least half of which is dead. */
  #groups(dead: DeadRecords): readonly (readonly Segment[])[] {
    const { segmentBytes } = this.#options
    const usage = this.#usage()
    const groups: Segment[][] = []
    let group: Segment[] = []
    let groupBytes = 0
    let isWorthIt = false
    const close = () => {
      if (isWorthIt) groups.push(group)
      group = []
      groupBytes = 0
      isWorthIt = false
    }
    for (const segment of this.#journal.segments.values()) {
      if (segment === this.#journal.active) break
      const { number, sizeBytes } = segment
      const liveBytes = usage.get(number)!.live - dead.bytesIn(number)
      const isHalfDead = liveBytes * 2 <= sizeBytes
      if (!isHalfDead && sizeBytes * 8 > segmentBytes) {
        close()
        continue
      }
      if (groupBytes + liveBytes > segmentBytes) close()
      group.push(segment)
      groupBytes += liveBytes
      isWorthIt ||= isHalfDead
    }
    close()
    return groups
  }
}
