import { type CommitStep, commitSteps } from '../../state/commit/commit-protocol.ts'
import { Engine } from '../../topology/index.ts'
import { shop, shopEvents } from './shop-topology.ts'

/*
 * A process that works through the shop's events until it is done or dies.
 *
 *     crash-child <data> <events> <step> <count>
 *
 * It ends itself with SIGKILL when the commit protocol reaches `step` for the
 * `count`th time: no handler, no flush, no last word. `none` lives on. At its
 * end it prints what the state came to.
 */

const [, , data = '', events = '0', step = 'none', count = '0'] = process.argv

let left = Number(count)
const engine = await Engine.open({
  topology: shop,
  data,
  now: () => 1_800_000_000_000,
  // Small batches and frequent checkpoints, so that every step comes often.
  task: { batchRecords: 40, checkpointEvents: 120 },
  onStep(reached: CommitStep) {
    if (reached !== step || --left > 0) return
    process.kill(process.pid, 'SIGKILL')
  },
})
if (step !== 'none' && !commitSteps.includes(step as CommitStep)) throw new RangeError(`no step "${step}"`)
await engine.importer.run(
  'shop-events',
  shopEvents(Number(events)).map((event) => [event]),
)
engine.run()
await engine.caughtUp()
process.stdout.write(
  `${JSON.stringify({ tally: engine.model('buys').tally(), digest: await engine.digest(), position: engine.assembly.task.position })}\n`,
)
await engine.close()
