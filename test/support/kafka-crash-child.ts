import { type CommitStep, commitSteps } from '../../state/commit/commit-protocol.ts'
import { Engine } from '../../topology/index.ts'
import { shop, shopEvents } from './shop-topology.ts'

/*
 * A process that works through the shop's events on a Kafka cluster until it
 * is done or dies.
 *
 *     kafka-crash-child <data> <brokers> <topic prefix> <events> <step> <count>
 *
 * It ends itself with SIGKILL when the commit protocol reaches `step` for the
 * `count`th time: no handler, no flush, no last word. `none` lives on. It
 * says when it is open, and at its end what the state came to.
 */

const [, , data = '', brokers = '', topicPrefix = '', events = '0', step = 'none', count = '0'] = process.argv

if (step !== 'none' && !commitSteps.includes(step as CommitStep)) throw new RangeError(`no step "${step}"`)
let left = Number(count)
const engine = await Engine.open({
  topology: shop,
  data,
  kafka: { brokers: brokers.split(','), topicPrefix },
  now: () => 1_800_000_000_000,
  // Small batches and frequent checkpoints, so that every step comes often.
  task: { batchRecords: 40, checkpointEvents: 120 },
  onStep(reached: CommitStep) {
    if (reached !== step || --left > 0) return
    process.kill(process.pid, 'SIGKILL')
  },
})
process.stdout.write('open\n')
await engine.importer.run(
  'shop-events',
  shopEvents(Number(events)).map((event) => [event]),
)
engine.run()
await engine.caughtUp()
const { recovered } = engine
process.stdout.write(
  `${JSON.stringify({ tally: engine.model('buys').tally(), digest: await engine.digest(), recovered: recovered.records })}\n`,
)
await engine.close()
