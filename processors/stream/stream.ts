import type { Observable } from 'rxjs'
import type { Contract } from '../../state/contracts/contract.ts'
import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { FeatureView } from '../feature/feature-view.ts'
import type { GraphContext, GraphPart, Want } from '../graph.ts'
import type { Join, Operator, OperatorContext, StreamRecord } from '../operator.ts'
import type { Emit } from '../outputs.ts'
import type { TaskRecord } from '../task-input.ts'
import { type AsyncCall, asyncCall, type EnrichAsyncOptions } from './async-call.ts'
import type { Branch } from './branch.ts'
import { requireDuration } from './declaration-checks.ts'
import { eachRecord } from './each-record.ts'
import { merge as mergeOf } from './merge.ts'
import { multicast } from './multicast.ts'

/** What a stream of a contract's events carries. Its key is the contract's. */
export type EventRecord<Value> = StreamRecord<unknown, Value>

/** Builds what is behind a stream, once a task. */
type Connect<Out extends StreamRecord> = (graph: ConnectedGraph) => Observable<Out>

/**
 * One task's streams while they are connected: a stream that two others are
 * made of is built once, so its state exists once.
 */
class ConnectedGraph {
  readonly context: GraphContext
  readonly #built = new Map<Connect<never>, Observable<unknown>>()

  constructor(context: GraphContext) {
    this.context = context
  }

  /** What an operator of this lineage is connected with. */
  contextOf({ sources, idleMs }: Lineage): OperatorContext {
    return this.context.ofTopics(sources.map(({ topic }) => ({ topic, idleMs: idleMs.get(topic) ?? 0 })))
  }

  observable<Out extends StreamRecord>(connect: Connect<Out>): Observable<Out> {
    const known = this.#built.get(connect as Connect<never>) as Observable<Out> | undefined
    if (known !== undefined) return known
    const built = multicast(connect(this))
    this.#built.set(connect as Connect<never>, built)
    return built
  }
}

/** Says which keys a record will need of stores that are not resident as a whole. */
export type WantOf = (record: TaskRecord, want: Want) => void

/** What a stream is made of, all the way up. */
export interface Lineage {
  /** Events, each once. */
  readonly sources: readonly Contract[]
  /** How long, by topic, operators go by its time while it lags behind the others; the others: not at all. */
  readonly idleMs: ReadonlyMap<string, DurationMs>
  /** Names of the operators: unique in a topology, since their state has their name. */
  readonly operators: readonly string[]
  /** Views that it reads. */
  readonly views: readonly FeatureView[]
  /** Steps that need more than one partition's records: a key that moves a record elsewhere, a table that each task holds whole. */
  readonly acrossPartitions: readonly string[]
  /** Made once a task. */
  readonly wants: readonly ((context: GraphContext) => WantOf)[]
  /** Calls whose answers it is made of. */
  readonly calls: readonly AsyncCall[]
}

function combined(...lineages: readonly Lineage[]): Lineage {
  const idleMs = new Map<string, DurationMs>()
  for (const lineage of lineages)
    for (const [topic, ms] of lineage.idleMs) idleMs.set(topic, Math.max(ms, idleMs.get(topic) ?? 0))
  return {
    sources: [...new Set(lineages.flatMap(({ sources }) => sources))],
    idleMs,
    operators: [...new Set(lineages.flatMap(({ operators }) => operators))],
    views: [...new Set(lineages.flatMap(({ views }) => views))],
    acrossPartitions: [...new Set(lineages.flatMap(({ acrossPartitions }) => acrossPartitions))],
    wants: [...new Set(lineages.flatMap(({ wants }) => wants))],
    calls: [...new Set(lineages.flatMap(({ calls }) => calls))],
  }
}

const operatorOf = (name: string, acrossPartitions: readonly string[] = []): Lineage => ({
  sources: [],
  idleMs: new Map(),
  operators: [name],
  views: [],
  acrossPartitions,
  wants: [],
  calls: [],
})

