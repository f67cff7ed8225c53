import type { Declaration } from '../../models/declaration.ts'
import { Engine } from '../../topology/index.ts'
import { firstRows } from './first-rows.ts'
import { fraudTopology } from './fraud-topology.ts'
import { thirtyDayCounts } from './thirty-day-counts.ts'
import { windowCounts, windowTopology } from './window-topology.ts'

/*
 * The process whose CPU is measured.
 *
 *     kafka-bench-child load|run <job> <csv> <events> <brokers> <topic prefix> <data>
 *
 * `load` brings the first transactions to the cluster, `run` works them off.
 * It prints a JSON line when it begins, at each commit, at the end with what
 * it used until then, and last with what the outputs on the cluster say.
 */

const [, , mode = '', job = '', csv = '', events = '0', brokers = '', topicPrefix = '', data = ''] =
  process.argv

const declared: Readonly<Record<string, () => Declaration>> = {
  'P1 fused': () => windowTopology(csv, 'fused'),
  'P1 through the internal topic': () => windowTopology(csv, 'log'),
  'P1b fused': () => fraudTopology(csv, 'fused'),
  'P1b through the internal topic': () => fraudTopology(csv, 'log'),
}
const declare = declared[job]
if (declare === undefined) throw new RangeError(`no job "${job}"`)
const topology = declare()
const tell = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

let commits = 0
const engine = await Engine.open({
  topology,
  ...(data === '' ? {} : { data }),
  kafka: { brokers: brokers.split(','), topicPrefix },
  onStep(step) {
    if (step !== 'appended') return
    commits++
    tell({ is: 'commit', processed: engine.assembly.task.processed, atMs: Date.now() })
  },
})
if (mode === 'load') {
  const [source] = topology.sources
  await engine.importer.run(source!.name, firstRows(source!.rows(), Number(events)))
} else {
  tell({ is: 'begun', atMs: Date.now() })
  const startedMs = performance.now()
  engine.run()
  await engine.caughtUp()
  // What has changed is on the changelog in the end, as it is with whoever writes it record by record.
  await engine.assembly.task.checkpoint()
  const elapsedMs = performance.now() - startedMs
  const { user, system } = process.cpuUsage()
  const { maxRSS } = process.resourceUsage()
  const used = { elapsedMs, cpuSeconds: (user + system) / 1e6, peakRssMb: maxRSS / 1024, commits }
  tell({ is: 'done', ...used, changelog: engine.assembly.changelog?.tally })
  tell({
    is: 'checked',
    counts: await (job.startsWith('P1b') ? thirtyDayCounts(engine) : windowCounts(engine)),
  })
}
await engine.close()
