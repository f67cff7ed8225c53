import { Observable, type Subscriber } from 'rxjs'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Database } from '../state/store/database.ts'
import { KeyWindowStore } from '../state/store/key-window-store.ts'
import type { KeyedStore } from '../state/store/keyed-store.ts'
import { orderedStore } from '../state/store/ordered-store.ts'
import type { PackedKey } from '../state/store/packed-key.ts'
import type { OrderedStore, StateStore } from '../state/store/state-store.ts'
import { WindowStore } from '../state/store/window-store.ts'
import { DropCounter } from './drop-counter.ts'
import type { ViewState } from './feature/view-state.ts'
import type { Drop, OperatorContext, StreamRecord } from './operator.ts'
import type { TaskGraph } from './task.ts'
import { type RefusedRecord, TaskRecord } from './task-input.ts'
import { type ClockTopic, TopicTimes } from './topic-times.ts'

/** Names a key that a store has to load before the batch runs. */
export type Want = (store: KeyedStore, key: PackedKey) => void

/** What a part of a graph is connected with. */
export interface GraphContext extends OperatorContext {
  /** The records of a topic that this task reads. */
  source(topic: string): Observable<TaskRecord>
  /** The context of what is made of these topics: its stream time is that of their records alone. */
  ofTopics(topics: readonly ClockTopic[]): OperatorContext
  /** A view's state, to read features from. */
  view(name: string): ViewState
  /** Subscribes to the end of a stream. An error in it ends the task, with the record that met it. */
  drive(stream: Observable<unknown>): void
}

/** A feature view, a model or a stream of operators: connected once, driven by the task. */
export interface GraphPart {
  /** Stores beside those it asks the context for. */
  readonly stores: readonly StateStore[]
  connect(context: GraphContext): void
  /** Says which keys a record will need; only asked for stores that are not resident as a whole. */
  want?(record: TaskRecord, want: Want): void
  /** Answers a request ahead of its turn; stream time and other parts learn of it when its turn comes. */
  answer?(record: TaskRecord): void
}

/** Looks at each record before the parts of the graph, and may keep it from them. */
export interface RecordGate {
  readonly stores: readonly StateStore[]
  /** Judges a record in its turn; `streamTimeMs` is that before it. False: it goes no further and moves no time. */
  admit(record: TaskRecord, streamTimeMs: TimestampMs): boolean
  /** Whether a request may be answered ahead of its turn. Changes nothing. */
  admits(record: TaskRecord): boolean
}

/** Where a graph's refused records go; `detail` where the reason alone does not tell enough. */
export type DeadLetter = (record: StreamRecord, reason: string, detail?: string) => void

/**
 * The RxJS graph of one task: a stream per input topic, and the parts that are
 * subscribed to them, in order. A record passes through every subscriber
 * before the next one is taken.
 */
export class Graph implements TaskGraph {
  readonly drops = new DropCounter()
  /** Who hears of the records of a topic; plain lists, since a subject makes a closure for every record. */
  readonly #sources = new Map<string, Subscriber<TaskRecord>[]>()
  readonly #named = new Map<string, OrderedStore<unknown> | WindowStore | KeyWindowStore>()
  readonly #parts: readonly GraphPart[]
  readonly #context: GraphContext
  readonly #views: ReadonlyMap<string, ViewState>
  readonly #gate: RecordGate | undefined
  readonly #timeCallbacks: ((streamTimeMs: TimestampMs) => void)[] = []
  /** None where nothing goes by stream time. */
  #topicTimes: TopicTimes | undefined
  readonly #batchCallbacks: (() => void)[] = []
  readonly #stores: StateStore[]
  readonly #keyedStores: KeyedStore[]
  #streamTimeMs: TimestampMs = Number.NEGATIVE_INFINITY
  #failure: unknown
  /** The one that is passing through. */
  #inHand!: TaskRecord

