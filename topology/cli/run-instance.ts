import { once } from 'node:events'
import { hostname } from 'node:os'
import type { Declaration } from '../../models/declaration.ts'
import { stagesOf, taskIdOf, tasksOf } from '../../replay/task-plan.ts'
import { Instance, isInstanceId } from '../cluster/instance.ts'
import { startInstanceServer } from '../http/instance-server.ts'
import type { Engine } from '../runtime/engine.ts'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { CliError } from './cli-error.ts'
import { announceDoor } from './data-folder.ts'
import { RecoveryLines } from './recovery-lines.ts'

/** How `run` was called, where others may run the same application. */
export interface InstanceRun {
  readonly declaration: Declaration
  readonly data: string
  readonly kafka: KafkaWiring
  readonly host: string
  readonly port: number
  readonly token?: string
  readonly open?: boolean
  readonly acceptFeatureChanges?: boolean
  readonly instanceId?: string
  readonly advertise?: string
  readonly standbys?: number
  readonly sessionTimeoutMs?: number
  readonly say: (line: string) => void
  /** No lines about progress either. */
  readonly silent: boolean
  /** Brings the sources in and works off what is there; called each time that this instance becomes the active one. */
  readonly begin: (engine: Engine, ended: AbortSignal) => Promise<void>
  readonly stopped: AbortSignal
}

const failureLookMs = 500

/** Runs this process as one of an application's instances until it is told to stop. */
export async function runInstance(run: InstanceRun): Promise<void> {
  const { declaration, data, kafka, say, stopped, instanceId, standbys, sessionTimeoutMs } = run
  if (instanceId !== undefined && !isInstanceId(instanceId)) {
    throw new CliError(`--instance-id takes up to 64 letters, digits, ".", "_" and "-", got "${instanceId}"`)
  }
  const advertised = run.advertise === undefined ? undefined : originOf(run.advertise)
  const server = await startInstanceServer({
    host: run.host,
    port: run.port,
    ...(run.token === undefined ? {} : { token: run.token }),
    ...(run.open === undefined ? {} : { open: run.open }),
  })
  const forget = announceDoor(data, server.url)
  const notice = (found: unknown) =>
    process.stderr.write(`headwater: ${found instanceof Error ? found.message : found}\n`)
  let instance: Instance | undefined
  const recoveries = new Map<string, RecoveryLines>()
  const recoveryOf = (task: string) => {
    const lines = recoveries.get(task) ?? new RecoveryLines(run.silent)
    recoveries.set(task, lines)
    return lines
  }
  try {
    const url = advertised ?? reachable(server.url)
    instance = await Instance.start({
      topology: declaration,
      data,
      kafka,
      url,
      ...(instanceId === undefined ? {} : { id: instanceId }),
      ...(standbys === undefined ? {} : { standbys }),
      ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }),
      engine: { acceptFeatureChanges: run.acceptFeatureChanges === true },
      onNotice: notice,
      onRecovery: (task, progress) => recoveryOf(task).update(progress),
      begin(engine, ended) {
        const task = taskIdOf(engine.assembly.declaration)
        recoveryOf(task).end(engine.recovered)
        recoveries.delete(task)
        return run.begin(engine, ended)
      },
      onEngine(task, engine) {
        say(engine === undefined ? `${task} no longer runs here` : `${task} runs here now`)
        server.use(task, engine).catch(notice)
      },
      onDoor(task, door) {
        const appending = door && {
          declaration,
          append: (event: string, values: readonly unknown[]) => door.append(event, values),
          reinject: (number: number) => door.reinject(number),
        }
        server.useDoor(task, appending).catch(notice)
      },
    })
    server.attach(instance)
    for (const line of planLines(declaration, instance.parts.size)) say(line)
    say(`instance ${instance.id}: answering on ${server.url}, known to the others as ${url}`)
    const started = instance
    const failed = setInterval(() => {
      if (started.failure !== undefined) process.emit('SIGTERM')
    }, failureLookMs)
    if (!stopped.aborted) await once(stopped, 'abort')
    clearInterval(failed)
    say('stopping: committing what is processed, and giving it to the others')
  } finally {
    forget()
    // The requests in hand are answered before what answers them ends.
    await server.close()
    await instance?.close()
  }
  if (instance.failure !== undefined) throw instance.failure
}

/** How the work is parted, and what of it cannot be. */
function planLines(declaration: Declaration, tasks: number): readonly string[] {
  const { name } = declaration
  const isOneOnLog = tasks === 1 && tasksOf(declaration).length > 1
  if (isOneOnLog) return [`${name}: one task, because it began as one`]
  if (declaration.tasks === 'one') return [`${name}: one task, as its topology says`]
  return stagesOf(declaration).map(({ reads, wholeBecause, partitions }, stage) => {
    const events = reads.map((each) => each.name).join(', ')
    const [reason, ...more] = wholeBecause
    if (reason === undefined) return `${name}-${stage} (${events}): ${partitions} tasks, one a partition`
    const others =
      more.length === 0 ? '' : `, and ${more.length} more ${more.length === 1 ? 'reason' : 'reasons'}`
    return `${name}-${tasks === 1 ? '0' : `${stage}-0`} (${events}): one task, because ${reason}${others}`
  })
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url.origin
  throw new CliError(`--advertise takes an address such as http://10.0.0.7:7070, got "${text}"`)
}

/** An address that means this machine: others cannot call "any". */
function reachable(url: string): string {
  const found = new URL(url)
  if (['0.0.0.0', '[::]'].includes(found.hostname)) found.hostname = hostname()
  return found.origin
}
