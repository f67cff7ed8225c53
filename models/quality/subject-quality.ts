import type { TimestampMs } from '../../state/contracts/units.ts'
import { days } from '../../state/contracts/units.ts'
import type { OrderedStore } from '../../state/store/state-store.ts'
import { type DeclaredExpectation, durationText, type Expectations } from './expectation.ts'
import { type RowCheck, rowCheck, shown } from './row-check.ts'
import { type Counted, type Judgement, type WindowMeasure, windowMeasure, within } from './window-measure.ts'

/** An expectation that was not met: by a record, or by a window. */
export interface Failure {
  readonly subject: string
  readonly expectation: DeclaredExpectation
  readonly value: number | null
  readonly bound: number | null
  /** What was found and what was expected. */
  readonly message: string
  /** Event time of the record, or end of the window. */
  readonly atMs: TimestampMs
}

/** What one window gave for one expectation, once it was over. */
export interface WindowVerdict {
  readonly subject: string
  readonly expectation: DeclaredExpectation
  readonly fromMs: TimestampMs
  readonly toMs: TimestampMs
  /** Rows judged, those that were quarantined included. */
  readonly count: number
  /** Of rows: how many failed. Of a window: 1 if it failed. */
  readonly failed: number
  /** What was measured: of rows the failing share. */
  readonly value: number
}

/** How often an expectation was judged and not met since the state began: rows, or windows. */
export interface ExpectationTally {
  readonly subject: string
  readonly expectation: DeclaredExpectation
  readonly judged: number
  readonly failed: number
}

interface WindowState {
  /** Records, those that were quarantined included. */
  count: number
  quarantined: number
  /** Of each expectation about rows. */
  readonly failed: number[]
  /** Of each expectation about windows. */
  readonly counted: Counted[]
}

interface Totals {
  judged: number[]
  failed: number[]
  rows: number
  quarantined: number
  /** Records whose window was over: judged as rows, in no window. */
  late: number
  newestMs: number | null
  /** End of the last window that was closed. */
  closedMs: number | null
  /** The newest event of the silence that was told of last. */
  silentSinceMs: number | null
}

const weekMs = days(7)
const totalsKey = ['totals'] as const
const keyOf = (startMs: TimestampMs) => [startMs] as const
/** Counts of closed windows, for the week after. */
const pastKey = (startMs: TimestampMs) => ['past', startMs] as const

/** What a reader of a record's values gives: the value of a field by its place among the fields asked for. */
export type Read = (place: number) => unknown

/**
 * The expectations of one subject with their counters, which live in one
 * store: windows by their start, the counts of the last week, and totals.
 */
