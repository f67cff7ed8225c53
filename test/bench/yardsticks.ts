import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** What a machine does without us: the figures that ours are given as multiples of. */

/** Bare writes of 4 KiB, each synced, ms each. */
export function fdatasyncTimes(folder: string, count: number): number[] {
  const path = join(folder, 'yardstick')
  const file = openSync(path, 'w')
  const block = Buffer.alloc(4_096, 1)
  const times: number[] = []
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now()
    writeSync(file, block)
    fdatasyncSync(file)
    times.push(performance.now() - startedMs)
  }
  closeSync(file)
  rmSync(path)
  return times
}

/** CPU µs of one step of the plainest fold: a key made from a number, and a sum kept in a Map. */
export function plainLoopMicros(): number {
  const sums = new Map<number, number>()
  const steps = 2_000_000
  const cpu = process.cpuUsage()
  for (let step = 0; step < steps; step++) {
    const key = (step * 7_919) % 5_003
    sums.set(key, (sums.get(key) ?? 0) + step)
  }
  const { user, system } = process.cpuUsage(cpu)
  return (user + system) / steps
}

/** The value that a share of the list is not above; NaN for an empty list. */
export function quantile(list: readonly number[], share: number): number {
  const sorted = [...list].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
