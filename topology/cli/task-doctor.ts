import type { Declaration } from '../../models/declaration.ts'
import { type Stage, stagesOf, tasksOf, tasksOnLog } from '../../replay/task-plan.ts'
import { engineContracts } from '../../state/contracts/engine-contracts.ts'
import { isEngineError } from '../../state/contracts/engine-error.ts'
import type { ClusterInspection } from '../../state/log/kafka/cluster-inspection.ts'
import { type Finding, ok } from './finding.ts'

/** How an application is split on a cluster. */
export interface TasksThere {
  /** The first of them: what it says of topics holds for all. */
  readonly first: Declaration
  readonly findings: readonly Finding[]
}

/** The tasks that an application has on a cluster, or is to have there, and why they are not more. */
export async function examineTasks(
  cluster: ClusterInspection,
  declaration: Declaration,
): Promise<TasksThere> {
  const { topic } = engineContracts(declaration.name).commit
  const { name } = cluster.wanted({ name: topic, partitions: 1 })
  const found = (await cluster.topics([name])).get(name)?.partitions
  const planned = tasksOf(declaration)
  try {
    const [first] =
      found === undefined ? planned : tasksOnLog(declaration, [{ name: topic, partitions: found }])
    if (found === 1 && planned.length > 1) {
      const text = `"${declaration.name}" began as one task on this cluster and goes on as one, which processes take over from each other and do not share; under another name it would be ${planned.length} tasks`
      return { first: first!, findings: [ok('tasks', text)] }
    }
    return { first: first!, findings: findingsOf(declaration, planned.length) }
  } catch (error) {
    if (!isEngineError(error, 'task-plan-changed')) throw error
    const [first] = planned
    const share = {
      task: declaration.name,
      ordinal: 0,
      writers: new Map(),
      beside: [],
      ...first!.share,
      of: found!,
    }
    return {
      first: { ...first!, share },
      findings: [
        {
          area: 'tasks',
          status: 'failed',
          found: error.message,
          advice:
            'declare streams, views, models, expectations and partitions as they were when the application first ran here, or take another name',
        },
      ],
    }
  }
}

function findingsOf(declaration: Declaration, tasks: number): readonly Finding[] {
  if (declaration.tasks === 'one') return [ok('tasks', 'one task, as the topology declares it')]
  const stages = stagesOf(declaration)
  if (tasks === 1) return [ok('tasks', `one task: ${[...new Set(stages.flatMap(reasons))].join('; ')}`)]
  return [
    ok('tasks', `${tasks} tasks, which as many processes can share`),
    ...stages.map((stage) => ok('tasks', `${namesOf(stage)}: ${textOf(stage)}`)),
  ]
}

const reasons = ({ wholeBecause }: Stage): readonly string[] => wholeBecause

const namesOf = ({ reads }: Stage): string => reads.map(({ name }) => `"${name}"`).join(', ')

const textOf = ({ wholeBecause, partitions }: Stage): string =>
  wholeBecause.length === 0
    ? `a task for each of ${partitions} partitions`
    : `one task for all partitions, since ${wholeBecause.join('; ')}`
