import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Engine } from '../runtime/engine.ts'

/** Seconds. From a memory read to the limit of an answer. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30]

/** The engine's figures, in Prometheus's format. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: Histogram<'route' | 'method' | 'status'>
  /** Histogram children by labels: finding one by its labels costs more than the observation. */
  readonly #known = new Map<string, { observe(seconds: number): void }>()

  constructor(engine: Engine) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#requests = new Histogram({
      name: 'headwater_http_request_seconds',
      help: 'Time from the head of a request to its answer',
      labelNames: ['route', 'method', 'status'] as const,
      buckets,
      registers,
    })
    const gauge = (
      name: string,
      help: string,
      labelNames: readonly string[],
      read: (set: (value: number, ...labels: string[]) => void) => void | Promise<void>,
    ) =>
      new Gauge({
        name: `headwater_${name}`,
        help,
        labelNames: [...labelNames],
        registers,
        async collect() {
          this.reset()
          await read((value, ...labels) =>
            this.set(
              Object.fromEntries(labelNames.map((label, index) => [label, labels[index] ?? ''])),
              value,
            ),
          )
        },
      })
    const counter = (
      name: string,
      help: string,
      labelNames: readonly string[],
      read: (add: (value: number, ...labels: string[]) => void) => void,
    ) =>
      new Counter({
        name: `headwater_${name}_total`,
        help,
        labelNames: [...labelNames],
        registers,
        collect() {
          this.reset()
          read((value, ...labels) =>
            this.inc(
              Object.fromEntries(labelNames.map((label, index) => [label, labels[index] ?? ''])),
              value,
            ),
          )
        },
      })
    const { assembly } = engine
    counter('records', 'Records processed since the start of the process', [], (add) =>
      add(assembly.task.processed),
    )
    counter('dead_letters', 'Records refused since the start of the process', [], (add) =>
      add(assembly.task.refused),
    )
    counter('dropped_records', 'Records that an operator left out', ['operator', 'reason'], (add) => {
      for (const { operator, reason, count } of assembly.graph.drops.counts()) add(count, operator, reason)
    })
    counter('late_events', 'Events too late for every window of a view', ['view'], (add) => {
      for (const [name, view] of assembly.views) {
        add(
          view.stores.reduce((sum, store) => sum + store.expiredEvents, 0),
          name,
        )
      }
    })
    counter('predictions', 'Predictions of a model, over the whole log', ['model'], (add) => {
      for (const [name, part] of assembly.models) add(part.tally().predictions, name)
    })
    counter(
      'labels',
      'Labels of a model by what became of them, over the whole log',
      ['model', 'outcome'],
      (add) => {
        for (const [name, part] of assembly.models) {
          const { predictions: _, ...outcomes } = part.tally()
          for (const [outcome, count] of Object.entries(outcomes)) add(count, name, outcome)
        }
      },
    )
    gauge(
      'model_quality',
      'Progressive metrics, of the model and of its baselines',
      ['model', 'scorer', 'metric'],
      (set) => {
        for (const [name, part] of assembly.models) {
          for (const [scorer, quality] of Object.entries(part.evaluation.quality())) {
            for (const [metric, value] of Object.entries(quality)) set(value, name, scorer, metric)
          }
        }
      },
    )
    gauge(
      'lag_records',
      'Records on the log that are not processed yet',
      ['topic', 'partition'],
      async (set) => {
        for (const { topic, partition, lagRecords } of await engine.lag())
          set(lagRecords, topic, String(partition))
      },
    )
    gauge(
      'lag_seconds',
      'Age of the oldest record that is not processed',
      ['topic', 'partition'],
      async (set) => {
        for (const { topic, partition, lagSeconds } of await engine.lag())
          set(lagSeconds, topic, String(partition))
      },
    )
    gauge('ready', '1 when everything on the log is processed and the engine works', [], (set) =>
      set(engine.isCaughtUp && engine.failure === undefined ? 1 : 0),
    )
  }

  observe(route: string, method: string, status: number, seconds: number): void {
    const id = `${method} ${route} ${status}`
    let child = this.#known.get(id)
    if (child === undefined) {
      child = this.#requests.labels({ route, method, status: String(status) })
      this.#known.set(id, child)
    }
    child.observe(seconds)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** Stops what gathers the process's own figures. */
  close(): void {
    this.#registry.clear()
  }
}
