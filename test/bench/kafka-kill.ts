import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type KafkaLog, openKafkaLog } from '../../state/log/kafka/kafka-log.ts'

/** Who goes on: the same again, the same with its folder lost, or another process that stands by. */
export const heirs = ['same folder', 'empty folder', 'standby'] as const

export type Heir = (typeof heirs)[number]

export interface KillSettings {
  readonly csv: string
  readonly brokers: readonly string[]
  /** Has the transactions already. */
  readonly topicPrefix: string
  /** Temporary. */
  readonly folder: string
  readonly sessionTimeoutMs: number
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const app = 'windows-fused'
const partitions = 4

/** Kills `headwater run` with SIGKILL when half of its input is committed; gives the ms to the next commit. */
export async function killAtHalf(heir: Heir, settings: KillSettings): Promise<number> {
  const { brokers, topicPrefix } = settings
  const log = await openKafkaLog({ brokers, clientId: app, topicPrefix, now: Date.now })
  const running: ChildProcess[] = []
  const start = (data: string) => {
    const started = headwater(settings, data)
    running.push(started)
    return started
  }
  try {
    const ends = await sum((partition) => log.offsets('transaction', partition).then(({ end }) => end))
    const first = start('first')
    if (heir === 'standby') {
      await until(async () => (await committed(log)) > 0)
      start('second')
    }
    await until(async () => (await committed(log)) >= ends / 2)
    first.kill('SIGKILL')
    await once(first, 'close')
    const killedMs = performance.now()
    const before = await committed(log)
    if (before >= ends) throw new Error('it was done before it could be killed')
    if (heir !== 'standby') start(heir === 'same folder' ? 'first' : 'second')
    await until(async () => (await committed(log)) > before)
    return performance.now() - killedMs
  } finally {
    for (const each of running) each.kill('SIGKILL')
    await log.close()
  }
}

function headwater({ csv, brokers, topicPrefix, folder, sessionTimeoutMs }: KillSettings, data: string) {
  const config = join(folder, 'kafka.json')
  writeFileSync(config, JSON.stringify({ topicPrefix }))
  const module = join(folder, 'topology.mts')
  const declared = fileURLToPath(new URL('window-topology.ts', import.meta.url))
  const lines = [
    `import { windowTopology } from ${JSON.stringify(declared)}`,
    `export default windowTopology(${JSON.stringify(csv)}, 'fused')`,
  ]
  writeFileSync(module, `${lines.join('\n')}\n`)
  const cluster = ['--kafka', brokers.join(','), '--kafka-config', config]
  const rest = [
    '--data',
    join(folder, data),
    '--port',
    '0',
    '--session-timeout',
    `${sessionTimeoutMs}`,
    '--json',
  ]
  const command = [join(root, 'topology/cli/headwater.ts'), 'run', module]
  return spawn(process.execPath, ['--import', 'tsx', ...command, ...cluster, ...rest], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** How far the application's group has come, over all partitions. */
const committed = (log: KafkaLog): Promise<number> =>
  sum(async (partition) => (await log.consumed('transaction', partition)) ?? 0n)

async function sum(of: (partition: number) => Promise<bigint>): Promise<number> {
  let total = 0
  for (let partition = 0; partition < partitions; partition++) total += Number(await of(partition))
  return total
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 180_000
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error('nothing was committed for three minutes')
    await sleep(50)
  }
}
