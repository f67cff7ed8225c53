import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from 'prom-client'

/**
 * The process's own figures, under the names that Prometheus clients share.
 * Returns what ends the watching. The set that comes with prom-client cannot
 * be ended: its observers stay for as long as the process.
 */
export function addProcessMetrics(registry: Registry): () => void {
  const registers = [registry]
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  counter('process_cpu_seconds_total', 'CPU time, user and system', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_start_time_seconds', 'When the process started, since 1970', () =>
    Math.round(performance.timeOrigin / 1_000),
  )
  gauge('process_resident_memory_bytes', 'Memory of the process', () => process.memoryUsage.rss())
  gauge('nodejs_heap_size_total_bytes', 'JavaScript heap', () => process.memoryUsage().heapTotal)
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed)
  gauge('nodejs_external_memory_bytes', 'Memory outside of the JavaScript heap', () => {
    const { external } = process.memoryUsage()
    return external
  })

  const delays = monitorEventLoopDelay({ resolution: 10 })
  delays.enable()
  new Gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'Delay of the event loop since the last look',
    labelNames: ['quantile'],
    registers,
    collect() {
      for (const quantile of [0.5, 0.9, 0.99]) {
        this.set({ quantile: String(quantile) }, delays.percentile(quantile * 100) / 1e9)
      }
      this.set({ quantile: '1' }, delays.max / 1e9)
      delays.reset()
    },
  })
  return () => delays.disable()
}
