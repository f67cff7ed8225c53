import type { TaskShare } from '../models/declaration.ts'
import { readCommits, readLayouts } from '../state/commit/commit-log.ts'
import { type BoundContract, bindContract } from '../state/contracts/codec.ts'
import {
  type CommitEvent,
  engineContracts,
  type TaskLayoutEvent,
} from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { partitionTimes } from './partition-times.ts'
import { taskIdOf } from './task-plan.ts'

/**
 * One end of a range of a log: an event time; a record, before which the
 * engine stood when it had read all offsets below; or a commit, before whose
 * batch it stood.
 */
export type RangeEdge =
  | { readonly kind: 'time'; readonly atMs: TimestampMs }
  | { readonly kind: 'record'; readonly topic: string; readonly partition: number; readonly offset: number }
  | { readonly kind: 'commit'; readonly sequence: number }

/** Half-open: what is at `from` is in it, what is at `to` is not. */
export interface ReplayRange {
  readonly from?: RangeEdge
  readonly to?: RangeEdge
}

/** Next offsets by input, `topic[partition]`; inputs that are not named may stand anywhere. */
export type PositionOffsets = Readonly<Record<string, number>>

/** Places of the fold, half-open: a place is behind an edge when each of the edge's inputs is. */
export interface PositionRange {
  readonly from?: PositionOffsets
  readonly to?: PositionOffsets
  /** Whose places they are, where the application runs as several tasks. */
  readonly share?: TaskPlace
}

/** One of several tasks, and where its commits are. */
type TaskPlace = Pick<TaskShare, 'task' | 'ordinal'>

/** A range with its edges found on the log. */
export interface FoundRange {
  /** Event times, of the edges that are times. */
  readonly fromMs?: TimestampMs
  readonly toMs?: TimestampMs
  /** Places of the fold, of the edges that are records or commits. */
  readonly positions?: PositionRange
}

export interface RangeSource {
  /** Name of the topology. */
  readonly app: string
  readonly log: Log
  readonly registry: SchemaRegistry
  /** Of several tasks the one whose places are meant. */
  readonly share?: TaskPlace | undefined
}

type Commit = Pick<CommitEvent, 'sequence' | 'offsets' | 'layout' | 'at'>

/**
 * Finds the edges of a range on the log, for what asks of each prediction
 * where the fold stood: the event times of one kind of edges, the places of
 * the other.
 *
 * @throws EngineError `position-unknown` where the log has no such place
 */
export async function findRange({ from, to }: ReplayRange, source: RangeSource): Promise<FoundRange> {
  const times = {
    ...(from?.kind === 'time' ? { fromMs: from.atMs } : {}),
    ...(to?.kind === 'time' ? { toMs: to.atMs } : {}),
  }
  if (isOfTimes({ from, to })) return times
  const history = await PositionHistory.read(source)
  const offsetsOf = async (edge: RangeEdge | undefined): Promise<PositionOffsets | undefined> =>
    edge === undefined || edge.kind === 'time' ? undefined : history.offsetsAt(edge, source.log)
  const [first, last] = [await offsetsOf(from), await offsetsOf(to)]
  const positions = {
    ...(first === undefined ? {} : { from: first }),
    ...(last === undefined ? {} : { to: last }),
    ...(source.share === undefined ? {} : { share: placeOf(source.share) }),
  }
  return { ...times, positions }
}

/**
 * The same range in event time alone, for what judges windows of time: a
 * record stands for its event time, a commit for the time that the log had
 * come to before its batch.
 *
 * @throws EngineError `position-unknown` where the log has no such place
 */
export async function timesOfRange(
  { from, to }: ReplayRange,
  source: RangeSource,
): Promise<Pick<FoundRange, 'fromMs' | 'toMs'>> {
  if (isOfTimes({ from, to })) return findRange({ ...(from && { from }), ...(to && { to }) }, source)
  const history = await PositionHistory.read(source)
  return {
    ...(from === undefined ? {} : { fromMs: await history.timeAt(from, source.log) }),
    ...(to === undefined ? {} : { toMs: await history.timeAt(to, source.log) }),
  }
}

