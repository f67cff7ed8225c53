import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createGunzip, gzipSync } from 'node:zlib'
import { openKafkaLog } from '../../state/log/kafka/kafka-log.ts'
import { type KafkaBroker, startKafkaBroker } from '../support/kafka-broker.ts'
import { heirs, killAtHalf } from './kafka-kill.ts'
import { bring, workOff } from './kafka-scale.ts'
import { expectedThirtyDayCounts, type ThirtyDayCounts } from './thirty-day-counts.ts'

/*
 *     npm run bench:kafka -- transactions.csv.gz [--events N] [--runs N] [--only TEXT] [--peer DIR] [--kill] [--scale] [--broker-pid ID]
 *
 * Jobs P1 (nine windows of each transaction, one output for each window that
 * a commit touched; job P2A on the cluster) and P1b (30 windowed features
 * before each transaction; P2B on the cluster), exactly once, from and to a
 * broker of Apache Kafka that is started for the purpose or named by
 * KAFKA_BROKERS. What came out is read back and checked. CPU is that of the
 * process that runs the application, its start included; the broker's own is
 * stated beside it, of a broker at KAFKA_BROKERS where --broker-pid tells its
 * process on this machine.
 *
 * With --scale also what P1 costs one process and three that share its tasks.
 *
 * With --kill also how long it takes from a kill -9 at half of P1's input to
 * the next commit.
 *
 * With --peer, a folder whose run.sh works off the same jobs with Kafka
 * Streams and prints a JSON line, its rows come from the same broker.
 */

interface Row {
  readonly job: string
  readonly events: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly brokerCpuSeconds: number
  readonly peakRssMb: number
  readonly outcome: string
}

interface Line {
  readonly is: 'begun' | 'commit' | 'done' | 'checked'
  readonly elapsedMs: number
  readonly cpuSeconds: number
  readonly peakRssMb: number
  readonly commits: number
  readonly changelog: { readonly records: number; readonly bytes: number }
  readonly counts: Readonly<Record<string, number>>
}

const jobs = [
  'P1 fused',
  'P1 through the internal topic',
  'P1b fused',
  'P1b through the internal topic',
] as const
const ourName = (job: string): string => `Headwater, ${job}`
const peerJobs = ['p1', 'p1b'] as const
type PeerJob = (typeof peerJobs)[number]
const peerName = (job: PeerJob): string => `Kafka Streams, ${job.replace('p', 'P')}`
const all = 622_892
const sessionTimeoutMs = 6_000
const child = fileURLToPath(new URL('kafka-bench-child.ts', import.meta.url))

const args = process.argv.slice(2)
const optionOf = (name: string): string | undefined => {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args[at + 1]
}
const csv = args.find((each) => each.endsWith('.csv.gz'))
const events = Math.min(all, Number(optionOf('--events') ?? all))
const only = optionOf('--only') ?? ''
const runs = Number(optionOf('--runs') ?? 1)

