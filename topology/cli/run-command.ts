import { once } from 'node:events'
import { resolve } from 'node:path'
import { forgetSwap, moduleToRun, swappedTo } from '../../replay/backfill-swap.ts'
import { startServer } from '../http/server.ts'
import type { Engine } from '../runtime/engine.ts'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { bringIn } from './bring-in.ts'
import { CliError } from './cli-error.ts'
import { announceDoor, defaultDataFolder, rememberModule } from './data-folder.ts'
import { wiringOf } from './kafka-options.ts'
import { loadTopology } from './load-topology.ts'
import { closeAll, openTasks } from './open-tasks.ts'
import { count } from './progress.ts'
import { digestOf, reportOf, summary } from './run-report.ts'
import { watchSwaps } from './swap-watch.ts'

export interface RunOptions {
  readonly data?: string
  readonly acceptFeatureChanges?: boolean
  readonly once?: boolean
  readonly json?: boolean
  readonly host: string
  readonly port: number
  readonly token?: string
  readonly open?: boolean
  readonly kafka?: string
  readonly kafkaConfig?: string
  readonly registry?: string
  readonly instanceId?: string
  readonly advertise?: string
  readonly standbys?: number
  readonly sessionTimeout?: number
}

/**
 * Runs a topology in this process: brings its sources in, processes what is
 * on the log, tells how good the models are, then serves until it is told to
 * stop. Returns the exit code.
 */
export async function runCommand(modulePath: string, options: RunOptions): Promise<number> {
  const named = resolve(modulePath)
  const known = options.data === undefined ? undefined : moduleToRun(options.data, named)
  const first = await loadTopology(known ?? named)
  const data = options.data ?? defaultDataFolder(first.name)
  const module = known ?? moduleToRun(data, named)
  const declaration = module === (known ?? named) ? first : await loadTopology(module)
  const silent = options.json ?? false
  const say = (line: string) => {
    if (!silent) process.stderr.write(`${line}\n`)
  }
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())

  if (module !== named) {
    say(`${data} was swapped from ${named} to ${module}, which runs; "replay backfill --swap" leads back`)
  }
  rememberModule(data, module)
  const { kafka } = clusterOf(options)
  if (kafka !== undefined && !options.once) {
    say(`${declaration.name}: log on Kafka at ${options.kafka}, state in ${data}`)
    const { sessionTimeout, ...rest } = options
    const { runInstance } = await import('./run-instance.ts')
    await runInstance({
      ...rest,
      declaration,
      data,
      kafka,
      say,
      silent,
      ...(sessionTimeout === undefined ? {} : { sessionTimeoutMs: sessionTimeout }),
      begin: (engine, ended) => begin(engine, options, say, ended),
      stopped: stopped.signal,
    })
    return 0
  }
  refuseInstanceOptions(options)
  const engines = await openTasks({
    declaration,
    data,
    kafka,
    acceptFeatureChanges: options.acceptFeatureChanges === true,
    silent,
  })
  const [engine] = engines
  try {
    // Another module than the last swap was to: it is what its own start says from now on.
    if (swappedTo(data)?.module !== module) forgetSwap(data)
    const log =
      options.kafka === undefined
        ? `log and state in ${data}`
        : `log on Kafka at ${options.kafka}, state in ${data}`
    say(`${declaration.name}: ${log}${engines.length === 1 ? '' : `; all ${engines.length} tasks run here`}`)
    if (options.once) {
      const { eventsPerSecond } = await bringIn(engines, silent, stopped.signal)
      if (stopped.signal.aborted) return 130
      const report = await reportOf(engines, eventsPerSecond, await digestOf(engines))
      process.stdout.write(
        silent ? `${JSON.stringify(report)}\n` : `${await summary(engines, eventsPerSecond)}\n`,
      )
      return 0
    }
    await serve(engine, data, options, say, stopped.signal)
    return 0
  } finally {
    await closeAll(engines)
  }
}

/** The cluster of `--kafka`, if that is given. */
function clusterOf({ kafka, kafkaConfig, registry }: RunOptions): { readonly kafka?: KafkaWiring } {
  if (kafka === undefined) {
    if (kafkaConfig === undefined && registry === undefined) return {}
    throw new CliError('--kafka-config and --registry go with --kafka')
  }
  const rest = { ...(kafkaConfig && { kafkaConfig }), ...(registry && { registry }) }
  return { kafka: wiringOf({ kafka, ...rest }) }
}

/** These say how to share the work with other processes, which `--once` and an embedded log do not. */
function refuseInstanceOptions({ instanceId, advertise, standbys, sessionTimeout }: RunOptions): void {
  const given = { instanceId, advertise, standbys, sessionTimeout }
  if (Object.values(given).every((value) => value === undefined)) return
  throw new CliError(
    '--instance-id, --advertise, --standbys and --session-timeout go with --kafka, without --once',
  )
}

/**
 * Answers from the first moment, so that a restart does not keep callers
 * waiting for a backlog; `/ready` tells when that is worked off.
 */
async function serve(
  engine: Engine,
  data: string,
  options: RunOptions,
  say: (line: string) => void,
  stopped: AbortSignal,
): Promise<void> {
  const server = await startServer(engine, {
    host: options.host,
    port: options.port,
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(options.open === undefined ? {} : { open: options.open }),
  })
  const forget = announceDoor(data, server.url)
  const acceptFeatureChanges = options.acceptFeatureChanges === true
  const unwatch =
    options.kafka === undefined ? watchSwaps({ engine, data, acceptFeatureChanges, say }) : undefined
  try {
    say(`answering on ${server.url}`)
    const { eventsPerSecond } = await bringIn([engine], options.json ?? false, stopped)
    if (!stopped.aborted) {
      process.stdout.write(
        options.json
          ? `${JSON.stringify(await reportOf([engine], eventsPerSecond, ''))}\n`
          : `${await summary([engine], eventsPerSecond)}\n`,
      )
      say(`\nserving on ${server.url} (stop with ^C)`)
      for (const line of engine.declaration.tryIt) say(`  ${line.replaceAll('{url}', server.url)}`)
      const failed = setInterval(() => {
        if (engine.failure !== undefined) process.emit('SIGTERM')
      }, 500)
      await once(stopped, 'abort')
      clearInterval(failed)
    }
    say('stopping: committing what is processed')
  } finally {
    await unwatch?.()
    forget()
    await server.close()
  }
  if (engine.failure !== undefined) throw engine.failure
}

/** What an instance does when it becomes the active one. */
async function begin(
  engine: Engine,
  options: RunOptions,
  say: (line: string) => void,
  ended: AbortSignal,
): Promise<void> {
  const { share } = engine.assembly.declaration
  // Several tasks at once would write their progress over one another.
  const { eventsPerSecond } = await bringIn([engine], (options.json ?? false) || share !== undefined, ended)
  if (ended.aborted) return
  if (share !== undefined) {
    say(
      `${share.task}: all that was on the log is processed, ${count(engine.assembly.task.processed)} events`,
    )
    return
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify(await reportOf([engine], eventsPerSecond, ''))}\n`
      : `${await summary([engine], eventsPerSecond)}\n`,
  )
  say('serving (stop with ^C)')
}
