import { tasksOf } from '../../replay/task-plan.ts'
import { Instance } from '../../topology/cluster/instance.ts'
import { Engine } from '../../topology/index.ts'
import { firstRows } from './first-rows.ts'
import { windowTopology } from './window-topology.ts'

/*
 * One of several processes that share job P1 on a cluster.
 *
 *     kafka-scale-child <csv> <brokers> <topic prefix> <events> [<data> <name>]
 *
 * Without a folder it brings the first transactions to the cluster. Else it
 * prints a JSON line now and then with the tasks that run here and what they
 * have not processed yet; ends on SIGTERM with a line of what it used.
 */

const [, , csv = '', brokers = '', topicPrefix = '', events = '0', data = '', name = ''] = process.argv
const tell = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

const topology = windowTopology(csv, 'log')
const kafka = { brokers: brokers.split(','), topicPrefix }

if (data === '') {
  // As a task of it that does nothing else: the application is not to begin as a whole.
  const engine = await Engine.open({ topology, part: tasksOf(topology)[0]!, kafka })
  const [source] = topology.sources
  await engine.importer.run(source!.name, firstRows(source!.rows(), Number(events)))
  await engine.close()
  process.exit()
}

const engines = new Map<string, Engine>()
const instance = await Instance.start({
  topology,
  data,
  id: name,
  kafka,
  url: 'http://127.0.0.1:9',
  // What a copy of the state costs is not what is measured.
  standbys: 0,
  onEngine(task, engine) {
    if (engine === undefined) engines.delete(task)
    else engines.set(task, engine)
  },
})

const timer = setInterval(async () => {
  if (instance.failure !== undefined) throw instance.failure
  const tasks = await Promise.all(
    [...engines].map(async ([task, engine]) => {
      const lag = (await engine.lag()).reduce((sum, { lagRecords }) => sum + lagRecords, 0)
      return { task, lag, processed: engine.assembly.task.processed }
    }),
  ).catch(() => [])
  tell({ is: 'tasks', tasks })
}, 500)

process.on('SIGTERM', async () => {
  clearInterval(timer)
  const { user, system } = process.cpuUsage()
  tell({ is: 'used', cpuSeconds: (user + system) / 1e6, peakRssMb: process.resourceUsage().maxRSS / 1024 })
  await instance.close()
  process.exit()
})
