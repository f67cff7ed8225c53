import { Engine } from '../../topology/index.ts'
import { placesAskedOf } from './places-topology.ts'

/*
 * A process that asks for cities until its `count`th call has its answer, and
 * ends itself with SIGKILL before that is returned, or some turns later.
 *
 *     caller-child <data> <count> <turns>
 */

const [, , data = '', count = '1', turns = '0'] = process.argv
let calls = 0
const engine = await Engine.open({
  topology: placesAskedOf(async (asked) => {
    if (++calls === Number(count)) {
      void (async () => {
        for (let turn = 0; turn < Number(turns); turn++) await new Promise((resolve) => setImmediate(resolve))
        process.kill(process.pid, 'SIGKILL')
      })()
    }
    return asked.map(({ number }) => `city-${number}`)
  }),
  data,
  now: () => 1_800_000_000_000,
})
engine.run()
await engine.caughtUp()
await engine.close()
