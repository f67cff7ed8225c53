import type { Alignment } from '../../models/declaration.ts'
import type { InputGate } from '../../processors/task.ts'
import type { TaskInput } from '../../processors/task-input.ts'
import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { TaskTime, TaskTimes } from './task-times.ts'

/** A task may always be so many records ahead of the slowest. */
const aheadRecords = 10_000

export interface TaskGateOptions {
  readonly task: string
  readonly times: Pick<TaskTimes, 'look'>
  /** Tasks that the records of this one are merged with. */
  readonly beside: readonly string[]
  readonly alignment: Alignment
  /** A clock that only goes forward, ms. */
  readonly elapsedMs: () => DurationMs
  /** Told when a task was waited for in vain. */
  readonly onNotice?: (text: string) => void
}

/**
 * Keeps a task in step with others: of what they write to its inputs it takes
 * nothing before what may still come earlier, and it runs no further ahead of
 * those beside it than is declared. One that is waited for in vain is not
 * waited for again until it has committed something.
 */
export class TaskGate implements InputGate {
  readonly #options: TaskGateOptions
  readonly #beside: readonly string[]
  /** The slowest of those beside this one was known to have come so far. */
  #besideMs: TimestampMs = Number.NEGATIVE_INFINITY
  /** How many records were processed when stream time was so far, oldest first. */
  #trail: { readonly atMs: TimestampMs; readonly processed: number }[] = []
  #heldSince: DurationMs | undefined
  /** Tasks that were waited for in vain, with the commit that they stood at. */
  readonly #givenUp = new Map<string, number>()

  constructor(options: TaskGateOptions) {
    this.#options = options
    this.#beside = options.beside.filter((task) => task !== options.task)
  }

  async openUntil(
    { inputs, processed, batchRecords }: Parameters<InputGate['openUntil']>[0],
    streamTimeMs: TimestampMs,
  ): Promise<TimestampMs> {
    const { waitMs, aheadMs } = this.#options.alignment
    const first = inputs.reduce(
      (least, { head }) => Math.min(least, head?.timestampMs ?? Number.POSITIVE_INFINITY),
      Number.POSITIVE_INFINITY,
    )
    if (waitMs === 0 || first === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    if (this.#trail.at(-1)?.atMs !== streamTimeMs) this.#trail.push({ atMs: streamTimeMs, processed })
    const isAhead = this.#beside.length > 0 && first > this.#besideMs + aheadMs
    const dry = inputs.filter(({ writer, buffered }) => writer !== undefined && buffered === 0)
    if (dry.length === 0 && !isAhead) return Number.POSITIVE_INFINITY

    const asked = [...new Set([...dry.map(({ writer }) => writer!), ...(isAhead ? this.#beside : [])])]
    const times = await this.#options.times.look(asked)
    // What was written before that look is found now, or there is none.
    await lookFurther(dry, batchRecords)
    const waits: { readonly task: string; readonly untilMs: TimestampMs }[] = []
    for (const { writer, buffered } of dry) {
      if (buffered > 0) continue
      waits.push({ task: writer!, untilMs: this.#timeOf(writer!, times) })
    }
    if (isAhead) waits.push(...this.#aheadOf(times, processed))
    const untilMs = waits.reduce((least, wait) => Math.min(least, wait.untilMs), Number.POSITIVE_INFINITY)
    const head = inputs.reduce(
      (least, input) => Math.min(least, input.head?.timestampMs ?? Number.POSITIVE_INFINITY),
      Number.POSITIVE_INFINITY,
    )
    if (head <= untilMs) {
      this.#heldSince = undefined
      return untilMs
    }
    this.#heldSince ??= this.#options.elapsedMs()
    if (this.#options.elapsedMs() - this.#heldSince < waitMs) return untilMs
    this.#giveUp(
      waits.filter((wait) => wait.untilMs < head).map(({ task }) => task),
      times,
    )
    return head
  }

  #timeOf(task: string, times: ReadonlyMap<string, TaskTime>): TimestampMs {
    const { sequence, writtenToMs } = times.get(task)!
    if (this.#givenUp.get(task) === sequence) return Number.POSITIVE_INFINITY
    this.#givenUp.delete(task)
    return writtenToMs
  }

  #aheadOf(times: ReadonlyMap<string, TaskTime>, processed: number) {
    const { aheadMs } = this.#options.alignment
    const slowest = this.#beside
      .map((task) => ({ task, ms: this.#timeOf(task, times) }))
      .reduce((least, each) => (each.ms < least.ms ? each : least))
    this.#besideMs = slowest.ms
    const later = this.#trail.findIndex(({ atMs }) => atMs > slowest.ms)
    this.#trail = later < 0 ? this.#trail.slice(-1) : this.#trail.slice(Math.max(0, later - 1))
    if (processed - (this.#trail[0]?.processed ?? processed) < aheadRecords) return []
    return [{ task: slowest.task, untilMs: slowest.ms + aheadMs }]
  }

  #giveUp(tasks: readonly string[], times: ReadonlyMap<string, TaskTime>): void {
    const { task: own, alignment, onNotice } = this.#options
    this.#heldSince = undefined
    for (const task of new Set(tasks)) {
      this.#givenUp.set(task, times.get(task)!.sequence)
      onNotice?.(
        `${own} goes on without ${task}, which has committed nothing for ${alignment.waitMs / 1_000} s; what it writes later may be late`,
      )
    }
  }
}

/** Reads on where an input has nothing, as far as a task may look ahead. */
async function lookFurther(dry: readonly TaskInput[], batchRecords: number): Promise<void> {
  for (const input of dry) {
    const { feed } = input
    while (feed !== undefined && input.buffered === 0 && feed.hasRoom && (await feed.readOn(batchRecords)));
  }
}