export class SubjectQuality {
  readonly expectations: Expectations
  /** Fields that somebody asks for; `Read` takes places in it. */
  readonly fields: readonly string[]
  readonly #store: OrderedStore<unknown>
  readonly #onVerdict: (verdict: WindowVerdict) => void
  readonly #rows: readonly { readonly index: number; readonly place: number; readonly check: RowCheck }[]
  readonly #measures: readonly {
    readonly index: number
    readonly place: number
    readonly measure: WindowMeasure
  }[]
  readonly #freshness: number
  readonly #volume: number

  constructor(
    expectations: Expectations,
    store: OrderedStore<unknown>,
    onVerdict: (verdict: WindowVerdict) => void,
  ) {
    this.expectations = expectations
    this.#store = store
    this.#onVerdict = onVerdict
    const { list } = expectations
    this.fields = [...new Set(list.flatMap(({ field }) => (field === undefined ? [] : [field])))]
    const placeOf = ({ field }: DeclaredExpectation) => this.fields.indexOf(field ?? '')
    this.#rows = list.flatMap((each, index) =>
      each.isOfRows ? [{ index, place: placeOf(each), check: rowCheck(each) }] : [],
    )
    this.#measures = list.flatMap((each, index) => {
      const measure = windowMeasure(each)
      return measure === undefined ? [] : [{ index, place: placeOf(each), measure }]
    })
    this.#freshness = list.findIndex(({ kind }) => kind === 'freshness')
    this.#volume = list.findIndex(({ kind }) => kind === 'volume')
  }

  /** The expectations about rows that a record does not meet, in their order. Changes nothing. */
  failuresOf(read: Read, atMs: TimestampMs): Failure[] {
    const failures: Failure[] = []
    for (const { index, place, check } of this.#rows) {
      const value = read(place)
      if (check(value)) continue
      const expectation = this.expectations.list[index]!
      const found = shown(value)
      const message = `${expectation.field} is ${found}, expected ${expectation.text}`
      const { subject } = this.expectations
      const number = typeof value === 'number' && Number.isFinite(value) ? value : null
      failures.push({ subject, expectation, value: number, bound: null, message, atMs })
    }
    return failures
  }

  /**
   * Counts a record with the failures that `failuresOf` found. Returns those
   * that are the first of their expectation in the window: the ones to tell of.
   */
  count(
    read: Read,
    atMs: TimestampMs,
    failures: readonly Failure[],
    isQuarantined: boolean,
    streamTimeMs: TimestampMs,
  ): readonly Failure[] {
    const { windowMs, graceMs, list } = this.expectations
    const totals = this.#totals()
    totals.rows++
    if (isQuarantined) totals.quarantined++
    else if (totals.newestMs === null || atMs > totals.newestMs) totals.newestMs = atMs
    for (const { index } of this.#rows) totals.judged[index]!++
    const failed = failures.map(({ expectation }) => list.indexOf(expectation))
    for (const index of failed) totals.failed[index]!++
    const startMs = Math.floor(atMs / windowMs) * windowMs
    const isLate = startMs + windowMs + graceMs <= streamTimeMs
    if (isLate) totals.late++
    this.#store.put(totalsKey, totals)
    if (isLate) return []
    const window = this.#window(startMs)
    window.count++
    const isFirst = failed.map((index) => ++window.failed[index]! === 1)
    // Quarantined records are judged as rows and are no part of what the window holds.
    if (isQuarantined) window.quarantined++
    else {
      for (const { index, place, measure } of this.#measures) {
        window.counted[index] = measure.add(window.counted[index]!, read(place))
      }
    }
    this.#store.put(keyOf(startMs), window)
    return failures.filter((_, place) => isFirst[place])
  }

  /** Judges every window that ends, with its grace, by `streamTimeMs`. Returns what was not met, in order of time. */
  close(streamTimeMs: TimestampMs): readonly Failure[] {
    const { windowMs, graceMs } = this.expectations
    const endMs = Math.floor((streamTimeMs - graceMs) / windowMs) * windowMs
    const totals = this.#totals()
    if (totals.closedMs !== null && endMs <= totals.closedMs) return []
    const failures: Failure[] = []
    for (const startMs of this.#due(totals.closedMs, endMs)) this.#closeWindow(startMs, totals, failures)
    this.#judgeFreshness(totals, endMs, failures)
    for (const [key] of this.#store.range(pastKey(Number.NEGATIVE_INFINITY), pastKey(endMs - weekMs))) {
      this.#store.delete(key)
    }
    totals.closedMs = endMs
    this.#store.put(totalsKey, totals)
    return failures
  }

  tally(): readonly ExpectationTally[] {
    const { subject, list } = this.expectations
    const totals = this.#totals()
    return list.map((expectation, index) => ({
      subject,
      expectation,
      judged: totals.judged[index]!,
      failed: totals.failed[index]!,
    }))
  }

  /** Rows seen, quarantined, and too late for their window. */
  rows(): { readonly rows: number; readonly quarantined: number; readonly late: number } {
    const { rows, quarantined, late } = this.#totals()
    return { rows, quarantined, late }
  }

  /** Starts of the windows to close: those with records, and those that are empty and had some a week before. */
  #due(closedMs: number | null, endMs: TimestampMs): readonly TimestampMs[] {
    const starts = new Set<TimestampMs>()
    for (const [[startMs]] of this.#store.range([Number.NEGATIVE_INFINITY], [endMs])) {
      if (typeof startMs === 'number') starts.add(startMs)
    }
    if (this.#volume >= 0 && closedMs !== null) {
      const past = this.#store.range(pastKey(closedMs - weekMs), pastKey(endMs - weekMs))
      for (const [[, startMs]] of past) starts.add((startMs as number) + weekMs)
    }
    return [...starts].sort((left, right) => left - right)
  }

  #closeWindow(startMs: TimestampMs, totals: Totals, failures: Failure[]): void {
    const { list } = this.expectations
    const window = this.#store.get(keyOf(startMs)) as WindowState | undefined
    this.#store.delete(keyOf(startMs))
    const judged = window?.count ?? 0
    const admitted = judged - (window?.quarantined ?? 0)
    if (window !== undefined && judged > 0) {
      for (const { index } of this.#rows) {
        const failed = window.failed[index]!
        this.#verdict(index, startMs, judged, failed, failed / judged)
      }
    }
    if (window !== undefined && admitted > 0) {
      for (const { index, measure } of this.#measures) {
        const judgement = measure.judge(window.counted[index]!, admitted)
        if (judgement !== undefined) this.#judge(index, startMs, admitted, judgement, totals, failures)
      }
    }
    if (this.#volume < 0) return
    const before = this.#store.get(pastKey(startMs - weekMs)) as number | undefined
    const { spec, leastCount } = list[this.#volume]!
    if (before !== undefined && before >= leastCount && 'volume' in spec) {
      this.#judge(this.#volume, startMs, admitted, within(admitted / before, spec.volume), totals, failures)
    }
    if (admitted > 0) this.#store.put(pastKey(startMs), admitted)
  }

  #judge(
    index: number,
    startMs: TimestampMs,
    count: number,
    { value, bound, isMet }: Judgement,
    totals: Totals,
    failures: Failure[],
  ): void {
    const { subject, list, windowMs } = this.expectations
    const expectation = list[index]!
    totals.judged[index]!++
    this.#verdict(index, startMs, count, isMet ? 0 : 1, value)
    if (isMet) return
    totals.failed[index]!++
    const what =
      expectation.field === undefined ? expectation.kind : `${expectation.kind} of ${expectation.field}`
    const message = `${what} is ${Number(value.toPrecision(6))} in the window of ${count} from ${new Date(startMs).toISOString()}, expected ${expectation.text}`
    failures.push({ subject, expectation, value, bound, message, atMs: startMs + windowMs })
  }

  /** The ends of windows since the last close, all at once: silence may have lasted for many. */
  #judgeFreshness(totals: Totals, endMs: TimestampMs, failures: Failure[]): void {
    const expectation = this.expectations.list[this.#freshness]
    if (expectation === undefined || !('freshness' in expectation.spec) || totals.newestMs === null) return
    const { windowMs, subject } = this.expectations
    const { atMost } = expectation.spec.freshness
    const newestEndMs = Math.floor(totals.newestMs / windowMs) * windowMs
    const fromMs = totals.closedMs ?? newestEndMs
    const judged = (endMs - fromMs) / windowMs
    if (judged <= 0) return
    /** The first end that is too far from the newest event. */
    const firstStale =
      Math.max(Math.floor((totals.newestMs + atMost) / windowMs) * windowMs, fromMs) + windowMs
    const failed = Math.max(0, (endMs - firstStale) / windowMs + 1)
    totals.judged[this.#freshness]! += judged
    totals.failed[this.#freshness]! += failed
    const ageMs = endMs - totals.newestMs
    this.#verdict(this.#freshness, endMs - windowMs, judged, failed, ageMs)
    if (failed === 0 || totals.silentSinceMs === totals.newestMs) return
    totals.silentSinceMs = totals.newestMs
    const message = `the newest event is ${durationText(firstStale - totals.newestMs)} old at ${new Date(firstStale).toISOString()}, expected ${expectation.text}`
    failures.push({
      subject,
      expectation,
      value: firstStale - totals.newestMs,
      bound: atMost,
      message,
      atMs: firstStale,
    })
  }

  #verdict(index: number, fromMs: TimestampMs, count: number, failed: number, value: number): void {
    const { subject, list, windowMs } = this.expectations
    this.#onVerdict({
      subject,
      expectation: list[index]!,
      fromMs,
      toMs: fromMs + windowMs,
      count,
      failed,
      value,
    })
  }

  #window(startMs: TimestampMs): WindowState {
    const known = this.#store.get(keyOf(startMs)) as WindowState | undefined
    if (known !== undefined) return known
    const { list } = this.expectations
    const counted: Counted[] = list.map(() => null)
    for (const { index, measure } of this.#measures) counted[index] = measure.empty()
    return { count: 0, quarantined: 0, failed: list.map(() => 0), counted }
  }

  #totals(): Totals {
    const known = this.#store.get(totalsKey) as Totals | undefined
    if (known !== undefined) return known
    const zeros = () => this.expectations.list.map(() => 0)
    return {
      judged: zeros(),
      failed: zeros(),
      rows: 0,
      quarantined: 0,
      late: 0,
      newestMs: null,
      closedMs: null,
      silentSinceMs: null,
    }
  }
}
