import { ByteWriter } from '../state/contracts/byte-writer.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { Database, DatabaseWrite } from '../state/store/database.ts'
import { decodeKey, encodeKey } from '../state/store/key-encoding.ts'
import type { StateStore } from '../state/store/state-store.ts'

interface TopicTime {
  /** Greatest event time of the topic's records so far. */
  ms: TimestampMs
  isChanged: boolean
}

/** A topic that a clock goes by. */
export interface ClockTopic {
  readonly topic: string
  /** How far, in event time, it may lag behind the newest record of all topics and hold the clock back; 0: it never does. */
  readonly idleMs: DurationMs
}

interface HeldTime {
  readonly time: TopicTime
  readonly idleMs: DurationMs
}

/**
 * The stream time of what is made of some topics. What comes through an
 * internal topic comes behind the records that it was made of, and must not be
 * late by their time.
 *
 * It is the least of the times of those topics that are not idle, and never
 * goes back. A topic's time is the greatest event time of its records. It is
 * idle when the newest record of all lies more than its `idleMs` past its own
 * time; one without a record is counted from the first record of the others,
 * and holds at -Infinity until then. All that is a function of the records in
 * the order in which the task took them, so a replay finds the same. Where no
 * topic holds the others back, `idleMs` 0, this is the greatest event time of
 * all.
 */
export class StreamClock {
  readonly callbacks: ((streamTimeMs: TimestampMs) => void)[] = []
  /** The record in hand moves it. */
  isMoving = false
  /** -Infinity before the first record, or while a topic without one holds it back. */
  nowMs: TimestampMs = Number.NEGATIVE_INFINITY
  /** Event time of the first record; undefined before it, and where no topic holds the others back. */
  firstMs: TimestampMs | undefined
  readonly holds: boolean
  readonly #times: readonly HeldTime[]

  constructor(times: readonly HeldTime[]) {
    this.#times = times
    this.holds = times.length > 1 && times.some(({ idleMs }) => idleMs > 0)
  }

  /** Takes note of a record that is its topic's newest. */
  observe(atMs: TimestampMs): void {
    const nowMs = this.holds ? this.#leastOf(atMs) : atMs
    this.isMoving = nowMs > this.nowMs
    if (this.isMoving) this.nowMs = nowMs
  }

  /** As it stands by the topics' times alone, as long as nothing holds back. */
  reset(): void {
    this.firstMs = undefined
    this.nowMs = Number.NEGATIVE_INFINITY
    if (!this.holds) this.nowMs = this.#newestMs()
  }

  #newestMs(): TimestampMs {
    let newestMs = Number.NEGATIVE_INFINITY
    for (const { time } of this.#times) if (time.ms > newestMs) newestMs = time.ms
    return newestMs
  }

  #leastOf(atMs: TimestampMs): TimestampMs {
    this.firstMs ??= atMs
    const newestMs = this.#newestMs()
    let leastMs = newestMs
    for (const { time, idleMs } of this.#times) {
      const heardMs = time.ms === Number.NEGATIVE_INFINITY ? this.firstMs : time.ms
      if (idleMs > 0 && newestMs - heardMs <= idleMs && time.ms < leastMs) leastMs = time.ms
    }
    return leastMs
  }
}

/** The greatest event time of each topic that a clock goes by, kept across restarts. */
export class TopicTimes implements StateStore {
  readonly name = 'stream-times'
  readonly #times = new Map<string, TopicTime>()
  readonly #clocks = new Map<string, StreamClock>()
  readonly #clocksOf = new Map<string, StreamClock[]>()
  /** A store of its own, for a graph that has such clocks. */
  readonly watermarks = new Watermarks()

  get dirtyBytes(): number {
    return 0
  }

  /** The clock of these topics, the same for the same ones. */
  clock(topics: readonly ClockTopic[]): StreamClock {
    const sorted = [...topics].sort((left, right) => (left.topic < right.topic ? -1 : 1))
    const name = JSON.stringify(sorted.map(({ topic, idleMs }) => [topic, idleMs]))
    const known = this.#clocks.get(name)
    if (known !== undefined) return known
    const clock = new StreamClock(sorted.map(({ topic, idleMs }) => ({ time: this.#timeOf(topic), idleMs })))
    this.#clocks.set(name, clock)
    for (const { topic } of sorted) this.#clocksOf.set(topic, [...(this.#clocksOf.get(topic) ?? []), clock])
    if (clock.holds) this.watermarks.add(name, clock)
    return clock
  }

  /** Moves the clocks of a topic; those that a record moves are given back, until the next call. */
  observe(topic: string, atMs: TimestampMs): readonly StreamClock[] {
    const time = this.#times.get(topic)
    if (time === undefined || atMs <= time.ms) return noClocks
    time.ms = atMs
    time.isChanged = true
    const clocks = this.#clocksOf.get(topic) ?? noClocks
    for (const clock of clocks) clock.observe(atMs)
    return clocks
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        this.#timeOf(String(decodeKey(key)[0])).ms = Buffer.from(value).readDoubleLE(0)
      }
    }
    for (const clock of this.#clocks.values()) if (!clock.holds) clock.reset()
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
    for (const clock of this.#clocks.values()) if (!clock.holds) clock.reset()
  }

  #timeOf(topic: string): TopicTime {
    const known = this.#times.get(topic)
    if (known !== undefined) return known
    const time = { ms: Number.NEGATIVE_INFINITY, isChanged: false }
    this.#times.set(topic, time)
    return time
  }
}

const noClocks: readonly StreamClock[] = []

/**
 * What clocks that are held back remember beside the topics' times: how far
 * they came, since they never go back when an idle topic is heard of again,
 * and the first record. Their declaration is part of what a fold is made of.
 */
class Watermarks implements StateStore {
  readonly name = 'stream-watermarks'
  readonly #clocks = new Map<string, StreamClock>()
  readonly #saved = new Map<string, TimestampMs>()

  get layoutId(): string {
    return [...this.#clocks.keys()].sort().join(' ')
  }

  get isEmpty(): boolean {
    return this.#clocks.size === 0
  }

  get dirtyBytes(): number {
    return 0
  }

  add(name: string, clock: StreamClock): void {
    this.#clocks.set(name, clock)
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        const name = String(decodeKey(key)[0])
        const clock = this.#clocks.get(name)
        if (clock === undefined) continue
        const bytes = Buffer.from(value)
        clock.firstMs = bytes.readDoubleLE(0)
        clock.nowMs = bytes.readDoubleLE(8)
        this.#saved.set(name, clock.nowMs)
      }
    }
  }

  collect(into: DatabaseWrite[]): void {
    for (const [name, { firstMs, nowMs }] of this.#clocks) {
      if (firstMs === undefined || this.#saved.get(name) === nowMs) continue
      this.#saved.set(name, nowMs)
      const value = new ByteWriter(16)
      value.double(firstMs)
      value.double(nowMs)
      into.push({ space: this.name, key: encodeKey([name]), value: value.take() })
    }
  }

  clear(): void {
    this.#saved.clear()
    for (const clock of this.#clocks.values()) clock.reset()
  }
}
