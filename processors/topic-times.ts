import { ByteWriter } from '../state/contracts/byte-writer.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Database, DatabaseWrite } from '../state/store/database.ts'
import { decodeKey, encodeKey } from '../state/store/key-encoding.ts'
import type { StateStore } from '../state/store/state-store.ts'

interface TopicTime {
  /** Greatest event time of the topic's records so far. */
  ms: TimestampMs
  isChanged: boolean
}

/**
 * The stream time of what is made of some topics: the greatest event time of
 * their records. What comes through an internal topic comes behind the records
 * that it was made of, and must not be late by their time.
 */
export class StreamClock {
  readonly callbacks: ((streamTimeMs: TimestampMs) => void)[] = []
  /** The record in hand moves it. */
  isMoving = false
  readonly #times: readonly TopicTime[]

  constructor(times: readonly TopicTime[]) {
    this.#times = times
  }

  /** -Infinity before the first record. */
  get nowMs(): TimestampMs {
    let nowMs = Number.NEGATIVE_INFINITY
    for (const { ms } of this.#times) if (ms > nowMs) nowMs = ms
    return nowMs
  }
}

/** The greatest event time of each topic that a clock goes by, kept across restarts. */
export class TopicTimes implements StateStore {
  readonly name = 'stream-times'
  readonly #times = new Map<string, TopicTime>()
  readonly #clocks = new Map<string, StreamClock>()
  readonly #clocksOf = new Map<string, StreamClock[]>()

  get dirtyBytes(): number {
    return 0
  }

  /** The clock of these topics, the same for the same ones. */
  clock(topics: readonly string[]): StreamClock {
    const sorted = [...new Set(topics)].sort()
    const name = sorted.join('\0')
    const known = this.#clocks.get(name)
    if (known !== undefined) return known
    const clock = new StreamClock(sorted.map((topic) => this.#timeOf(topic)))
    this.#clocks.set(name, clock)
    for (const topic of sorted) this.#clocksOf.set(topic, [...(this.#clocksOf.get(topic) ?? []), clock])
    return clock
  }

  /** Moves the clocks of a topic; those that a record moves are given back, until the next call. */
  observe(topic: string, atMs: TimestampMs): readonly StreamClock[] {
    const time = this.#times.get(topic)
    if (time === undefined || atMs <= time.ms) return []
    const clocks = this.#clocksOf.get(topic) ?? []
    for (const clock of clocks) clock.isMoving = atMs > clock.nowMs
    time.ms = atMs
    time.isChanged = true
    return clocks
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        this.#timeOf(String(decodeKey(key)[0])).ms = Buffer.from(value).readDoubleLE(0)
      }
    }
  }

  collect(into: DatabaseWrite[]): void {
    for (const [topic, time] of this.#times) {
      if (!time.isChanged) continue
      time.isChanged = false
      const value = new ByteWriter(8)
      value.double(time.ms)
      into.push({ space: this.name, key: encodeKey([topic]), value: value.take() })
    }
  }

  clear(): void {
    for (const time of this.#times.values()) {
      time.ms = Number.NEGATIVE_INFINITY
      time.isChanged = false
    }
  }

  #timeOf(topic: string): TopicTime {
    const known = this.#times.get(topic)
    if (known !== undefined) return known
    const time = { ms: Number.NEGATIVE_INFINITY, isChanged: false }
    this.#times.set(topic, time)
    return time
  }
}
