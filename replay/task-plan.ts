import type { Declaration, TaskShare } from '../models/declaration.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { DeclaredStream } from '../processors/stream/stream.ts'
import { ByteWriter } from '../state/contracts/byte-writer.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { Contract } from '../state/contracts/contract.ts'
import { engineContracts } from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { TopicSpec } from '../state/log/log.ts'
import { partitionOf } from '../state/log/partitioner.ts'

/**
 * A part of an application that shares no state with the others: all that
 * reads the same events. It talks to the others through topics alone.
 */
export interface Stage {
  readonly declaration: Declaration
  /** The events that it reads. */
  readonly reads: readonly Contract[]
  /** The events that its streams write. */
  readonly writes: readonly Contract[]
  /** Why it is one task that owns every partition; empty: it is a task for each. */
  readonly wholeBecause: readonly string[]
  /** Of each event that it reads. */
  readonly partitions: number
}

/** The task that a declaration is of. */
export const taskIdOf = ({ name, share }: Pick<Declaration, 'name' | 'share'>): string =>
  share?.task ?? `${name}-0`

/** Where the commits of a declaration's task are. */
export const commitPartition = ({ share }: Pick<Declaration, 'share'>): number => share?.ordinal ?? 0

/**
 * The tasks of an application where several processes may share it: for each
 * stage one a partition, if all that it keeps belongs to the partition's keys,
 * else one for all partitions. An application of one stage of the latter kind
 * is the one task that it is in one process.
 */
export function tasksOf(declaration: Declaration): readonly Declaration[] {
  if (declaration.tasks === 'one') return [declaration]
  const stages = stagesOf(declaration)
  if (stages.every(({ wholeBecause }) => wholeBecause.length > 0)) return [declaration]
  const idOf = (stage: number, partition: number) => `${declaration.name}-${stage}-${partition}`
  const idsOf = ({ wholeBecause, partitions }: Stage, stage: number) =>
    Array.from({ length: wholeBecause.length > 0 ? 1 : partitions }, (_, partition) => idOf(stage, partition))
  const ids = stages.map(idsOf)
  const writersOf = (topic: string) =>
    stages.flatMap(({ writes }, stage) => (writes.some((each) => each.topic === topic) ? ids[stage]! : []))
  /** Those whose records somebody merges with what this stage writes. */
  const besideOf = ({ writes }: Stage) => {
    const merged = writes.filter((each) => stages.some(({ reads }) => reads.includes(each)))
    return [...new Set(merged.flatMap(({ topic }) => writersOf(topic)))]
  }
  const of = ids.flat().length
  let ordinal = 0
  return stages.flatMap((stage, index) =>
    ids[index]!.map((task, partition): Declaration => {
      const share: TaskShare = {
        task,
        ordinal: ordinal++,
        of,
        ...(stage.wholeBecause.length > 0 ? {} : { partition }),
        beside: besideOf(stage),
        writers: new Map(
          stage.reads.flatMap(({ topic }) => {
            const writers = writersOf(topic)
            return writers.length === 0 ? [] : [[topic, writers] as const]
          }),
        ),
      }
      // Rows that come in from outside come in once.
      const sources = share.ordinal === 0 ? declaration.sources : []
      const tryIt = share.ordinal === 0 ? declaration.tryIt : []
      const calls = share.ordinal === 0 ? (declaration.calls ?? []) : []
      return { ...stage.declaration, sources, calls, tryIt, share }
    }),
  )
}

/**
 * The tasks that an application has on a log: as many as it began with, since
 * their state and their positions are kept by task. `topics` are those of the
 * log.
 *
 * @throws EngineError `task-plan-changed` where it was another number than the declaration makes
 */
export function tasksOnLog(declaration: Declaration, topics: readonly TopicSpec[]): readonly Declaration[] {
  const tasks = tasksOf(declaration)
  const { topic } = engineContracts(declaration.name).commit
  const found = topics.find(({ name }) => name === topic)?.partitions ?? tasks.length
  if (found === tasks.length) return tasks
  if (found === 1) return [declaration]
  throw new EngineError('task-plan-changed', { app: declaration.name, found, expected: tasks.length })
}

