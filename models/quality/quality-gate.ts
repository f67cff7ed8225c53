import { entityKeys } from '../../processors/feature/entity-key.ts'
import type { ViewState } from '../../processors/feature/view-state.ts'
import type { DeadLetter, RecordGate } from '../../processors/graph.ts'
import type { TaskRecord } from '../../processors/task-input.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import { orderedStore } from '../../state/store/ordered-store.ts'
import type { StateStore } from '../../state/store/state-store.ts'
import type { ExpectationSeverity, Expectations } from './expectation.ts'
import {
  type ExpectationTally,
  type Failure,
  type Read,
  SubjectQuality,
  type WindowVerdict,
} from './subject-quality.ts'

export interface QualityGateOptions {
  readonly expectations: readonly Expectations[]
  readonly views: ReadonlyMap<string, ViewState>
  readonly deadLetter: DeadLetter
  /** Told of what was not met and only warns: once a window and expectation. */
  readonly alert: (failure: Failure) => void
  /** Told of every window that was judged. */
  readonly onVerdict?: (verdict: WindowVerdict) => void
  /** True while records are processed that were committed before: they stop nothing. */
  readonly isFollowing: () => boolean
}

interface Watch {
  readonly quality: SubjectQuality
  /** Reads the values of a record of this topic. */
  readonly readerOf: (record: TaskRecord) => Read
}

/** The severities from the strongest on. */
const order: readonly ExpectationSeverity[] = ['stop', 'quarantine', 'warn']

/**
 * Judges every record by the declared expectations before the graph sees it,
 * and every window once stream time has passed its end. A function of the
 * records alone, with its counters in stores: a restart and a replay find the
 * same failures, and alert of them at the same positions.
 */
export class QualityGate implements RecordGate {
  readonly stores: readonly StateStore[]
  readonly #options: QualityGateOptions
  readonly #subjects: readonly SubjectQuality[]
  readonly #byTopic = new Map<string, Watch[]>()

  constructor(options: QualityGateOptions) {
    this.#options = options
    const stores: StateStore[] = []
    this.#subjects = options.expectations.map((expectations) => {
      const store = orderedStore<unknown>(`quality.${expectations.subject}`)
      stores.push(store)
      const quality = new SubjectQuality(expectations, store, (verdict) => options.onVerdict?.(verdict))
      for (const { topic, readerOf } of readersOf(expectations, quality.fields, options.views)) {
        const watches = this.#byTopic.get(topic) ?? []
        this.#byTopic.set(topic, watches)
        watches.push({ quality, readerOf })
      }
      return quality
    })
    this.stores = stores
  }

  admits(record: TaskRecord): boolean {
    return (this.#byTopic.get(record.topic) ?? []).every(({ quality, readerOf }) =>
      quality
        .failuresOf(readerOf(record), record.timestampMs)
        .every(({ expectation }) => expectation.severity === 'warn'),
    )
  }

  admit(record: TaskRecord, streamTimeMs: TimestampMs): boolean {
    const judged = (this.#byTopic.get(record.topic) ?? []).map(({ quality, readerOf }) => {
      const read = readerOf(record)
      return { quality, read, failures: quality.failuresOf(read, record.timestampMs) }
    })
    const failures = judged.flatMap((each) => each.failures)
    if (failures.length > 0) this.#stopAt(record, failures)
    const worst = order.find((severity) =>
      failures.some(({ expectation }) => expectation.severity === severity),
    )
    const isQuarantined = worst === 'quarantine'
    const timeMs = isQuarantined ? streamTimeMs : Math.max(streamTimeMs, record.timestampMs)
    if (timeMs > streamTimeMs) this.#close(record, timeMs)
    for (const { quality, read, failures: found } of judged) {
      const first = quality.count(read, record.timestampMs, found, isQuarantined, timeMs)
      for (const failure of first) if (failure.expectation.severity === 'warn') this.#options.alert(failure)
    }
    if (!isQuarantined) return true
    const named = failures.filter(({ expectation }) => expectation.severity === 'quarantine')
    const detail = named.map((each) => `${each.subject}, "${each.expectation.name}": ${each.message}`)
    this.#options.deadLetter(record, 'expectation-failed', detail.join('; '))
    return false
  }

  /** How often each expectation was judged and not met since the state began. */
  tallies(): readonly ExpectationTally[] {
    return this.#subjects.flatMap((subject) => subject.tally())
  }

  /** Records seen, quarantined and too late for their window, by subject. */
  rows(): readonly {
    readonly subject: string
    readonly rows: number
    readonly quarantined: number
    readonly late: number
  }[] {
    return this.#subjects.map((each) => ({ subject: each.expectations.subject, ...each.rows() }))
  }

  #close(record: TaskRecord, timeMs: TimestampMs): void {
    for (const subject of this.#subjects) {
      const failures = subject.close(timeMs)
      if (failures.length === 0) continue
      this.#stopAt(record, failures)
      for (const failure of failures) {
        if (failure.expectation.severity === 'warn') this.#options.alert(failure)
      }
    }
  }

  /** The record stays uncommitted, and the next start meets it again. What was committed once is past stopping. */
  #stopAt({ topic, partition, offset }: TaskRecord, failures: readonly Failure[]): void {
    if (this.#options.isFollowing()) return
    const failure = failures.find(({ expectation }) => expectation.severity === 'stop')
    if (failure === undefined) return
    const { subject, expectation, message } = failure
    throw new EngineError('expectation-failed', {
      topic,
      partition,
      offset,
      subject,
      expectation: expectation.name,
      detail: message,
    })
  }
}

function readersOf(
  { contract, view }: Expectations,
  fields: readonly string[],
  views: ReadonlyMap<string, ViewState>,
): readonly { readonly topic: string; readonly readerOf: (record: TaskRecord) => Read }[] {
  if (contract !== undefined) {
    const readerOf = (record: TaskRecord): Read => {
      const value = record.value as Readonly<Record<string, unknown>>
      return (place) => value[fields[place]!]
    }
    return [{ topic: contract.topic, readerOf }]
  }
  if (view === undefined) return []
  const state = views.get(view.name)!
  return view.sources.map((source) => {
    const keys = entityKeys(view.entity, view.keys[source.name])
    const readerOf = (record: TaskRecord): Read => {
      const key = keys.many ? (keys.keysOf(record.value)[0] ?? null) : keys.keyOf(record.value)
      const values = state.values(key, record.timestampMs)
      return (place) => values[fields[place]!]
    }
    return { topic: source.topic, readerOf }
  })
}
