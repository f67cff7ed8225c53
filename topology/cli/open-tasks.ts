import type { Declaration } from '../../models/declaration.ts'
import type { BoundEngineContracts } from '../../replay/assembly.ts'
import { tasksOnLog } from '../../replay/task-plan.ts'
import type { Log } from '../../state/log/log.ts'
import { TaskGate } from '../cluster/task-gate.ts'
import { TaskTimes } from '../cluster/task-times.ts'
import { Engine } from '../runtime/engine.ts'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { RecoveryLines } from './recovery-lines.ts'

export interface TasksHere {
  readonly declaration: Declaration
  readonly data: string
  readonly kafka: KafkaWiring | undefined
  readonly acceptFeatureChanges: boolean
  /** No lines about progress. */
  readonly silent: boolean
}

/**
 * Engines of all tasks of an application, in this process and without others:
 * one, unless it runs as several on a cluster. The first of them imports.
 *
 * @throws EngineError `task-plan-changed`
 */
export async function openTasks(options: TasksHere): Promise<readonly [Engine, ...Engine[]]> {
  const { declaration, kafka } = options
  if (kafka === undefined) return [await openTask(options, declaration)]
  const { clusterTopics } = await import('../runtime/wire-kafka.ts')
  const [first, ...others] = tasksOnLog(declaration, await clusterTopics(declaration.name, Date.now, kafka))
  // It registers the schemas, and the others find them.
  const engine = await openTask(options, first!)
  const opened = await Promise.allSettled(others.map((part) => openTask(options, part)))
  const rest = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const failed = opened.find((each) => each.status === 'rejected')
  if (failed === undefined) return [engine, ...rest]
  await closeAll([engine, ...rest])
  throw failed.reason
}

async function openTask(
  { declaration, data, kafka, acceptFeatureChanges, silent }: TasksHere,
  part: Declaration,
): Promise<Engine> {
  const { share } = part
  const onNotice = (text: string) => void process.stderr.write(`headwater: ${text}\n`)
  const recovery = new RecoveryLines(silent || share !== undefined)
  const gate = (task: string, beside: readonly string[]) => (log: Log, contracts: BoundEngineContracts) =>
    new TaskGate({
      task,
      times: new TaskTimes(declaration, log, contracts),
      beside,
      alignment: declaration.alignment,
      elapsedMs: () => performance.now(),
      onNotice,
    })
  const engine = await Engine.open({
    topology: declaration,
    data,
    acceptFeatureChanges,
    ...(kafka === undefined ? {} : { kafka }),
    ...(share === undefined
      ? {}
      : { part, gate: gate(share.task, share.beside), door: `door-${share.ordinal}` }),
    onNotice,
    onRecovery: (progress) => recovery.update(progress),
  })
  recovery.end(engine.recovered)
  return engine
}

/** Commits what each has processed and writes checkpoints; all are closed, whatever happens to some. */
export async function closeAll(engines: readonly Engine[]): Promise<void> {
  const closed = await Promise.allSettled(engines.map((engine) => engine.close()))
  for (const each of closed) if (each.status === 'rejected') throw each.reason
}
