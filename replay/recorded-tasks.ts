import type { Declaration, TaskShare } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import { engineContracts } from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log } from '../state/log/log.ts'
import { readingFor } from './log-reading.ts'
import { edgeText, type ReplayRange } from './replay-range.ts'
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

/**
 * The task whose places a range names: each counts its commits, and goes its
 * own way through the inputs. Undefined where there is one task, and for times,
 * which are the same for all.
 *
 * @throws EngineError `position-unknown` where it is not clear whose they are, `task-unknown`, `task-plan-changed`
 */
export async function shareOfPlaces(
  range: ReplayRange,
  declaration: Declaration,
  log: Log,
  {
    isMeant,
    task,
    advice = 'give times',
  }: {
    /** Of several tasks those that a command is about. */
    readonly isMeant: (task: Declaration) => boolean
    readonly task?: string | undefined
    /** What to do where several are meant. */
    readonly advice?: string
  },
): Promise<TaskShare | undefined> {
  const place = placeIn(range)
  if (place === undefined) return undefined
  const tasks = onlyTask(await recordedTasks(declaration, log), task)
  const meant = tasks.filter(isMeant)
  if (tasks.length === 1 || meant.length === 1) return (meant[0] ?? tasks[0])?.share
  const known = (meant.length === 0 ? tasks : meant).map(taskIdOf).join(', ')
  throw new EngineError('position-unknown', {
    position: edgeText(place),
    found: `it would be a place of one task, and there are ${known}`,
    expected: advice,
  })
}

/** The same for a command about a model: the task that has read its events, whatever else the declaration makes. */
export async function shareOfModelPlaces(
  range: ReplayRange,
  declaration: Declaration,
  model: Model,
  source: { readonly log: Log; readonly registry: SchemaRegistry },
): Promise<TaskShare | undefined> {
  const place = placeIn(range)
  if (place === undefined) return undefined
  const found = await readingFor(declaration, { model }, source)
  if (found.order === 'recorded') return found.declaration.share
  throw new EngineError('position-unknown', {
    position: edgeText(place),
    found: `it would be a place of one task, and none has read all events of model "${model.name}"`,
    expected: 'give times',
  })
}

const placeIn = ({ from, to }: ReplayRange) =>
  [from, to].find((edge) => edge !== undefined && edge.kind !== 'time')
