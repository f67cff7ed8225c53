import { type Observable, share, tap } from 'rxjs'
import type { Contract } from '../../state/contracts/contract.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { GraphContext, GraphPart } from '../graph.ts'
import type { Join, Operator, StreamRecord } from '../operator.ts'
import type { Emit } from '../outputs.ts'
import type { Branch } from './branch.ts'
import { merge as mergeOf } from './merge.ts'

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

  observable<Out extends StreamRecord>(connect: Connect<Out>): Observable<Out> {
    const known = this.#built.get(connect as Connect<never>) as Observable<Out> | undefined
    if (known !== undefined) return known
    const built = connect(this).pipe(share())
    this.#built.set(connect as Connect<never>, built)
    return built
  }
}

/**
 * A stream of records, declared and not yet running. Each step gives a new
 * stream; nothing happens until one ends in `to` and a topology lists it.
 */
export class Stream<Out extends StreamRecord> {
  /** The events that it is made of, each once. */
  readonly sources: readonly Contract[]
  /** Names of its operators so far: unique in a topology, since their state has their name. */
  readonly operators: readonly string[]
  readonly #connect: Connect<Out>

  constructor(sources: readonly Contract[], operators: readonly string[], connect: Connect<Out>) {
    this.sources = [...new Set(sources)]
    this.operators = operators
    this.#connect = connect
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
      stream = new Stream(before.sources, [...before.operators, operator.name], (graph) =>
        graph
          .observable(before.#connect)
          .pipe(
            operator.connect(graph.context) as (source: Observable<StreamRecord>) => Observable<StreamRecord>,
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
    const operators = [...this.operators, ...right.operators, join.name]
    return new Stream([...this.sources, ...right.sources], operators, (graph) =>
      join.connect(graph.context)(graph.observable(this.#connect), graph.observable(right.#connect)),
    )
  }

  /** All records of both, in the order in which the task takes them. */
  merge(other: Stream<Out>): Stream<Out> {
    const operators = [...this.operators, ...other.operators]
    return new Stream([...this.sources, ...other.sources], operators, (graph) =>
      mergeOf<Out>('merge').connect()(graph.observable(this.#connect), graph.observable(other.#connect)),
    )
  }

  /** Several streams of one, by the names of the branch. */
  branch<Name extends string>(branch: Branch<Out, Name>): { readonly [Each in Name]: Stream<Out> } {
    const outs = new WeakMap<ConnectedGraph, { readonly [Each in Name]: Observable<Out> }>()
    const of = (graph: ConnectedGraph) => {
      const known = outs.get(graph) ?? branch.connect()(graph.observable(this.#connect))
      outs.set(graph, known)
      return known
    }
    return Object.fromEntries(
      branch.branches.map((name) => [
        name,
        new Stream<Out>(
          this.sources,
          [...this.operators, `${branch.name}.${name}`],
          (graph) => of(graph)[name],
        ),
      ]),
    ) as { readonly [Each in Name]: Stream<Out> }
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
      sources: this.sources,
      sink: contract as unknown as Contract,
      operators: this.operators,
      part: (emit) => ({
        stores: [],
        connect: (context) => {
          const graph = graphOf(context)
          context.drive(
            graph.observable(this.#connect).pipe(
              tap((record) => {
                const value = event(record)
                if (value !== null) emit(value, timeOf(contract, value))
              }),
            ),
          )
        },
      }),
    }
  }
}

/** A stream that ends in a topic: what a topology lists under `streams`. */
export interface DeclaredStream {
  readonly kind: 'stream'
  readonly sources: readonly Contract[]
  readonly sink: Contract
  readonly operators: readonly string[]
  /** Its part of a task's graph. */
  part(emit: Emit): GraphPart
}

/** All events of a contract, with the contract's key. */
export function stream<Value>(contract: Contract<Value>): Stream<EventRecord<Value>> {
  return new Stream(
    [contract as Contract],
    [],
    ({ context }) => context.source(contract.topic) as unknown as Observable<EventRecord<Value>>,
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
