import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { audit } from '../../replay/audit.ts'
import { foldAnew, type RebuildReport, rebuild } from '../../replay/rebuild.ts'
import { findRange } from '../../replay/replay-range.ts'
import { openStateFolder, wire } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { topologyOf } from './data-folder.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { openSource, type ReplaySourceOptions } from './replay-source.ts'

export interface AuditCommandOptions extends ReplaySourceOptions {
  /** A time, a record or a commit. */
  readonly from?: string
  readonly to?: string
}

/** `replay audit`: every prediction recomputed at its position. Exit code 1 if any differs. */
export async function auditCommand(options: AuditCommandOptions): Promise<number> {
  const { json = false } = options
  const range = rangeOption(options)
  const { declaration, wiring } = await openSource(options)
  try {
    const found = await findRange(range, { app: declaration.name, ...wiring })
    const progress = new Progress('auditing', { unit: 'records', silent: json })
    let records = 0
    const report = await audit({
      declaration,
      ...wiring,
      database: await wiring.scratch(),
      ...found,
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

/** `replay rebuild`: all state folded anew from the inputs and compared. Exit code 1 if it differs. */
export async function rebuildCommand(options: ReplaySourceOptions): Promise<number> {
  const { data, json = false } = options
  if (options.kafka !== undefined) return rebuildOfCluster(options)
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
async function rebuildOfCluster(options: ReplaySourceOptions): Promise<number> {
  const { data, json = false } = options
  const { declaration, wiring } = await openSource(options)
  try {
    const progress = new Progress('rebuilding', { unit: 'records', silent: json })
    const onProgress = ({ records }: { readonly records: number }) => progress.update(records)
    const fresh = await wiring.scratch()
    const folder = data === undefined ? undefined : join(data, 'state')
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

const textOf = ({ records, before, after, equal }: RebuildReport): string =>
  `${count(records)} records folded anew\n  state before ${before}\n  rebuilt      ${after}\n  ${equal ? 'equal' : 'NOT EQUAL: the state does not match its log; remove the state folder to start from the rebuilt fold'}\n`
