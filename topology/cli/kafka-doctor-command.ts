import type { Finding } from './finding.ts'
import { examineCluster } from './kafka-doctor.ts'
import { type ClusterOptions, wiringOf } from './kafka-options.ts'
import { loadTopology } from './load-topology.ts'

export interface KafkaDoctorOptions extends ClusterOptions {
  readonly json?: boolean
  /** False for `--no-probe`. */
  readonly probe: boolean
}

const marks: Readonly<Record<Finding['status'], string>> = {
  ok: 'ok     ',
  warning: 'WARNING',
  failed: 'FAILED ',
  skipped: 'skipped',
}

/** `kafka doctor`: what stands between the application and the cluster. Exit code 1 if anything failed. */
export async function kafkaDoctorCommand(
  topology: string | undefined,
  options: KafkaDoctorOptions,
): Promise<number> {
  const { json = false, probe } = options
  const kafka = wiringOf(options)
  const declaration = topology === undefined ? {} : { declaration: await loadTopology(topology) }
  const tally = { ok: 0, warning: 0, failed: 0, skipped: 0 }
  for await (const finding of examineCluster({ ...declaration, kafka, now: Date.now, probe })) {
    tally[finding.status]++
    process.stdout.write(json ? `${JSON.stringify(finding)}\n` : shown(finding))
  }
  if (!json) {
    const verdict = tally.failed > 0 ? 'not ready' : 'ready'
    process.stdout.write(`${verdict}: ${tally.ok} ok, ${tally.warning} warnings, ${tally.failed} failed\n`)
  }
  return tally.failed > 0 ? 1 : 0
}

const indent = ' '.repeat(9)

function shown({ area, status, found, advice }: Finding): string {
  const what = `${marks[status]}  ${area}: ${found}\n`
  if (advice === undefined) return what
  const [first, ...rest] = advice.split('\n')
  return `${what}${indent}-> ${first}\n${rest.map((line) => `${indent}   ${line}\n`).join('')}`
}
