import type { Observable, OperatorFunction } from 'rxjs'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { RecordHeader } from '../state/log/record-batch.ts'
import type { KeyWindowStore } from '../state/store/key-window-store.ts'
import type { OrderedStore } from '../state/store/state-store.ts'
import type { WindowStore } from '../state/store/window-store.ts'

/** An event with key, event time and where it came from, on its way through a graph. */
export interface StreamRecord<Key = unknown, Value = unknown> {
  readonly key: Key
  /** null is a tombstone. */
  readonly value: Value
  readonly timestampMs: TimestampMs
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly headers: readonly RecordHeader[]
}

/** Why a record was not used. Counted by reason, with its lateness where it has one; never silent. */
export interface Drop {
  readonly operator: string
  readonly reason: string
  readonly record: StreamRecord
  /** How far behind the point where it would have been accepted. */
  readonly latenessMs?: DurationMs
  readonly detail?: Readonly<Record<string, unknown>>
}

/**
 * What the task lends to an operator. Everything in it is a function of the
 * records seen so far: no clock, no disk, no chance.
 */
export interface OperatorContext {
  /**
   * Largest event time so far of the topics that the operator's records are made of, the current record included;
   * -Infinity before the first. Less where a topic is declared to be waited for and lags behind: records may then lie
   * past it.
   */
  readonly streamTimeMs: TimestampMs
  /**
   * Sorted state under `name`, kept across restarts. Operators prefix it with
   * their own name, ask for it while they connect, and read it only once
   * records flow: what was saved is loaded in between.
   */
  store<Value>(name: string): OrderedStore<Value>
  /** Windows of `width` doubles each under `name`, kept the same way; `columns` says what the doubles are. */
  windowStore(name: string, width: number, columns: string): WindowStore
  /** The same for windows that each key has at times of its own; without `columns` each has a value beside its doubles. */
  keyWindowStore(name: string, width: number, columns: string | undefined): KeyWindowStore
  drop(drop: Drop): void
  /** Sends the record to the dead-letter topic with this reason. */
  deadLetter(record: StreamRecord, reason: string): void
  /**
   * A function of the declaration threw. In a task the record goes to the dead
   * letters, absent: the one that the task has in hand, and processing goes
   * on; state that was written before the throw stays. An EngineError ends the
   * task: it is thrown on purpose.
   */
  functionFailed(error: unknown, record?: StreamRecord): void
  /**
   * Calls back after each record that moved stream time forward, before the
   * next record, in order of registration. For closing windows and punctuators.
   */
  onStreamTime(callback: (streamTimeMs: TimestampMs) => void): void
  /** Calls back behind the last record of each batch, in order of registration, before it is committed. */
  onBatchEnd(callback: () => void): void
}

/**
 * One step of a stream: takes and returns an observable of records,
 * synchronously, with its state in stores of the context. An operator is a
 * declaration; `connect` makes the RxJS operator of one task.
 */
export interface Operator<In extends StreamRecord = StreamRecord, Out extends StreamRecord = StreamRecord> {
  /** Unique in its topology; part of its stores' names. */
  readonly name: string
  /** Present when the operator changes the key, so that what follows may belong to another partition. */
  readonly repartition?: Repartition
  connect(context: OperatorContext): OperatorFunction<In, Out>
}

/**
 * What an operator that changes the key needs from the topology: either the
 * next operator runs in the same thread and reads the records directly, or the
 * records are written to this internal topic and read again by the owner of
 * their new key. The event time travels with them in both cases.
 */
export interface Repartition {
  /** Of the internal topic, below the topology's own prefix. */
  readonly topic: string
}

/** What one input of a join is, and what it must share with the other. */
export interface JoinInput {
  readonly as: 'stream' | 'table' | 'global-table'
  /** True: the same number of partitions and the same key as the other input. A global table is copied whole to each task. */
  readonly copartitioned: boolean
}

/**
 * One step with two inputs. Records arrive one at a time in the task's order;
 * the order in which the two are declared breaks ties of event time.
 */
export interface Join<
  Left extends StreamRecord = StreamRecord,
  Right extends StreamRecord = StreamRecord,
  Out extends StreamRecord = StreamRecord,
> {
  /** Unique in its topology; part of its stores' names. */
  readonly name: string
  readonly inputs: { readonly left: JoinInput; readonly right: JoinInput }
  /** Present when the results carry another key than the inputs. */
  readonly repartition?: Repartition
  connect(context: OperatorContext): (left: Observable<Left>, right: Observable<Right>) => Observable<Out>
}