const stepOf = ({ name, repartition }: Operator): Lineage =>
  operatorOf(name, repartition === undefined ? [] : [`"${name}" gives records another key`])

function joinOf({ name, inputs, repartition }: Pick<Join, 'name' | 'inputs' | 'repartition'>): Lineage {
  const isWhole = !inputs.left.copartitioned || !inputs.right.copartitioned
  return operatorOf(name, [
    ...(isWhole ? [`"${name}" needs a table as a whole`] : []),
    ...(repartition === undefined ? [] : [`"${name}" gives records another key`]),
  ])
}

/**
 * A stream of records, declared and not yet running. Each step gives a new
 * stream; nothing happens until one ends in `to` and a topology lists it.
 */
export class Stream<Out extends StreamRecord> {
  readonly lineage: Lineage
  readonly #connect: Connect<Out>
  /** Whose events it is, as they are; absent behind a step. */
  readonly #event: Contract | undefined

  constructor(lineage: Lineage, connect: Connect<Out>, event?: Contract) {
    this.lineage = lineage
    this.#connect = connect
    this.#event = event
  }

  /** Passes the records through operators, in order. */
  pipe<A extends StreamRecord>(a: Operator<Out, A>): Stream<A>
  pipe<A extends StreamRecord, B extends StreamRecord>(a: Operator<Out, A>, b: Operator<A, B>): Stream<B>
  pipe<A extends StreamRecord, B extends StreamRecord, C extends StreamRecord>(
    a: Operator<Out, A>,
    b: Operator<A, B>,
    c: Operator<B, C>,
  ): Stream<C>
  pipe<A extends StreamRecord, B extends StreamRecord, C extends StreamRecord, D extends StreamRecord>(
    a: Operator<Out, A>,
    b: Operator<A, B>,
    c: Operator<B, C>,
    d: Operator<C, D>,
  ): Stream<D>
  pipe(...operators: readonly Operator<StreamRecord, StreamRecord>[]): Stream<StreamRecord> {
    let stream = this as unknown as Stream<StreamRecord>
    for (const operator of operators) {
      const before = stream
      stream = new Stream(combined(before.lineage, stepOf(operator)), (graph) =>
        graph
          .observable(before.#connect)
          .pipe(
            operator.connect(graph.contextOf(before.lineage)) as (
              source: Observable<StreamRecord>,
            ) => Observable<StreamRecord>,
          ),
      )
    }
    return stream
  }

  /** Joins each record with those of `right`, as the join says. */
  join<Right extends StreamRecord, Joined extends StreamRecord>(
    right: Stream<Right>,
    join: Join<Out, Right, Joined>,
  ): Stream<Joined> {
    return new Stream(combined(this.lineage, right.lineage, joinOf(join)), (graph) =>
      join.connect(graph.contextOf(combined(this.lineage, right.lineage)))(
        graph.observable(this.#connect),
        graph.observable(right.#connect),
      ),
    )
  }

  /** All records of both, in the order in which the task takes them. */
  merge(other: Stream<Out>): Stream<Out> {
    return new Stream(combined(this.lineage, other.lineage), (graph) =>
      mergeOf<Out>('merge').connect()(graph.observable(this.#connect), graph.observable(other.#connect)),
    )
  }

  /** Several streams of one, by the names of the branch. */
  branch<Name extends string>(branch: Branch<Out, Name>): { readonly [Each in Name]: Stream<Out> } {
    const outs = new WeakMap<ConnectedGraph, { readonly [Each in Name]: Observable<Out> }>()
    const of = (graph: ConnectedGraph) => {
      const known = outs.get(graph) ?? branch.connect(graph.context)(graph.observable(this.#connect))
      outs.set(graph, known)
      return known
    }
    return Object.fromEntries(
      branch.branches.map((name) => [
        name,
        new Stream<Out>(combined(this.lineage, operatorOf(branch.name)), (graph) => of(graph)[name]),
      ]),
    ) as { readonly [Each in Name]: Stream<Out> }
  }

  /**
   * Asks something outside about the events of a contract, in batches, and
   * goes on with the answers. Only the running engine calls, beside its task:
   * it appends each answer as an event of `into`, in the order of the events,
   * together with how far it has come, so a restart loses none and writes none
   * twice. Whatever folds the log, live or again, reads these events and calls
   * nobody. The function may be called again about events whose answers a kill
   * or a stop kept from the log.
   *
   * @throws RangeError for options that cannot be, and for a stream that is not one event as it is.
   */
  enrichAsync<Answer, Enriched extends object>(
    options: EnrichAsyncOptions<Out['value'], Answer, Enriched>,
  ): Stream<EventRecord<Enriched>> {
    const call = asyncCall(this.#event, options)
    const answers = stream(options.into, { idleMs: options.idleMs ?? 0 })
    const lineage = { ...answers.lineage, calls: [...this.lineage.calls, call] }
    return new Stream(lineage, answers.#connect, call.answers)
  }

  /**
   * Writes an event for each record to the contract's topic, at the partition
   * of the event's key: where another stream, a view or a model takes it up,
   * as any other event. This is also the way to another partition: a contract
   * with the new key is the internal topic. null writes nothing.
   */
  to<Value extends object>(contract: Contract<Value>, event: (record: Out) => Value | null): DeclaredStream {
    return {
      kind: 'stream',
      lineage: this.lineage,
      sink: contract as unknown as Contract,
      part: (emit) => {
        let wants: readonly WantOf[] = []
        return {
          stores: [],
          want: (record, want) => {
            for (const each of wants) each(record, want)
          },
          connect: (context) => {
            wants = this.lineage.wants.map((wantOf) => wantOf(context))
            const graph = graphOf(context)
            context.drive(
              graph.observable(this.#connect).pipe(
                eachRecord(context, (record) => {
                  const value = event(record)
                  if (value !== null) emit(value, timeOf(contract, value))
                }),
              ),
            )
          },
        }
      },
    }
  }
}

/** A stream that ends in a topic: what a topology lists under `streams`. */
export interface DeclaredStream {
  readonly kind: 'stream'
  readonly lineage: Lineage
  readonly sink: Contract
  /** Its part of a task's graph. */
  part(emit: Emit): GraphPart
}

/**
 * All events of a contract, with the contract's key.
 *
 * Operators that are made of several topics go by the greatest event time of
 * any of them, so that what lags behind may be late. With `idleMs` they wait
 * for this one: their stream time is the least of those topics that have it
 * and are not idle. A topic is idle once the newest record of the operator's
 * other topics lies more than its `idleMs` of event time past its own newest
 * record; one that never had a record, past their first. Stream time never
 * goes back when it is heard of again. Where a contract is read twice, the
 * longer time holds.
 *
 * @throws RangeError for a time that is no whole number of milliseconds of at least 0.
 */
export function stream<Value>(
  contract: Contract<Value>,
  { idleMs = 0 }: { readonly idleMs?: DurationMs } = {},
): Stream<EventRecord<Value>> {
  requireDuration(`idleMs of stream "${contract.name}"`, idleMs)
  return new Stream(
    {
      sources: [contract as Contract],
      idleMs: new Map(idleMs === 0 ? [] : [[contract.topic, idleMs]]),
      operators: [],
      views: [],
      acrossPartitions: [],
      wants: [],
      calls: [],
    },
    ({ context }) => context.source(contract.topic) as unknown as Observable<EventRecord<Value>>,
    contract as Contract,
  )
}

const graphs = new WeakMap<GraphContext, ConnectedGraph>()

/** Streams of one task share what they are made of. */
function graphOf(context: GraphContext): ConnectedGraph {
  const known = graphs.get(context) ?? new ConnectedGraph(context)
  graphs.set(context, known)
  return known
}

const timeOf = <Value>(contract: Contract<Value>, value: Value): TimestampMs => contract.timeOf(value)