/** The stages of an application, in the order in which their events are declared. */
export function stagesOf(declaration: Declaration): readonly Stage[] {
  const groups = groupsOf(declaration)
  const stages = groups.map((reads) => stageOf(declaration, reads))
  const circle = circleOf(stages)
  if (circle === undefined) return stages
  const because = `the streams go round in a circle: ${circle.join(' -> ')}`
  return [{ ...stageOf(declaration, groups.flat()), wholeBecause: [because] }]
}

/** Events that are read together, each group in the order of their declaration. */
function groupsOf(declaration: Declaration): readonly (readonly Contract[])[] {
  const { views, models, streams, expectations, events } = declaration
  const viewsToo = (read: readonly FeatureView[]) => read.flatMap(({ sources }) => sources)
  const together: readonly (readonly Contract[])[] = [
    ...views.map(({ sources }) => sources),
    ...models.map((model) => [model.trigger, model.label.from, ...viewsToo(model.views)]),
    ...streams.map(({ lineage }) => [...lineage.sources, ...viewsToo(lineage.views)]),
    ...expectations.map(({ contract, view }) => [
      ...(contract === undefined ? [] : [contract]),
      ...(view?.sources ?? []),
    ]),
  ]
  let groups: ReadonlySet<Contract>[] = []
  for (const each of together) {
    if (each.length === 0) continue
    const touched = groups.filter((group) => each.some((contract) => group.has(contract)))
    groups = groups.filter((group) => !touched.includes(group))
    groups.push(new Set([...touched.flatMap((group) => [...group]), ...each]))
  }
  const order = (contract: Contract) => events.indexOf(contract)
  return groups
    .map((group) => [...group].sort((left, right) => order(left) - order(right)))
    .sort(([left], [right]) => order(left!) - order(right!))
}

function stageOf(declaration: Declaration, reads: readonly Contract[]): Stage {
  const isRead = (contract: Contract) => reads.includes(contract)
  const streams = declaration.streams.filter(({ lineage }) => lineage.sources.some(isRead))
  const part: Declaration = {
    ...declaration,
    views: declaration.views.filter(({ sources }) => sources.some(isRead)),
    models: declaration.models.filter(({ trigger }) => isRead(trigger)),
    streams,
    expectations: declaration.expectations.filter(
      ({ contract, view }) =>
        (contract !== undefined && isRead(contract)) || (view?.sources.some(isRead) ?? false),
    ),
  }
  return {
    declaration: part,
    reads,
    writes: [...new Set(streams.map(({ sink }) => sink))],
    wholeBecause: reasonsOf(part, reads),
    partitions: reads[0]?.partitions ?? declaration.partitions,
  }
}

/** What of a stage belongs to no single partition. */
function reasonsOf(part: Declaration, reads: readonly Contract[]): readonly string[] {
  const partitionsOf = (contract: Contract) => contract.partitions ?? part.partitions
  const [first] = reads
  const other = reads.find((each) => partitionsOf(each) !== partitionsOf(first!))
  const own = part.streams.find(({ sink }) => reads.includes(sink))
  return [
    ...part.models.map(({ name }) => `model "${name}" learns from all partitions`),
    ...part.expectations.map(({ subject }) => `the expectations of "${subject}" count over all partitions`),
    ...new Set(part.streams.flatMap(({ lineage }) => lineage.acrossPartitions)),
    ...part.views.flatMap((view) => {
      const reason = scattered(view)
      return reason === undefined ? [] : [reason]
    }),
    ...part.streams.flatMap((stream) => asksElsewhere(stream)),
    ...part.streams.flatMap((stream) => keyedApart(stream)),
    ...(own === undefined ? [] : [`a stream writes "${own.sink.name}", which is read beside its sources`]),
    ...(other === undefined
      ? []
      : [
          `"${first!.name}" has ${partitionsOf(first!)} partitions and "${other.name}" has ${partitionsOf(other)}`,
        ]),
  ]
}

