import type { Declaration } from '../models/declaration.ts'
import { engineContracts } from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { Log } from '../state/log/log.ts'
import { taskIdOf, tasksOnLog } from './task-plan.ts'

/**
 * The tasks whose commits are on a log, in their order: a replay follows each
 * in the interleaving that its commits record. An application that has not run
 * there yet is one.
 *
 * @throws EngineError `task-plan-changed` where the declaration makes other tasks than those that ran
 */
export async function recordedTasks(declaration: Declaration, log: Log): Promise<readonly Declaration[]> {
  if (declaration.share !== undefined) return [declaration]
  const topics = await log.topics()
  const { topic } = engineContracts(declaration.name).commit
  return topics.some(({ name }) => name === topic) ? tasksOnLog(declaration, topics) : [declaration]
}

/** The one of these tasks that has the id, or all where none is asked for. @throws EngineError `task-unknown` */
export function onlyTask(tasks: readonly Declaration[], id: string | undefined): readonly Declaration[] {
  if (id === undefined) return tasks
  const found = tasks.filter((each) => taskIdOf(each) === id)
  if (found.length > 0) return found
  throw new EngineError('task-unknown', { task: id, known: tasks.map(taskIdOf) })
}

/**
 * The task that has a model: what its places on the log are, and what a fold of it reads.
 *
 * @throws EngineError `model-unknown`, `task-plan-changed`
 */
export async function taskOfModel(declaration: Declaration, model: string, log: Log): Promise<Declaration> {
  const tasks = await recordedTasks(declaration, log)
  const found = tasks.find(({ models }) => models.some(({ name }) => name === model))
  if (found !== undefined) return found
  throw new EngineError('model-unknown', { model, known: declaration.models.map(({ name }) => name) })
}