const placeOf = ({ task, ordinal }: TaskPlace): TaskPlace => ({ task, ordinal })

const isOfTimes = (range: { from: RangeEdge | undefined; to: RangeEdge | undefined }): boolean =>
  (range.from ?? { kind: 'time' }).kind === 'time' && (range.to ?? { kind: 'time' }).kind === 'time'

/** Tells of places of a fold whether they are in a range. */
export class PositionFilter {
  readonly #range: PositionRange
  readonly #history: PositionHistory

  private constructor(range: PositionRange, history: PositionHistory) {
    this.#range = range
    this.#history = history
  }

  static async open(range: PositionRange, source: RangeSource): Promise<PositionFilter> {
    const { share = source.share } = range
    return new PositionFilter(range, await PositionHistory.read({ ...source, share }))
  }

  /** Of the position in a prediction's event; its inputs are those that the task had then. */
  includes(offsets: readonly (number | bigint)[]): boolean {
    return inPositions(this.#range, this.#history.inputsOf(offsets), offsets)
  }
}

/** Whether offsets of these inputs, in this order, are in the range; `absent` is where inputs stand that are not among them. */
export function inPositions(
  { from, to }: PositionRange,
  inputs: readonly string[],
  offsets: readonly (number | bigint)[],
  absent = 0,
): boolean {
  const isBehind = (edge: PositionOffsets): boolean =>
    Object.entries(edge).every(([name, least]) => Number(offsets[inputs.indexOf(name)] ?? absent) >= least)
  return (from === undefined || isBehind(from)) && (to === undefined || !isBehind(to))
}

/** `topic[partition]`, without whose records of it the input has. */
const partitionOfInput = (name: string): string => name.split('@')[0]!

/** As a command takes it. */
export const edgeText = (edge: RangeEdge): string => {
  if (edge.kind === 'time') return new Date(edge.atMs).toISOString()
  return edge.kind === 'commit' ? `#${edge.sequence}` : `${edge.topic}[${edge.partition}]:${edge.offset}`
}

/** The commits of a task, as far as ranges need them. */
class PositionHistory {
  /** Oldest first. */
  readonly #commits: readonly Commit[]
  readonly #inputs: ReadonlyMap<string, readonly string[]>
  /** By their number, where all layouts with so many inputs have the same. */
  readonly #onlyInputs = new Map<number, readonly string[]>()

  private constructor(commits: readonly Commit[], inputs: ReadonlyMap<string, readonly string[]>) {
    this.#commits = commits
    this.#inputs = inputs
  }

  static async read({ app, log, registry, share }: RangeSource): Promise<PositionHistory> {
    const contracts = engineContracts(app)
    const bound = await bindContract(contracts.commit, registry)
    const layouts = await bindContract(contracts.taskLayout, registry)
    const task = share?.task ?? taskIdOf({ name: app })
    const partition = share?.ordinal ?? 0
    const own = bound as BoundContract<object> as BoundContract<Commit & { task: string }>
    const commits: Commit[] = []
    for await (const { sequence, offsets, layout, at } of readCommits(
      { log, commits: own, task, partition },
      0,
    )) {
      commits.push({ sequence, offsets, layout, at })
    }
    const found = await readLayouts(log, layouts as BoundContract<TaskLayoutEvent>, task)
    return new PositionHistory(commits, new Map([...found].map(([name, { inputs }]) => [name, inputs])))
  }

  async offsetsAt(edge: Exclude<RangeEdge, { kind: 'time' }>, log: Log): Promise<PositionOffsets> {
    if (edge.kind === 'record') {
      await this.#checkRecord(edge, log)
      const names = this.#inputsOf(`${edge.topic}[${edge.partition}]`)
      return Object.fromEntries(names.map((name) => [name, edge.offset]))
    }
    const before = this.#before(edge)
    if (before === undefined) return {}
    const inputs = this.#inputs.get(before.layout) ?? []
    return Object.fromEntries(inputs.map((name, index) => [name, Number(before.offsets[index]!)]))
  }

