import type { Declaration, TaskShare } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import { readTaskLayouts, taskOnPartition } from '../state/commit/commit-log.ts'
import { type BoundContract, bindContract } from '../state/contracts/codec.ts'
import type { Contract } from '../state/contracts/contract.ts'
import { engineContracts, type TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log } from '../state/log/log.ts'
import { stagesOf, taskIdOf, tasksOf } from './task-plan.ts'

/** How a fold takes the events of a log. */
export interface LogReading {
  /** With the place of the task whose order it is. */
  readonly share: TaskShare | undefined
  /** `recorded`: as the task that read them all took them; `event-time`: no one task did, so in the order of their times. */
  readonly order: 'recorded' | 'event-time'
}

/** Names of the inputs that a task has had: `topic[partition]`, with `@task` where it reads by writer. */
type InputsByTask = ReadonlyMap<string, readonly string[]>

/**
 * How to read events that a declaration wants, which need not be the one that
 * ran: of an application of one task in its order, of several in the order of
 * the one that has read all of these events. Where there is none, as for views
 * of several tasks, they are merged by event time; what several tasks wrote to
 * one partition is then merged by writer, so that nothing is late that was in
 * time for the task that wrote it.
 */
export async function readingOf(
  declaration: Declaration,
  events: readonly Contract[],
  { log, registry }: { readonly log: Log; readonly registry: SchemaRegistry },
): Promise<LogReading> {
  const { name, share } = declaration
  if (share !== undefined) return { share, order: 'recorded' }
  const contracts = engineContracts(name)
  const topics = await log.topics()
  const of = topics.find((topic) => topic.name === contracts.commit.topic)?.partitions ?? 1
  if (of === 1) return { share: undefined, order: 'recorded' }
  const layouts = await bindContract(contracts.taskLayout, registry)
  const inputs = new Map(
    [...(await readTaskLayouts(log, layouts as BoundContract<TaskLayoutEvent>))].map(
      ([task, own]) => [task, [...own.values()].at(-1)!.inputs] as const,
    ),
  )
  const partitionsOf = (topic: string) => topics.find((each) => each.name === topic)?.partitions ?? 0
  const wanted = [...new Set(events)].flatMap(({ topic }) =>
    Array.from({ length: partitionsOf(topic) }, (_, partition) => `${topic}[${partition}]`),
  )
  const writers = writersOf(declaration, of, inputs)
  const reader = [...inputs].find(([, names]) => {
    const read = new Set(names.map((input) => input.split('@')[0]))
    return wanted.every((partition) => read.has(partition))
  })
  if (reader !== undefined) {
    const [task, names] = reader
    const commits = await bindContract(contracts.commit, registry)
    for (let ordinal = 0; ordinal < of; ordinal++) {
      if ((await taskOnPartition(log, commits, ordinal)) !== task) continue
      const own = new Map([...writers, ...writersIn([names])])
      return { share: { task, ordinal, of, writers: own, beside: [] }, order: 'recorded' }
    }
  }
  // No task has this name: there is nothing to follow.
  return { share: { task: name, ordinal: 0, of, writers, beside: [] }, order: 'event-time' }
}

/** How many tasks an application has on a log. */
export async function taskCount({ name }: Declaration, log: Log): Promise<number> {
  const { topic } = engineContracts(name).commit
  return (await log.topics()).find((each) => each.name === topic)?.partitions ?? 1
}

/**
 * The part of a declaration that folds one model, or some views, and how it
 * reads the log; of an application of one task all of the declaration.
 */
export async function readingFor(
  declaration: Declaration,
  { model, views = model?.views ?? [] }: { readonly model?: Model; readonly views?: readonly FeatureView[] },
  source: { readonly log: Log; readonly registry: SchemaRegistry },
): Promise<{ readonly declaration: Declaration; readonly order: LogReading['order'] }> {
  const events = new Set([
    ...(model === undefined ? [] : [model.trigger, model.label.from]),
    ...views.flatMap(({ sources }) => sources),
  ])
  // What is expected of these events decides which of them the fold takes.
  const expectations = declaration.expectations.filter(
    ({ contract, view }) =>
      (contract !== undefined && events.has(contract)) || (view !== undefined && views.includes(view)),
  )
  const { share, order } = await readingOf(declaration, [...events], source)
  if (share === undefined || declaration.share !== undefined) return { declaration, order }
  const models = model === undefined ? [] : [model]
  return { declaration: { ...declaration, models, streams: [], views, expectations, share }, order }
}

/**
 * The parts of a declaration that have expectations, each with how it reads
 * the log; of an application of one task all of the declaration.
 */
export async function expectingReadings(
  declaration: Declaration,
  source: { readonly log: Log; readonly registry: SchemaRegistry },
): Promise<readonly { readonly declaration: Declaration; readonly order: LogReading['order'] }[]> {
  if ((await taskCount(declaration, source.log)) === 1) return [{ declaration, order: 'recorded' }]
  const stages = stagesOf(declaration).filter((stage) => stage.declaration.expectations.length > 0)
  return await Promise.all(
    stages.map(async ({ declaration: { expectations } }) => {
      const views = expectations.flatMap(({ view }) => (view === undefined ? [] : [view]))
      const events = expectations.flatMap(({ contract }) => (contract === undefined ? [] : [contract]))
      const read = [...events, ...views.flatMap(({ sources }) => sources)]
      const { share, order } = await readingOf(declaration, read, source)
      const part = { ...declaration, models: [], streams: [], views, expectations }
      return { declaration: share === undefined ? part : { ...part, share }, order }
    }),
  )
}

/** By topic, the tasks that write it, as far as the log and the declaration tell. */
function writersOf(
  declaration: Declaration,
  of: number,
  inputs: InputsByTask,
): ReadonlyMap<string, readonly string[]> {
  const found = writersIn([...inputs.values()])
  const tasks = tasksOf(declaration)
  // Of another number they would have other ids.
  if (tasks.length !== of) return found
  for (const { topic } of new Set(declaration.streams.map(({ sink }) => sink))) {
    const writing = tasks.filter(({ streams }) => streams.some(({ sink }) => sink.topic === topic))
    found.set(topic, writing.map(taskIdOf))
  }
  return found
}

/** The same as the inputs of tasks name them. */
function writersIn(inputs: readonly (readonly string[])[]): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const name of inputs.flat()) {
    const [, topic, writer] = /^(.*)\[\d+\]@(.*)$/.exec(name) ?? []
    if (topic === undefined || writer === undefined) continue
    const known = found.get(topic) ?? []
    if (!known.includes(writer)) found.set(topic, [...known, writer])
  }
  return found
}
