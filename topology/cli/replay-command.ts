import { audit } from '../../replay/audit.ts'
import { rebuild } from '../../replay/rebuild.ts'
import { wire } from '../runtime/wire.ts'
import { topologyOf } from './data-folder.ts'
import { count, Progress } from './progress.ts'

export interface ReplayOptions {
  readonly data: string
  readonly topology?: string
  readonly json?: boolean
}

/** `replay audit`: every prediction recomputed at its position. Exit code 1 if any differs. */
export async function auditCommand({ data, topology, json = false }: ReplayOptions): Promise<number> {
  const declaration = await topologyOf(data, topology)
  const wiring = await wire({ data, now: Date.now, readOnly: true })
  try {
    const progress = new Progress('auditing', { unit: 'records', silent: json })
    let records = 0
    const report = await audit({
      declaration,
      ...wiring,
      database: await wiring.scratch(),
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
export async function rebuildCommand({ data, topology, json = false }: ReplayOptions): Promise<number> {
  const declaration = await topologyOf(data, topology)
  const wiring = await wire({ data, now: Date.now })
  try {
    const progress = new Progress('rebuilding', { unit: 'records', silent: json })
    const report = await rebuild({ declaration, ...wiring, fresh: await wiring.scratch() }, ({ records }) =>
      progress.update(records),
    )
    progress.end(report.records)
    process.stdout.write(
      json
        ? `${JSON.stringify(report)}\n`
        : `${count(report.records)} records folded anew\n  state before ${report.before}\n  rebuilt      ${report.after}\n  ${report.equal ? 'equal' : 'NOT EQUAL: the state does not match its log; remove the state folder to start from the rebuilt fold'}\n`,
    )
    return report.equal ? 0 : 1
  } finally {
    await wiring.close()
  }
}
