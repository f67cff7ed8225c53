import { writerHeader } from '../processors/partition-feed.ts'
import type { TaskRecord } from '../processors/task-input.ts'

/**
 * How far a fold has read one partition, by the positions of its inputs: one,
 * or one for each task that writes the partition.
 */
export class PartitionEnds {
  /** Behind the last record that was read by any of them. */
  readonly last: number
  readonly #rest: number
  readonly #byWriter = new Map<string, number>()

  /** `ends` are next offsets by the names of inputs. */
  constructor(ends: ReadonlyMap<string, number>, topic: string, partition: number) {
    const name = `${topic}[${partition}]`
    this.#rest = ends.get(name) ?? 0
    for (const [input, end] of ends) {
      if (input.startsWith(`${name}@`)) this.#byWriter.set(input.slice(name.length + 1), end)
    }
    this.last = Math.max(this.#rest, ...this.#byWriter.values())
  }

  /** Whether a record of the partition was read. */
  includes({ offset, headers }: TaskRecord): boolean {
    if (offset >= this.last || this.#byWriter.size === 0) return offset < this.last
    const header = headers.find(({ name }) => name === writerHeader)
    const writer = header && Buffer.from(header.value).toString('utf8')
    return offset < ((writer === undefined ? undefined : this.#byWriter.get(writer)) ?? this.#rest)
  }
}