/** Runs a child to its end; its lines, the last of each kind. */
async function childLines(command: readonly string[]): Promise<ReadonlyMap<string, Line>> {
  const running = spawn(process.execPath, ['--import', 'tsx', child, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = new Map<string, Line>()
  createInterface({ input: running.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line
    lines.set(line.is, line)
  })
  const [code] = await once(running, 'close')
  if (code !== 0) throw new Error(`${command.slice(0, 2).join(' ')} ended with ${code}`)
  return lines
}

/** User and system time of the broker; NaN where its process is not known. */
function brokerCpuSeconds({ process: own }: KafkaBroker): number {
  const pid = optionOf('--broker-pid') ?? own?.pid()
  if (pid === undefined) return Number.NaN
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function ours(job: string, path: string, broker: KafkaBroker): Promise<Row> {
  const data = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
  const topicPrefix = `bench${Date.now()}.`
  const rest = [job, path, String(events), broker.brokers.join(','), topicPrefix]
  try {
    await childLines(['load', ...rest, ''])
    const brokerBefore = brokerCpuSeconds(broker)
    const lines = await childLines(['run', ...rest, data])
    const { elapsedMs, cpuSeconds, peakRssMb, commits, changelog } = lines.get('done')!
    return {
      job: ourName(job),
      events,
      seconds: elapsedMs / 1_000,
      cpuSeconds,
      brokerCpuSeconds: brokerCpuSeconds(broker) - brokerBefore,
      peakRssMb,
      outcome: `${await outcome(job, path, lines.get('checked')!.counts)}; ${commits} commits, changelog ${(changelog.bytes / 1e6).toFixed(0)} MB`,
    }
  } finally {
    await removeTopics(broker, topicPrefix)
    rmSync(data, { recursive: true, force: true })
  }
}

/** A broker that was there before is left as it was. */
async function removeTopics({ brokers }: KafkaBroker, topicPrefix: string): Promise<void> {
  const log = await openKafkaLog({ brokers, clientId: 'bench', topicPrefix, now: Date.now })
  try {
    for (const { name } of await log.topics()) await log.deleteTopic(name)
  } finally {
    await log.close()
  }
}

/** @throws Error where what came out is not what had to */
async function outcome(job: string, path: string, counts: Readonly<Record<string, number>>): Promise<string> {
  if (job.startsWith('P1b')) {
    const { strictly, inFileOrder } = await expectedThirtyDayCounts(path, events)
    const found = counts as unknown as ThirtyDayCounts
    if (JSON.stringify(found) !== JSON.stringify(strictly)) {
      throw new Error(`${job}: found ${JSON.stringify(found)}, expected ${JSON.stringify(strictly)}`)
    }
    const ties = [inFileOrder.customer - found.customer, inFileOrder.terminal - found.terminal]
    return `30-day counts exact: ${found.customer} and ${found.terminal} (and ${ties.join(' and ')} of the same second)`
  }
  const wrong = Object.entries(counts).filter(([, counted]) => counted !== events)
  if (wrong.length > 0 || Object.keys(counts).length !== 9) {
    throw new Error(`${job}: windows of ${events} transactions counted ${JSON.stringify(counts)}`)
  }
  return 'nine sums right'
}

interface PeerAnswer {
  readonly input: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRssMb: number
  readonly countsRight?: boolean
  readonly customerCount30dSum?: number
  readonly terminalCount30dSum?: number
  readonly killToFirstCommitMs?: number
}

/** What the peer says of a job: the same events on the same broker, one thread, exactly once, a commit each 100 ms. */
async function peerAnswer(
  folder: string,
  path: string,
  broker: KafkaBroker,
  options: readonly string[],
): Promise<PeerAnswer> {
  const command = [
    join(folder, 'run.sh'),
    broker.brokers.join(','),
    path,
    '--threads',
    '1',
    '--commit',
    '100',
  ]
  const running = spawn('sh', [...command, ...options], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  running.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  const [code] = await once(running, 'close')
  if (code !== 0) throw new Error(`${folder}/run.sh ended with ${code}`)
  const answer = JSON.parse(output) as PeerAnswer
  if (answer.input !== events) {
    throw new Error(`the peer worked off ${answer.input} events, not ${events}: was its topic there before?`)
  }
  return answer
}

async function theirs(job: PeerJob, folder: string, path: string, broker: KafkaBroker): Promise<Row> {
  const brokerBefore = brokerCpuSeconds(broker)
  const answer = await peerAnswer(folder, path, broker, ['--job', job])
  const { customerCount30dSum, terminalCount30dSum } = answer
  return {
    job: peerName(job),
    events,
    seconds: answer.seconds,
    cpuSeconds: answer.cpuSeconds,
    brokerCpuSeconds: brokerCpuSeconds(broker) - brokerBefore,
    peakRssMb: answer.peakRssMb,
    outcome:
      job === 'p1'
        ? `nine sums ${answer.countsRight === true ? 'right' : 'WRONG'}`
        : await peerShortfall(path, customerCount30dSum ?? 0, terminalCount30dSum ?? 0),
  }
}

async function peerShortfall(path: string, customer: number, terminal: number): Promise<string> {
  const { inFileOrder } = await expectedThirtyDayCounts(path, events)
  const share = (found: number, expected: number) => `${((100 * (found - expected)) / expected).toFixed(1)} %`
  return `30-day counts ${customer} (${share(customer, inFileOrder.customer)}) and ${terminal} (${share(terminal, inFileOrder.terminal)})`
}

/** The header and as many rows as are asked for, for a peer that takes a whole file. */
async function firstRows(path: string, folder: string): Promise<string> {
  if (events === all) return path
  const lines: string[] = []
  for await (const line of createInterface({ input: createReadStream(path).pipe(createGunzip()) })) {
    lines.push(line)
    if (lines.length > events) break
  }
  const cut = join(folder, 'transactions.csv.gz')
  writeFileSync(cut, gzipSync(`${lines.join('\n')}\n`))
  return cut
}

async function peerRows(folder: string, path: string, broker: KafkaBroker): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
  try {
    const cut = await firstRows(path, work)
    for (const job of peerJobs) {
      for (let run = 0; run < runs && peerName(job).includes(only); run++) {
        print(await theirs(job, folder, cut, broker))
      }
    }
    if (!args.includes('--kill')) return
    const options = ['--job', 'p1', '--kill-at', '0.5', '--session', `${sessionTimeoutMs}`, '--count', 'no']
    const { killToFirstCommitMs = Number.NaN } = await peerAnswer(folder, cut, broker, options)
    process.stdout.write(
      `\nKafka Streams, killed at half of P1 and started again: ${(killToFirstCommitMs / 1_000).toFixed(1)} s to the next commit\n`,
    )
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function print(row: Row): void {
  const cells = [
    row.job,
    (row.events / row.seconds).toFixed(0),
    row.cpuSeconds.toFixed(1),
    ((row.cpuSeconds * 1e6) / row.events).toFixed(1),
    (row.events / row.cpuSeconds).toFixed(0),
    Number.isNaN(row.brokerCpuSeconds) ? 'unknown' : row.brokerCpuSeconds.toFixed(1),
    row.peakRssMb.toFixed(0),
    row.outcome,
  ]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}

/** `headwater run` in place of the measured child: with the group of instances, which has to miss the dead one. */
async function printKills(path: string, broker: KafkaBroker): Promise<void> {
  process.stdout.write('\n| kill -9 at half of P1, who goes on | seconds to the next commit |\n|---|---|\n')
  for (const heir of heirs) {
    const folder = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
    const topicPrefix = `bench${Date.now()}.`
    try {
      const { brokers } = broker
      await childLines(['load', 'P1 fused', path, String(events), brokers.join(','), topicPrefix, ''])
      const ms = await killAtHalf(heir, { csv: path, brokers, topicPrefix, folder, sessionTimeoutMs })
      process.stdout.write(`| ${heir} | ${(ms / 1_000).toFixed(1)} |\n`)
    } finally {
      await removeTopics(broker, topicPrefix)
      rmSync(folder, { recursive: true, force: true })
    }
  }
  process.stdout.write(`session timeout ${sessionTimeoutMs / 1_000} s\n`)
}

/** Each run has both, one behind the other: what else the machine does changes between runs. */
async function printScale(path: string, broker: KafkaBroker): Promise<void> {
  process.stdout.write(
    '\n| P1 through the internal topic, 4 partitions | events/s | CPU µs an event, all processes | peak MB of one | tasks |\n|---|---|---|---|---|\n',
  )
  for (let run = 0; run < runs; run++) {
    for (const processes of [1, 3]) {
      const folder = mkdtempSync(join(tmpdir(), 'headwater-bench-'))
      const topicPrefix = `bench${Date.now()}.`
      try {
        const { brokers } = broker
        const settings = { csv: path, brokers, topicPrefix, folder, events, processes }
        await bring(settings)
        const { seconds, cpuSeconds, peakRssMb, tasks } = await workOff(settings)
        const cells = [
          `${processes} processes`,
          (events / seconds).toFixed(0),
          ((cpuSeconds * 1e6) / events).toFixed(1),
          peakRssMb.toFixed(0),
          tasks.join(' + '),
        ]
        process.stdout.write(`| ${cells.join(' | ')} |\n`)
      } finally {
        await removeTopics(broker, topicPrefix)
        rmSync(folder, { recursive: true, force: true })
      }
    }
  }
}

async function main(path: string): Promise<void> {
  const broker = await startKafkaBroker()
  if ('missing' in broker) throw new Error(broker.missing)
  try {
    process.stdout.write(
      `${events} transactions\n| job | events/s | CPU s | CPU µs an event | events a CPU second | broker's CPU s | peak MB | outcome |\n|---|---|---|---|---|---|---|---|\n`,
    )
    for (const job of jobs) {
      for (let run = 0; run < runs && ourName(job).includes(only); run++) print(await ours(job, path, broker))
    }
    if (args.includes('--scale')) await printScale(path, broker)
    if (args.includes('--kill')) await printKills(path, broker)
    const peer = optionOf('--peer')
    if (peer === undefined) process.stdout.write('\nWITHOUT KAFKA STREAMS: give its folder by --peer\n')
    else await peerRows(peer, path, broker)
  } finally {
    await broker.stop()
  }
}

if (csv === undefined) throw new Error('give the path of transactions.csv.gz')
await main(csv)
