import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export interface ScaleSettings {
  readonly csv: string
  readonly brokers: readonly string[]
  readonly topicPrefix: string
  /** Temporary. */
  readonly folder: string
  /** Transactions on the cluster. */
  readonly events: number
  readonly processes: number
}

export interface ScaleResult {
  readonly seconds: number
  /** Of all processes, their starts included. */
  readonly cpuSeconds: number
  readonly peakRssMb: number
  /** How many tasks each process had in the end. */
  readonly tasks: readonly number[]
}

interface TaskLine {
  readonly task: string
  readonly lag: number
  readonly processed: number
}

interface Member {
  readonly child: ChildProcess
  tasks: readonly TaskLine[]
  used: { readonly cpuSeconds: number; readonly peakRssMb: number } | undefined
}

const child = fileURLToPath(new URL('kafka-scale-child.ts', import.meta.url))
/** Of job P1: a task for each partition of the transactions, and one for each of the internal topic. */
const taskCount = 8

/** Puts the transactions on the cluster. */
export async function bring({ csv, brokers, topicPrefix, events }: ScaleSettings): Promise<void> {
  const command = ['--import', 'tsx', child, csv, brokers.join(','), topicPrefix, `${events}`]
  const running = spawn(process.execPath, command, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = await once(running, 'close')
  if (code !== 0) throw new Error(`bringing the transactions ended with ${code}`)
}

/** Processes that share job P1 work off what is on the cluster. */
export async function workOff(settings: ScaleSettings): Promise<ScaleResult> {
  const { events, processes } = settings
  const startedMs = performance.now()
  const members = Array.from({ length: processes }, (_, index) => member(settings, `member-${index}`))
  try {
    while (!isDone(members, events)) {
      for (const { child: each } of members) {
        if (each.exitCode !== null) throw new Error(`a process ended with ${each.exitCode}`)
      }
      await sleep(200)
    }
    const seconds = (performance.now() - startedMs) / 1_000
    const tasks = members.map((each) => each.tasks.length)
    for (const { child: each } of members) each.kill('SIGTERM')
    await Promise.all(members.map(({ child: each }) => once(each, 'close')))
    const used = members.map((each) => each.used!)
    return {
      seconds,
      cpuSeconds: used.reduce((sum, each) => sum + each.cpuSeconds, 0),
      peakRssMb: Math.max(...used.map((each) => each.peakRssMb)),
      tasks,
    }
  } finally {
    for (const { child: each } of members) each.kill('SIGKILL')
  }
}

/** Each event is a record of the transactions and one of the internal topic. */
function isDone(members: readonly Member[], events: number): boolean {
  const tasks = members.flatMap((each) => each.tasks)
  const processed = tasks.reduce((sum, task) => sum + task.processed, 0)
  return tasks.length === taskCount && processed >= 2 * events && tasks.every(({ lag }) => lag === 0)
}

function member({ csv, brokers, topicPrefix, folder, events }: ScaleSettings, name: string): Member {
  const command = [
    '--import',
    'tsx',
    child,
    csv,
    brokers.join(','),
    topicPrefix,
    `${events}`,
    join(folder, name),
    name,
  ]
  const running = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] })
  const found: Member = { child: running, tasks: [], used: undefined }
  createInterface({ input: running.stdout }).on('line', (text) => {
    const line = JSON.parse(text)
    if (line.is === 'tasks') found.tasks = line.tasks
    else found.used = line
  })
  return found
}
