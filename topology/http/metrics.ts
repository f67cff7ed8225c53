import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { RestoreProgress } from '../../state/commit/changelog-restore.ts'
import type { CallStatus } from '../runtime/caller.ts'
import type { Engine } from '../runtime/engine.ts'
import type { InputLag } from '../runtime/input-lag.ts'
import { addProcessMetrics } from './process-metrics.ts'

/** Seconds. From a memory read to the limit of an answer. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30]

type Set = (value: number, ...labels: readonly string[]) => void

/** The engine's figures, in Prometheus's format. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: Histogram<'route' | 'method' | 'status'>
  readonly #appended: Counter<'event'>
  readonly #dropped: Counter
  /** Histogram children by labels: finding one by its labels costs more than the observation. */
  readonly #known = new Map<string, { observe(seconds: number): void }>()
  readonly #endings: readonly (() => unknown)[]

  constructor(engine: Engine) {
    const registers = [this.#registry]
    this.#requests = new Histogram({
      name: 'headwater_http_request_seconds',
      help: 'Time from the head of a request to its answer; status "aborted" where the caller went away',
      labelNames: ['route', 'method', 'status'] as const,
      buckets,
      registers,
    })
    this.#appended = new Counter({
      name: 'headwater_http_events_total',
      help: 'Events appended through HTTP',
      labelNames: ['event'] as const,
      registers,
    })
    for (const { name } of engine.declaration.events) this.#appended.inc({ event: name }, 0)
    this.#dropped = new Counter({
      name: 'headwater_http_connections_refused_total',
      help: 'Connections closed at once because too many were open',
      registers,
    })
    const commits = new Histogram({
      name: 'headwater_commit_seconds',
      help: 'Time of the stages of a commit: append to the log, sync to the disk, checkpoint of the state',
      labelNames: ['stage'] as const,
      buckets,
      registers,
    })
    const stages = {
      append: commits.labels({ stage: 'append' }),
      sync: commits.labels({ stage: 'sync' }),
      checkpoint: commits.labels({ stage: 'checkpoint' }),
    }
    const calls = new Histogram({
      name: 'headwater_store_seconds',
      help: 'Time of the calls on the database of the state',
      labelNames: ['operation'] as const,
      buckets,
      registers,
    })
    const moved = new Counter({
      name: 'headwater_store_bytes_total',
      help: 'Bytes of keys and values that these calls took and gave',
      labelNames: ['operation'] as const,
      registers,
    })
    this.#endings = [
      engine.listenToDatabase(({ operation, ms, bytes }) => {
        calls.observe({ operation }, ms / 1_000)
        moved.inc({ operation }, bytes)
      }),
      engine.commitTimes.listen((stage, seconds) => stages[stage].observe(seconds)),
      addProcessMetrics(this.#registry),
    ]
    this.#addEngine(engine)
    this.#addChangelog(engine)
    this.#addModels(engine)
    this.#addInputs(engine)
    if ((engine.declaration.calls ?? []).length > 0) this.#addCalls(engine)
  }

  /** One answered request, or an aborted one. */
  observe(route: string, method: string, status: number | 'aborted', seconds: number): void {
    const id = `${method} ${route} ${status}`
    let child = this.#known.get(id)
    if (child === undefined) {
      child = this.#requests.labels({ route, method, status: String(status) })
      this.#known.set(id, child)
    }
    child.observe(seconds)
  }

  countEvents(event: string, count: number): void {
    this.#appended.inc({ event }, count)
  }

  dropConnection(): void {
    this.#dropped.inc()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** Stops all watching. */
  close(): void {
    for (const end of this.#endings) end()
    this.#registry.clear()
  }

  /** Of the assembly that the engine has when it is asked: a swap gives it another. */
  #addEngine(engine: Engine): void {
    this.#counter(
      'records',
      'Records processed since the start of the process or of its topology',
      [],
      (add) => add(engine.assembly.task.processed),
    )
    this.#counter(
      'dead_letters',
      'Records refused since the start of the process or of its topology',
      [],
      (add) => add(engine.assembly.task.refused),
    )
    this.#counter('dropped_records', 'Records that an operator left out', ['operator', 'reason'], (add) => {
      for (const { operator, reason, count } of engine.assembly.graph.drops.counts())
        add(count, operator, reason)
    })
    for (const which of ['judged', 'failed'] as const) {
      const help = `Rows or windows that an expectation ${which === 'judged' ? 'was held against' : 'was not met by'}, over the whole log`
      this.#counter(`expectations_${which}`, help, ['subject', 'expectation', 'severity'], (add) => {
        for (const tally of engine.assembly.quality.tallies()) {
          add(tally[which], tally.subject, tally.expectation.name, tally.expectation.severity)
        }
      })
    }
    this.#counter('late_events', 'Events too late for every window of a view', ['view'], (add) => {
      for (const [name, { stores }] of engine.assembly.views) {
        add(
          stores.reduce((sum, store) => sum + store.expiredEvents, 0),
          name,
        )
      }
    })
  }

  /** Of an engine on a cluster. */
  #addChangelog({ assembly: { changelog } }: Engine): void {
    if (changelog === undefined) return
    const { tally } = changelog
    const written = (what: keyof typeof tally, help: string) =>
      this.#counter(`changelog_${what}`, help, [], (add) => add(tally[what]))
    written('checkpoints', 'Checkpoints put on the changelog')
    written('records', 'Records of checkpoints put on the changelog')
    written('bytes', 'Bytes of keys and values put on the changelog')
    const restored = (name: string, help: string, value: (restore: RestoreProgress) => number) =>
      this.#gauge(`restored_${name}`, help, [], (set) => {
        if (changelog.restored !== undefined) set(value(changelog.restored))
      })
    restored('records', 'Records that the state was restored from at the start', ({ records }) => records)
    restored('bytes', 'Bytes that the state was restored from at the start', ({ bytes }) => bytes)
    restored(
      'records_per_second',
      'Rate of the restore from the changelog',
      ({ recordsPerSecond }) => recordsPerSecond,
    )
  }

  #addModels(engine: Engine): void {
    this.#counter('predictions', 'Predictions of a model, over the whole log', ['model'], (add) => {
      for (const [name, part] of engine.assembly.models) add(part.tally().predictions, name)
    })
    const outcomes = 'Labels of a model by what became of them, over the whole log'
    this.#counter('labels', outcomes, ['model', 'outcome'], (add) => {
      for (const [name, part] of engine.assembly.models) {
        const { predictions: _, ...counts } = part.tally()
        for (const [outcome, count] of Object.entries(counts)) add(count, name, outcome)
      }
    })
    const quality = 'Progressive metrics, of the model and of its baselines'
    this.#gauge('model_quality', quality, ['model', 'scorer', 'metric'], (set) => {
      for (const [name, part] of engine.assembly.models) {
        for (const [scorer, metrics] of Object.entries(part.evaluation.quality())) {
          for (const [metric, value] of Object.entries(metrics)) set(value, name, scorer, metric)
        }
      }
    })
  }

  #addCalls(engine: Engine): void {
    const value = (add: Set, of: (status: CallStatus) => number) =>
      engine.calls().then((calls) => {
        for (const status of calls) add(of(status), status.name)
      })
    const gauge = (name: string, help: string, of: (status: CallStatus) => number) =>
      this.#gauge(name, help, ['call'], (set) => value(set, of))
    const counter = (name: string, help: string, of: (status: CallStatus) => number) =>
      this.#counter(name, `${help}, since the start of the process`, ['call'], (add) => value(add, of))
    gauge('call_waiting_records', 'Records that no call was begun for', ({ waiting }) => waiting)
    gauge('call_in_flight_records', 'Records that are asked about now', ({ inFlight }) => inFlight)
    counter('calls', 'Calls outside', ({ calls }) => calls)
    counter('call_retries', 'Calls outside that were made again', ({ retries }) => retries)
    counter('call_answered_records', 'Records with an answer', ({ answered }) => answered)
    counter('call_failed_records', 'Records whose last attempt failed', ({ failed }) => failed)
  }

  #addInputs(engine: Engine): void {
    const labels = ['topic', 'partition']
    // Reads the log once for the four that are collected together.
    let lag: Promise<readonly InputLag[]> | undefined
    const shared = () => {
      lag ??= engine.lag().finally(() => {
        lag = undefined
      })
      return lag
    }
    const input = (name: string, help: string, value: (lag: InputLag) => number) =>
      this.#gauge(name, help, labels, async (set) => {
        for (const each of await shared()) set(value(each), each.topic, String(each.partition))
      })
    input('input_position', 'Next offset to be processed', ({ position }) => position)
    input('input_end_offset', 'Next offset to be written', ({ endOffset }) => endOffset)
    input('lag_records', 'Records on the log that are not processed yet', ({ lagRecords }) => lagRecords)
    input('lag_seconds', 'Age of the oldest record that is not processed', ({ lagSeconds }) => lagSeconds)
    this.#gauge('up', '1 while the engine works, 0 once it has failed', [], (set) =>
      set(engine.failure === undefined ? 1 : 0),
    )
  }

  #gauge(
    name: string,
    help: string,
    labels: readonly string[],
    read: (set: Set) => void | Promise<void>,
  ): void {
    new Gauge({
      name: `headwater_${name}`,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      async collect() {
        this.reset()
        await read((value, ...values) => this.set(labelled(labels, values), value))
      },
    })
  }

  #counter(
    name: string,
    help: string,
    labels: readonly string[],
    read: (add: Set) => void | Promise<void>,
  ): void {
    new Counter({
      name: `headwater_${name}_total`,
      help,
      labelNames: [...labels],
      registers: [this.#registry],
      async collect() {
        this.reset()
        await read((value, ...values) => this.inc(labelled(labels, values), value))
      },
    })
  }
}

const labelled = (names: readonly string[], values: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
