import { Engine } from '../../topology/index.ts'
import { folderBackfill } from '../../topology/runtime/folder-replay.ts'
import { shop, shopEvents } from './shop-topology.ts'
import { shopWithHabits, widerShop } from './wider-shop.ts'

/*
 * A process that runs the shop on a data folder, backfills another topology,
 * swaps to it while events come in, and dies of SIGKILL at a step of the swap.
 *
 *     swap-child <data folder> <whole | views> <step>
 */

const [, , data = '', kind = '', dieAt = ''] = process.argv
const topology = kind === 'views' ? shopWithHabits : widerShop
const events = shopEvents(240, 5)
const engine = await Engine.open({
  topology: shop,
  data,
  now: () => 1_800_000_000_000,
  task: { batchRecords: 20 },
})
engine.run()
const send = async (from: number, to: number) => {
  for (const [name, value] of events.slice(from, to)) {
    if (name === 'visit') await engine.predict('buys', value)
    else await engine.append(name, [value])
  }
}
await send(0, 140)
await engine.caughtUp()
await folderBackfill({ topology, data, module: '/next.ts', replaced: '/shop.ts', isAsked: true })
const swapped = engine.swap(topology, {
  onStep(step) {
    if (step === dieAt) process.kill(process.pid, 'SIGKILL')
  },
})
await Promise.all([send(140, 240), swapped])
process.stdout.write('alive\n')
await engine.close()