  constructor(
    parts: readonly GraphPart[],
    deadLetter: DeadLetter,
    views: ReadonlyMap<string, ViewState> = new Map(),
    gate?: RecordGate,
  ) {
    this.#parts = parts
    this.#views = views
    this.#gate = gate
    this.#context = this.#contextOf(deadLetter)
    for (const part of parts) part.connect(this.#context)
    this.#stores = [
      ...parts.flatMap(({ stores }) => stores),
      ...this.#named.values(),
      ...(this.#topicTimes === undefined ? [] : [this.#topicTimes]),
      ...(this.#topicTimes?.watermarks.isEmpty === false ? [this.#topicTimes.watermarks] : []),
      ...(gate?.stores ?? []),
    ]
    this.#keyedStores = this.#stores.filter((store): store is KeyedStore => 'prefetch' in store)
    const names = this.#stores.map(({ name }) => name)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined)
      throw new RangeError(`two stores are named "${twice}"; operators need names of their own`)
  }

  get stores(): readonly StateStore[] {
    return this.#stores
  }

  get streamTimeMs(): TimestampMs {
    return this.#streamTimeMs
  }

  set streamTimeMs(streamTimeMs: TimestampMs) {
    this.#streamTimeMs = streamTimeMs
  }

  /** One asynchronous read per store for all keys of the batch that are not in memory. */
  async prefetch(records: readonly (TaskRecord | RefusedRecord)[], database: Database): Promise<void> {
    if (this.#keyedStores.every(({ isComplete }) => isComplete)) return
    const wanted = new Map<KeyedStore, Set<PackedKey>>()
    const want: Want = (store, key) => {
      const keys = wanted.get(store)
      if (keys) keys.add(key)
      else wanted.set(store, new Set([key]))
    }
    for (const record of records) {
      if (!(record instanceof TaskRecord)) continue
      for (const part of this.#parts) part.want?.(record, want)
    }
    await Promise.all([...wanted].map(([store, keys]) => store.prefetch(database, [...keys])))
  }

  process(record: TaskRecord): void {
    this.#inHand = record
    if (this.#gate !== undefined && !this.#gate.admit(record, this.#streamTimeMs)) return
    const movesTime = record.timestampMs > this.#streamTimeMs
    if (movesTime) this.#streamTimeMs = record.timestampMs
    const clocks = this.#topicTimes?.observe(record.topic, record.timestampMs) ?? []
    const subscribers = this.#sources.get(record.topic)
    if (subscribers !== undefined) {
      for (let index = 0; index < subscribers.length; index++) subscribers[index]!.next(record)
    }
    for (const { isMoving, callbacks, nowMs } of clocks) {
      if (isMoving) for (const callback of callbacks) callback(nowMs)
    }
    if (movesTime) for (const callback of this.#timeCallbacks) callback(record.timestampMs)
    this.#throwFailure(record)
  }

  endBatch(): void {
    for (const callback of this.#batchCallbacks) callback()
    if (this.#failure !== undefined) this.#throwFailure(this.#inHand)
  }

  answer(record: TaskRecord): void {
    this.#inHand = record
    // One that is refused is told so in its turn.
    if (this.#gate?.admits(record) === false) return
    for (const part of this.#parts) {
      try {
        part.answer?.(record)
      } catch (error) {
        this.#context.functionFailed(error, record)
      }
    }
    this.#throwFailure(record)
  }

  #throwFailure(record: TaskRecord): void {
    if (this.#failure !== undefined) {
      const { topic, partition, offset } = record
      throw new EngineError(
        'record-failed',
        { topic, partition, offset, reason: String(this.#failure) },
        { cause: this.#failure },
      )
    }
  }

  evict(): void {
    for (const store of this.#keyedStores) store.evict()
  }

  #contextOf(deadLetter: DeadLetter): GraphContext {
    const graph = this
    return {
      get streamTimeMs() {
        return graph.#streamTimeMs
      },
      store<Value>(name: string) {
        const known = graph.#named.get(name)
        if (known) return known as OrderedStore<Value>
        const store = orderedStore<Value>(name)
        graph.#named.set(name, store as OrderedStore<unknown>)
        return store
      },
      windowStore(name, width, columns) {
        const store = new WindowStore(name, width, columns)
        if (graph.#named.has(name))
          throw new RangeError(`store "${name}" is asked for twice; names are unique`)
        graph.#named.set(name, store)
        return store
      },
      keyWindowStore(name, width, columns) {
        const store = new KeyWindowStore(name, width, columns)
        if (graph.#named.has(name))
          throw new RangeError(`store "${name}" is asked for twice; names are unique`)
        graph.#named.set(name, store)
        return store
      },
      drop(drop: Drop) {
        graph.drops.count(drop)
      },
      deadLetter: (record, reason) => deadLetter(record, reason),
      functionFailed(error, record = graph.#inHand) {
        try {
          if (endsTask(error)) throw error
          deadLetter(record, 'function-failed', failureText(error))
        } catch (failure) {
          graph.#failure ??= failure
        }
      },
      onStreamTime(callback) {
        graph.#timeCallbacks.push(callback)
      },
      ofTopics(topics) {
        graph.#topicTimes ??= new TopicTimes()
        const clock = graph.#topicTimes.clock(topics)
        const { store, windowStore, keyWindowStore, drop, deadLetter, functionFailed, onBatchEnd } = this
        return {
          store,
          windowStore,
          keyWindowStore,
          drop,
          deadLetter,
          functionFailed,
          onBatchEnd,
          get streamTimeMs() {
            return clock.nowMs
          },
          onStreamTime(callback) {
            clock.callbacks.push(callback)
          },
        }
      },
      onBatchEnd(callback) {
        graph.#batchCallbacks.push(callback)
      },
      view(name) {
        const found = graph.#views.get(name)
        if (found === undefined) throw new RangeError(`view "${name}" is not in the topology`)
        return found
      },
      drive(stream) {
        stream.subscribe({
          error(error) {
            graph.#failure ??= error
          },
        })
      },
      source(topic) {
        const subscribers = graph.#sources.get(topic) ?? []
        graph.#sources.set(topic, subscribers)
        return new Observable<TaskRecord>((subscriber) => {
          subscribers.push(subscriber)
          return () => subscribers.splice(subscribers.indexOf(subscriber), 1)
        })
      },
    }
  }
}

/** Errors of the engine are thrown on purpose, but for those that are about one record. */
function endsTask(error: unknown): boolean {
  return (
    error instanceof EngineError && error.code !== 'contract-violation' && error.code !== 'record-too-large'
  )
}

/** What was thrown, and the place in the declaration that threw it. */
function failureText(error: unknown): string {
  if (!(error instanceof Error)) return `a function of the declaration threw ${String(error)}`
  const place = error.stack?.split('\n').find((line) => /^\s+at /.test(line))
  return `a function of the declaration threw ${error.name}: ${error.message}${place === undefined ? '' : ` (${place.trim()})`}`
}
