import { existsSync } from 'node:fs'
import type { Declaration } from '../../models/declaration.ts'
import { audit } from '../../replay/audit.ts'
import { liveFolder } from '../../replay/backfill-swap.ts'
import {
  foldAnew,
  type RebuildReport,
  rebuild,
  rebuildTasks,
  type TasksReport,
} from '../../replay/rebuild.ts'
import { onlyTask, recordedTasks, shareOfPlaces } from '../../replay/recorded-tasks.ts'
import { findRange } from '../../replay/replay-range.ts'
import { openStateFolder, statePath, type Wiring, wire } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { topologyOf } from './data-folder.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { openSource, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface AuditCommandOptions extends ReplaySourceOptions {
  /** A time, a record or a commit. */
  readonly from?: string
  readonly to?: string
  /** Only this one of several tasks. */
  readonly task?: string
}

/** `replay audit`: every prediction recomputed at its position. Exit code 1 if any differs. */
export async function auditCommand(options: AuditCommandOptions): Promise<number> {
  const { json = false } = options
  const range = rangeOption(options)
  const { declaration, wiring } = await openSource(options)
  try {
    const share = await shareOfPlaces(range, declaration, wiring.log, {
      isMeant: ({ models }) => models.length > 0,
      task: options.task,
      advice: 'give times, or name the task with --task',
    })
    const found = await findRange(range, { app: declaration.name, share, ...wiring })
    const progress = new Progress('auditing', { unit: 'records', silent: json })
    let records = 0
    const report = await audit({
      declaration,
      ...wiring,
      database: await wiring.scratch(),
      ...found,
      ...(options.task === undefined ? {} : { onlyTask: options.task }),
      onProgress: (done) => {
        records = done.records
        progress.update(records)
      },
    })
    progress.end(records)
    if (json) {
      process.stdout.write(`${JSON.stringify(report)}\n`)
    } else {
      process.stdout.write(
        `${count(report.predictions)} predictions recomputed at their positions, ${count(report.mismatches)} mismatches\n`,
      )
      if (report.ofOthers !== undefined) {
        const text = `${count(report.ofOthers)} were made by other topologies, before or behind a swap: name those with --topology`
        process.stdout.write(`  ${text}\n`)
      }
      for (const { task, predictions, mismatches } of report.tasks ?? []) {
        process.stdout.write(
          `  ${task}: ${count(predictions)} predictions, ${count(mismatches)} mismatches\n`,
        )
      }
      if (report.tasks?.length === 0) process.stdout.write('  no task of it has a model\n')
      for (const { model, requestId, what, served, recomputed, trigger } of report.examples) {
        process.stdout.write(
          `  ${model} ${requestId} (${trigger}): ${what} was ${served}, recomputed ${recomputed}\n`,
        )
      }
    }
    return report.mismatches === 0 ? 0 : 1
  } finally {
    await wiring.close()
  }
}

export interface RebuildCommandOptions extends ReplaySourceOptions {
  /** Only this one of several tasks. */
  readonly task?: string
}

/** `replay rebuild`: all state folded anew from the inputs and compared. Exit code 1 if it differs. */
export async function rebuildCommand(options: RebuildCommandOptions): Promise<number> {
  const { data, json = false, task } = options
  if (options.kafka !== undefined) return rebuildOfCluster(options)
  if (task !== undefined) throw new CliError('--task goes with --kafka: a log of a folder has one task')
  if (data === undefined) throw new CliError('name the log: --data <dir>, or --kafka <brokers>')
  const declaration = await topologyOf(data, options.topology)
  const wiring = await wire({ data, now: Date.now })
  try {
    const progress = new Progress('rebuilding', { unit: 'records', silent: json })
    const report = await rebuild({ declaration, ...wiring, fresh: await wiring.scratch() }, ({ records }) =>
      progress.update(records),
    )
    progress.end(report.records)
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : textOf(report))
    return report.equal ? 0 : 1
  } finally {
    await wiring.close()
  }
}

/** Compares with the state of `--data` where there is one; else the digest is to be compared with that of another fold. */
async function rebuildOfCluster(options: RebuildCommandOptions): Promise<number> {
  const { data, json = false } = options
  const { declaration, wiring } = await openSource(options)
  try {
    const tasks = onlyTask(await recordedTasks(declaration, wiring.log), options.task)
    if (tasks.some(({ share }) => share !== undefined)) return await rebuildOfTasks(tasks, wiring, options)
    const progress = new Progress('rebuilding', { unit: 'records', silent: json })
    const onProgress = ({ records }: { readonly records: number }) => progress.update(records)
    const fresh = await wiring.scratch()
    const folder = data === undefined ? undefined : liveFolder(data)
    if (folder === undefined || !existsSync(folder)) {
      const report = await foldAnew({ declaration, ...wiring, database: fresh }, onProgress)
      progress.end(report.records)
      process.stdout.write(
        json
          ? `${JSON.stringify(report)}\n`
          : `${count(report.records)} records folded anew\n  rebuilt      ${report.after}\n  entries      ${report.entries} (the same on any log that holds these records)\n  nothing to compare it with: name the folder of the state with --data\n`,
      )
      return 0
    }
    const database = await openStateFolder(folder)
    try {
      const report = await rebuild({ declaration, ...wiring, database, fresh }, onProgress)
      progress.end(report.records)
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : textOf(report))
      return report.equal ? 0 : 1
    } finally {
      await database.close()
    }
  } finally {
    await wiring.close()
  }
}

/** Compares with the states that `--data` has of the tasks: those that ran there, or stood by. */
async function rebuildOfTasks(
  tasks: readonly Declaration[],
  wiring: Wiring,
  { data, json = false }: RebuildCommandOptions,
): Promise<number> {
  const progress = new Progress('rebuilding', { unit: 'records', silent: json })
  const report = await rebuildTasks(
    tasks,
    {
      ...wiring,
      async stateOf(task) {
        const folder = data === undefined ? undefined : statePath(data, task)
        return folder === undefined || !existsSync(folder) ? undefined : await openStateFolder(folder)
      },
    },
    ({ records }) => progress.update(records),
  )
  progress.end(report.records)
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : textOfTasks(report, data))
  return report.equal === false ? 1 : 0
}

function textOfTasks({ records, after, tasks, equal }: TasksReport, data: string | undefined): string {
  const rows = tasks.map((fold) => [
    fold.task,
    count(fold.records),
    fold.after,
    fold.before === undefined ? 'no state here' : fold.before === fold.after ? 'equal' : 'NOT EQUAL',
  ])
  const verdict =
    equal === undefined
      ? data === undefined
        ? 'nothing to compare it with: name the folder of an instance with --data'
        : `nothing to compare it with: ${data} has no state of these tasks`
      : equal
        ? 'every state here is equal'
        : 'NOT EQUAL: a state does not match its log; remove its folder in tasks/ to start from the rebuilt fold'
  return `${count(records)} records folded anew\n${table(['task', 'records', 'rebuilt', data ?? ''], rows)}\n  all ${tasks.length}    ${after}\n  ${verdict}\n`
}

const textOf = ({ records, before, after, equal }: RebuildReport): string =>
  `${count(records)} records folded anew\n  state before ${before}\n  rebuilt      ${after}\n  ${equal ? 'equal' : 'NOT EQUAL: the state does not match its log; remove the state folder to start from the rebuilt fold'}\n`
