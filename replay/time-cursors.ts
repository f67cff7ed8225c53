import { writerHeader } from '../processors/partition-feed.ts'
import type { TaskInput } from '../processors/task-input.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'

const batchRecords = 1_000

/** Times that are held for inputs whose turn has not come: as far as a task looks ahead for the records of one of its inputs. */
const mostHeld = 100_000

/** Finds how far inputs go up to a time, by the times of their records alone; only forward. */
export class TimeCursors {
  /** Of the inputs. */
  readonly names: readonly string[]
  readonly #cursors: readonly TimeCursor[]

  private constructor(cursors: readonly TimeCursor[]) {
    this.#cursors = cursors
    this.names = cursors.map(({ name }) => name)
  }

  /** From where the inputs stand, to where their partitions end, or to the given ends. */
  static async open(
    log: Log,
    inputs: readonly TaskInput[],
    ends?: ReadonlyMap<string, number>,
  ): Promise<TimeCursors> {
    const partitions = new Map<string, PartitionTimes>()
    const cursors: TimeCursor[] = []
    for (const input of inputs) {
      const { name, topic, partition } = input
      const place = `${topic}[${partition}]`
      let times = partitions.get(place)
      if (times === undefined) {
        times = await PartitionTimes.open(log, topic, partition, ends?.get(name))
        partitions.set(place, times)
      }
      cursors.push(times.cursorOf(input))
    }
    return new TimeCursors(cursors)
  }

  /**
   * Offset of each behind its records before the first one later than
   * `untilMs`. One that has no such record goes as far as any other of its
   * partition: whoever reads the partition keeps for each what lies between.
   */
  async endsAt(untilMs: TimestampMs): Promise<readonly number[]> {
    const found: (number | undefined)[] = []
    const furthest = new Map<PartitionTimes, number>()
    for (const cursor of this.#cursors) {
      const at = await cursor.laterAt(untilMs)
      found.push(at)
      if (at !== undefined) furthest.set(cursor.of, Math.max(at, furthest.get(cursor.of) ?? at))
    }
    return this.#cursors.map(({ of, passed }, index) => {
      const others = furthest.get(of)
      return found[index] ?? (others === undefined ? of.end : Math.max(passed, others))
    })
  }

  /** Event time up to which the next batch goes; Infinity at the end. */
  async batchEndMs(): Promise<TimestampMs> {
    let until = Number.POSITIVE_INFINITY
    for (const cursor of this.#cursors) until = Math.min(until, await cursor.batchEndMs())
    return until
  }
}

/** The times of one partition, read once for all its inputs: one, or one for each task that writes it. */
class PartitionTimes {
  readonly end: number
  readonly #log: Log
  readonly #topic: string
  readonly #partition: number
  readonly #byWriter = new Map<string, TimeCursor>()
  /** Whose records have no input of their own. */
  #rest: TimeCursor | undefined
  readonly #start: number
  #next: number

  private constructor(log: Log, topic: string, partition: number, start: number, end: number) {
    this.#log = log
    this.#topic = topic
    this.#partition = partition
    this.#start = start
    this.#next = start
    this.end = end
  }

  static async open(
    log: Log,
    topic: string,
    partition: number,
    until = Number.POSITIVE_INFINITY,
  ): Promise<PartitionTimes> {
    const { start, end } = await log.offsets(topic, partition)
    return new PartitionTimes(log, topic, partition, Number(start), Math.min(until, Number(end)))
  }

  /** All cursors are there before the first of them is read. */
  cursorOf({ name, writer, position }: TaskInput): TimeCursor {
    const cursor = new TimeCursor(this, name, position)
    if (writer === undefined) this.#rest = cursor
    else this.#byWriter.set(writer, cursor)
    const positions = [this.#rest, ...this.#byWriter.values()].flatMap((each) => each?.from ?? [])
    this.#next = Math.max(this.#start, Math.min(...positions))
    return cursor
  }

  /** Reads on once. False at the end, and where more is held than a task would look ahead. */
  async readOn(): Promise<boolean> {
    if (this.#next >= this.end) return false
    const held = [this.#rest, ...this.#byWriter.values()].reduce((sum, each) => sum + (each?.held ?? 0), 0)
    if (held >= mostHeld) return false
    const batch = await this.#log.read({
      topic: this.#topic,
      partition: this.#partition,
      offset: BigInt(this.#next),
      maxBytes: 1 << 20,
      maxRecords: batchRecords,
    })
    if (Number(batch.nextOffset) === this.#next) return false
    for (let index = 0; index < batch.count; index++) {
      const offset = Number(batch.baseOffset) + batch.offsetDeltas[index]!
      if (offset < this.end) this.#cursorFor(batch, index)?.put(batch.timestampsMs[index]!, offset)
    }
    this.#next = Number(batch.nextOffset)
    return true
  }

  #cursorFor(batch: RecordBatch, index: number): TimeCursor | undefined {
    if (this.#byWriter.size === 0) return this.#rest
    const header = batch.headers(index).find(({ name }) => name === writerHeader)
    const writer = header && this.#byWriter.get(Buffer.from(header.value).toString('utf8'))
    return writer ?? this.#rest
  }
}

/** Where one input is. */
class TimeCursor {
  readonly of: PartitionTimes
  readonly name: string
  /** Records before this offset are not of interest. */
  readonly from: number
  /** Next offset behind the last record that is no later than was asked. */
  passed: number
  #times: number[] = []
  #offsets: number[] = []
  #index = 0

  constructor(of: PartitionTimes, name: string, from: number) {
    this.of = of
    this.name = name
    this.from = from
    this.passed = from
  }

  get held(): number {
    return this.#times.length - this.#index
  }

  put(atMs: TimestampMs, offset: number): void {
    if (offset < this.from) return
    if (this.#index > batchRecords) {
      this.#times = this.#times.slice(this.#index)
      this.#offsets = this.#offsets.slice(this.#index)
      this.#index = 0
    }
    this.#times.push(atMs)
    this.#offsets.push(offset)
  }

  /** Offset of the first record later than `untilMs`; undefined where there is none, for now. */
  async laterAt(untilMs: TimestampMs): Promise<number | undefined> {
    while (await this.#fill()) {
      for (; this.#index < this.#times.length; this.#index++) {
        const offset = this.#offsets[this.#index]!
        if (this.#times[this.#index]! > untilMs) return offset
        this.passed = offset + 1
      }
    }
    return undefined
  }

  /** Greatest event time of the records that come next, of some; Infinity where there are none. */
  async batchEndMs(): Promise<TimestampMs> {
    if (!(await this.#fill())) return Number.POSITIVE_INFINITY
    let greatest = Number.NEGATIVE_INFINITY
    const end = Math.min(this.#times.length, this.#index + batchRecords)
    for (let index = this.#index; index < end; index++) greatest = Math.max(greatest, this.#times[index]!)
    return greatest
  }

  async #fill(): Promise<boolean> {
    while (this.held === 0) if (!(await this.of.readOn())) return false
    return true
  }
}