/** The parts of a view's entity that an event's key consists of, in the key's order; undefined where they do not cover it. */
function partsOfKey(view: FeatureView, { name, keyFields }: Contract): readonly string[] | undefined {
  const parts = keyFields.map(
    (keyField) =>
      view.entity.find(({ field, many }) => !many && (view.keys[name]?.[field] ?? field) === keyField)?.field,
  )
  return parts.length > 0 && parts.every((part) => part !== undefined) ? parts : undefined
}

/** Whether all events of this kind about one entity are on one partition. */
export const isByPartition = (view: FeatureView, source: Contract): boolean =>
  partsOfKey(view, source) !== undefined

/** Equal for events whose equal keys are equal bytes, and so on the same partition. */
const keyBytesOf = ({ keyFormat, keySchema }: Contract): string => JSON.stringify([keyFormat, keySchema])

/**
 * The partition that has the events of an entity, where the tasks are split by
 * it; `key` in the order of the view's entity, `bound` the view's first event.
 */
export function partitionOfEntity(
  view: FeatureView,
  key: readonly (string | number | bigint)[],
  bound: BoundContract<object>,
  partitions: number,
): number {
  const parts = partsOfKey(view, bound.contract as Contract) ?? []
  const values = parts.map((part) => key[view.entity.findIndex(({ field }) => field === part)]!)
  const out = new ByteWriter(64)
  bound.encodeKey(values.length === 1 ? values[0]! : values, out)
  return partitionOf(out.bytes, 0, out.length, partitions)
}

/** Why the events of one entity are not all on one partition. */
function scattered(view: FeatureView): string | undefined {
  const [first, ...rest] = view.sources.map((source) => ({ source, parts: partsOfKey(view, source) }))
  if (first === undefined) return undefined
  for (const { source, parts } of [first, ...rest]) {
    if (parts === undefined) {
      const entity = view.entity.map(({ field }) => field).join(', ')
      return `view "${view.name}" is about ${entity}, and "${source.name}" has the key ${source.keyFields.join(', ')}`
    }
    if (parts.join() !== first.parts?.join() || keyBytesOf(source) !== keyBytesOf(first.source)) {
      return `view "${view.name}" reads "${first.source.name}" and "${source.name}", whose keys are not the same`
    }
  }
  return undefined
}

/** Views that a stream asks about entities of other partitions. */
function asksElsewhere({ lineage, sink }: DeclaredStream): readonly string[] {
  return lineage.views.flatMap((view) =>
    lineage.sources.every((source) => {
      const parts = partsOfKey(view, source)
      const own = view.sources[0] && partsOfKey(view, view.sources[0])
      return parts !== undefined && parts.join() === own?.join()
    })
      ? []
      : [`the stream to "${sink.name}" asks view "${view.name}" about entities of other partitions`],
  )
}

/** Events of one stream whose equal keys lie on different partitions. */
function keyedApart({ lineage, sink }: DeclaredStream): readonly string[] {
  const [first] = lineage.sources
  const other = lineage.sources.find((source) => keyBytesOf(source) !== keyBytesOf(first!))
  if (first === undefined || other === undefined) return []
  return [
    `the stream to "${sink.name}" reads "${first.name}" and "${other.name}", whose keys are written differently`,
  ]
}

/** Names of stages that lead back to the first of them, by the first event that each reads. */
function circleOf(stages: readonly Stage[]): readonly string[] | undefined {
  const next = (stage: Stage) =>
    stages.filter((other) => other !== stage && other.reads.some((each) => stage.writes.includes(each)))
  const walk = (path: readonly Stage[]): readonly Stage[] | undefined => {
    for (const stage of next(path.at(-1)!)) {
      if (path.includes(stage)) return [...path.slice(path.indexOf(stage)), stage]
      const found = walk([...path, stage])
      if (found !== undefined) return found
    }
    return undefined
  }
  for (const stage of stages) {
    const found = walk([stage])
    if (found !== undefined) return found.map(({ reads }) => reads[0]!.name)
  }
  return undefined
}
