import { Counter, Gauge, Registry } from 'prom-client'
import type { Instance, InstanceStatus } from '../cluster/instance.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { mergedMetrics } from './task-routing.ts'

const stages = ['idle', 'opening', 'standby', 'taking', 'active'] as const

/** The figures of an instance among others, in Prometheus's format. Those of its engine come beside them while it runs one. */
export class InstanceMetrics {
  readonly #registry = new Registry()
  readonly #process = new Registry()
  readonly #forwarded: Counter<'outcome'>
  readonly #appended: Counter<'event'>
  readonly #endProcess: () => void

  constructor(instance: () => Pick<Instance, 'status' | 'rebalances'> | undefined) {
    const registers = [this.#registry]
    const none = async (): Promise<InstanceStatus | undefined> => undefined
    const status = () => instance()?.status() ?? none()
    new Counter({
      name: 'headwater_instance_rebalances_total',
      help: 'Rounds of sharing out the tasks since the start of the process',
      registers,
      collect() {
        this.reset()
        this.inc(instance()?.rebalances ?? 0)
      },
    })
    new Gauge({
      name: 'headwater_instances',
      help: 'Instances that took part in the last round',
      registers,
      async collect() {
        this.set((await status())?.instances.length ?? 0)
      },
    })
    new Gauge({
      name: 'headwater_instance_task_stage',
      help: 'What this instance does about a task: 1 for the stage it is in, 0 for the others',
      labelNames: ['task', 'stage'],
      registers,
      async collect() {
        this.reset()
        for (const each of (await status())?.tasks ?? []) {
          for (const stage of stages) this.set({ task: each.task, stage }, each.stage === stage ? 1 : 0)
        }
      },
    })
    new Gauge({
      name: 'headwater_instance_standby_behind_offsets',
      help: 'Offsets of the commits on the log that a standby has not followed yet',
      labelNames: ['task'],
      registers,
      async collect() {
        this.reset()
        for (const { task, behindOffsets } of (await status())?.tasks ?? []) this.set({ task }, behindOffsets)
      },
    })
    this.#forwarded = new Counter({
      name: 'headwater_instance_forwarded_requests_total',
      help: 'Requests handed on to the instance that answers for them; outcome "unreachable" where it did not answer',
      labelNames: ['outcome'] as const,
      registers,
    })
    for (const outcome of ['answered', 'unreachable'] as const) this.#forwarded.inc({ outcome }, 0)
    this.#appended = new Counter({
      name: 'headwater_instance_appended_events_total',
      help: 'Events appended through HTTP while this instance stood by',
      labelNames: ['event'] as const,
      registers,
    })
    this.#endProcess = addProcessMetrics(this.#process)
  }

  countForwarded(outcome: 'answered' | 'unreachable'): void {
    this.#forwarded.inc({ outcome })
  }

  countEvents(event: string, count: number): void {
    this.#appended.inc({ event }, count)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** With those of the engines by task, which have the process's own among them. */
  async text(engines: ReadonlyMap<string, { text(): Promise<string> }>): Promise<string> {
    const texts = await Promise.all(
      [...engines].map(async ([task, engine]) => [task, await engine.text()] as const),
    )
    const [[, only] = [undefined, await this.#process.metrics()]] = texts
    return `${await this.#registry.metrics()}\n${texts.length > 1 ? mergedMetrics(new Map(texts)) : only}`
  }

  close(): void {
    this.#endProcess()
    this.#registry.clear()
    this.#process.clear()
  }
}
