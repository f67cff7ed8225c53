import { backfillFile } from '../../topology/runtime/backfill-file.ts'
import { Engine } from '../../topology/runtime/engine.ts'
import { shop } from './shop-topology.ts'

/*
 * A process that brings a file of visits into the shop's log until it dies.
 *
 *     backfill-file-child <data folder> <file> <commits>
 *
 * It ends itself with SIGKILL after so many commits of this run.
 */

const [, , data = '', path = '', commits = '1'] = process.argv

const engine = await Engine.open({ topology: shop, data, now: () => 1_800_000_000_000 })
let left = Number(commits)
await backfillFile(engine, {
  path,
  event: 'visit',
  onProgress(step) {
    if (step === 'bringing in' && --left === 0) process.kill(process.pid, 'SIGKILL')
  },
})