  async timeAt(edge: RangeEdge, log: Log): Promise<TimestampMs> {
    if (edge.kind === 'time') return edge.atMs
    if (edge.kind === 'commit') return Number(this.#before(edge)?.at ?? Number.NEGATIVE_INFINITY)
    const end = await this.#checkRecord(edge, log)
    const { topic, partition } = edge
    for (let offset = BigInt(edge.offset); offset < end; ) {
      const batch = await log.read({ topic, partition, offset, maxBytes: 1, maxRecords: 1 })
      if (batch.count > 0) return batch.timestampsMs[0]!
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
    // At the end there is no record: the range reaches behind the last one.
    const times = await partitionTimes(log, topic, partition)
    return times === undefined ? Number.NEGATIVE_INFINITY : times.lastMs + 1
  }

  /** Names of the inputs of a position: the layout under which the task stood there. */
  inputsOf(offsets: readonly (number | bigint)[]): readonly string[] {
    const only = this.#onlyInputs.get(offsets.length)
    if (only !== undefined) return only
    const fitting = [...this.#inputs].filter(([, inputs]) => inputs.length === offsets.length)
    if (new Set(fitting.map(([, inputs]) => inputs.join())).size <= 1) {
      const inputs = fitting[0]?.[1] ?? []
      this.#onlyInputs.set(offsets.length, inputs)
      return inputs
    }
    const next = this.#commits.find(
      (commit) =>
        commit.offsets.length === offsets.length &&
        commit.offsets.every((offset, index) => Number(offset) >= Number(offsets[index])),
    )
    return this.#inputs.get(next?.layout ?? '') ?? fitting.at(-1)![1]
  }

  /** The commit before which the edge lies has this one before it; undefined at the very beginning. */
  #before(edge: { readonly kind: 'commit'; readonly sequence: number }): Commit | undefined {
    const first = this.#commits[0]?.sequence ?? 0
    const last = this.#commits.at(-1)?.sequence ?? -1
    if (edge.sequence > last + 1 || edge.sequence < first) {
      throw new EngineError('position-unknown', {
        position: edgeText(edge),
        found: last < 0 ? 'the log holds no commit' : `the log holds the commits #${first} to #${last}`,
        expected: last < 0 ? 'run the topology first' : `write #${first} to #${last + 1}`,
      })
    }
    return this.#commits.findLast(({ sequence }) => sequence < edge.sequence)
  }

  /** The inputs that read a partition: one for each task that writes it, where several do. */
  #inputsOf(partition: string): readonly string[] {
    const names = new Set([...this.#inputs.values()].flat())
    return [...names].filter((name) => partitionOfInput(name) === partition)
  }

  /** Returns where the input ends. */
  async #checkRecord(
    edge: { readonly kind: 'record'; topic: string; partition: number; offset: number },
    log: Log,
  ): Promise<number> {
    const position = edgeText(edge)
    const name = `${edge.topic}[${edge.partition}]`
    const known = [...new Set([...this.#inputs.values()].flat().map(partitionOfInput))]
    if (!known.includes(name)) {
      throw new EngineError('position-unknown', {
        position,
        found: `the engine has read ${known.length === 0 ? 'no input yet' : known.join(', ')}`,
        expected: 'name one of its inputs as topic[partition]:offset',
      })
    }
    const { start, end } = await log.offsets(edge.topic, edge.partition)
    if (edge.offset > Number(end)) {
      throw new EngineError('position-unknown', {
        position,
        found: `${name} holds the offsets ${start} to ${end - 1n}`,
        expected: `write ${name}:${start} to ${name}:${end}`,
      })
    }
    return Number(end)
  }
}
