import { once } from 'node:events'
import type { Quality } from '../../models/evaluation/progressive.ts'
import { startServer } from '../http/server.ts'
import { Engine } from '../runtime/engine.ts'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { CliError } from './cli-error.ts'
import { announceDoor, defaultDataFolder, rememberModule } from './data-folder.ts'
import { wiringOf } from './kafka-options.ts'
import { loadTopology } from './load-topology.ts'
import { count, Progress } from './progress.ts'
import { RecoveryLines } from './recovery-lines.ts'
import { table } from './table.ts'

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

/** What `--once --json` prints as its one line. */
export interface RunReport {
  readonly events: number
  readonly predictions: number
  readonly labels: number
  readonly deadLetters: number
  readonly lateEvents: number
  readonly auc?: number
  readonly logLoss?: number
  readonly mae?: number
  readonly baselines: Readonly<Record<string, Quality>>
  readonly eventsPerSecond: number
  readonly digest: string
}

/**
 * Runs a topology in this process: brings its sources in, processes what is
 * on the log, tells how good the models are, then serves until it is told to
 * stop. Returns the exit code.
 */
export async function runCommand(modulePath: string, options: RunOptions): Promise<number> {
  const declaration = await loadTopology(modulePath)
  const data = options.data ?? defaultDataFolder(declaration.name)
  const silent = options.json ?? false
  const say = (line: string) => {
    if (!silent) process.stderr.write(`${line}\n`)
  }
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())

  rememberModule(data, modulePath)
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
  const recovery = new RecoveryLines(silent)
  const engine = await Engine.open({
    topology: declaration,
    data,
    acceptFeatureChanges: options.acceptFeatureChanges === true,
    ...(kafka === undefined ? {} : { kafka }),
    onNotice: (text) => process.stderr.write(`headwater: ${text}\n`),
    onRecovery: (progress) => recovery.update(progress),
  })
  try {
    recovery.end(engine.recovered)
    say(
      options.kafka === undefined
        ? `${declaration.name}: log and state in ${data}`
        : `${declaration.name}: log on Kafka at ${options.kafka}, state in ${data}`,
    )
    if (options.once) {
      const { eventsPerSecond } = await bringIn(engine, silent, stopped.signal)
      if (stopped.signal.aborted) return 130
      const report = await reportOf(engine, eventsPerSecond, await engine.digest())
      process.stdout.write(
        silent ? `${JSON.stringify(report)}\n` : `${await summary(engine, eventsPerSecond)}\n`,
      )
      return 0
    }
    await serve(engine, data, options, say, stopped.signal)
    return 0
  } finally {
    await engine.close()
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

/** Imports the declared sources, starts the loop and waits until everything on the log is processed. */
async function bringIn(
  engine: Engine,
  silent: boolean,
  stopped: AbortSignal,
): Promise<{ eventsPerSecond: number }> {
  const { sources } = engine.assembly.declaration
  // What was imported before is worked off at once; a first import is there as a whole before it is taken up.
  const imported = await Promise.all(sources.map(({ name }) => engine.importer.isComplete(name)))
  if (imported.every((complete) => complete)) engine.run()
  for (const source of sources) {
    const progress = new Progress(`importing ${source.name}`, {
      unit: 'rows',
      silent,
      ...(source.rowCount === undefined ? {} : { total: source.rowCount }),
    })
    const { rows, skipped } = await engine.importer.run(source.name, source.rows(), (done) => {
      progress.update(done.rows)
      if (stopped.aborted) throw stopped.reason
    })
    if (skipped < rows) progress.end(rows - skipped)
  }
  const lag = (await engine.inputs()).reduce((sum, input) => sum + input.lag, 0)
  const progress = new Progress('processing', { total: lag, unit: 'events', silent })
  const { task } = engine.assembly
  const before = task.processed
  const startedMs = performance.now()
  const timer = setInterval(() => progress.update(task.processed - before), 200)
  engine.run()
  try {
    if (!stopped.aborted) await Promise.race([engine.caughtUp(), once(stopped, 'abort')])
  } finally {
    clearInterval(timer)
  }
  const done = task.processed - before
  if (done > 0) progress.end(done)
  return { eventsPerSecond: done / ((performance.now() - startedMs) / 1000) }
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
  try {
    say(`answering on ${server.url}`)
    const { eventsPerSecond } = await bringIn(engine, options.json ?? false, stopped)
    if (!stopped.aborted) {
      process.stdout.write(
        options.json
          ? `${JSON.stringify(await reportOf(engine, eventsPerSecond, ''))}\n`
          : `${await summary(engine, eventsPerSecond)}\n`,
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
  const { eventsPerSecond } = await bringIn(engine, (options.json ?? false) || share !== undefined, ended)
  if (ended.aborted) return
  if (share !== undefined) {
    say(
      `${share.task}: all that was on the log is processed, ${count(engine.assembly.task.processed)} events`,
    )
    return
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify(await reportOf(engine, eventsPerSecond, ''))}\n`
      : `${await summary(engine, eventsPerSecond)}\n`,
  )
  say('serving (stop with ^C)')
}

async function reportOf(engine: Engine, eventsPerSecond: number, digest: string): Promise<RunReport> {
  const { task, models } = engine.assembly
  const [part] = models.values()
  const tally = part?.tally()
  const quality = part?.evaluation.quality() ?? {}
  const { [part?.model.name ?? '']: own, ...baselines } = quality
  return {
    events: task.inputs.reduce((sum, { position }) => sum + position, 0),
    predictions: tally?.predictions ?? 0,
    labels: tally?.joined ?? 0,
    deadLetters: Number((await engine.log.offsets(`${engine.declaration.name}-dead-letters`, 0)).end),
    lateEvents: lateEvents(engine),
    ...own,
    baselines,
    eventsPerSecond: Math.round(eventsPerSecond),
    digest,
  }
}

const lateEvents = (engine: Engine): number =>
  engine.assembly.graph.drops.counts().reduce((sum, drop) => sum + drop.count, 0) +
  [...engine.assembly.views.values()]
    .flatMap((view) => view.stores)
    .reduce((sum, store) => sum + store.expiredEvents, 0)

/** The table that a person reads: quality over time beside the baselines. */
async function summary(engine: Engine, eventsPerSecond: number): Promise<string> {
  const report = await reportOf(engine, eventsPerSecond, '')
  const lines: string[] = ['']
  for (const part of engine.assembly.models.values()) {
    const { evaluation, model } = part
    const metrics = evaluation.metricNames.includes('auc') ? ['auc', 'logLoss'] : ['mae']
    const scorers = evaluation.scorers
    const header = ['labels', ...metrics.flatMap((metric) => scorers.map((scorer) => `${metric} ${scorer}`))]
    const row = (labels: number, byScorer: Readonly<Record<string, Quality>>) => [
      count(labels),
      ...metrics.flatMap((metric) => scorers.map((scorer) => number(byScorer[scorer]?.[metric]))),
    ]
    const points = evaluation.points().map((point) => row(point.count, point.byScorer))
    if (evaluation.count > (evaluation.points().at(-1)?.count ?? 0)) {
      points.push(row(evaluation.count, evaluation.quality()))
    }
    lines.push(
      `${model.name}: every prediction judged before the model learned its label`,
      table(header, points),
      '',
    )
    const tally = part.tally()
    lines.push(
      `predictions ${count(tally.predictions)}, labels joined ${count(tally.joined)}, missing ${count(tally.missing)}, late ${count(tally.late)}, unmatched ${count(tally.unmatched)}`,
    )
  }
  lines.push(
    `events ${count(report.events)}, ${count(report.eventsPerSecond)} events/s, dead letters ${count(report.deadLetters)}, late events ${count(report.lateEvents)}`,
  )
  return lines.join('\n')
}

const number = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '-' : value.toFixed(value >= 100 ? 1 : 4)
