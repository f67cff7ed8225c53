import { backfill } from '../../replay/backfill.ts'
import { shadowFolder, unmarkReady } from '../../replay/backfill-swap.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { wire } from '../../topology/runtime/wire.ts'
import { widerShop } from './wider-shop.ts'

/*
 * A process that backfills the wider shop of a data folder until it dies.
 *
 *     backfill-child <data folder> <records>
 *
 * It ends itself with SIGKILL once so many records of this run are folded.
 */

const [, , data = '', records = '0'] = process.argv

unmarkReady(data)
const { log, registry } = await wire({ data, now: Date.now, readOnly: true })
const database = await openRocksdbDatabase({ path: shadowFolder(data) })
let first: number | undefined
await backfill({
  declaration: widerShop,
  log,
  registry,
  database,
  elapsedMs: () => performance.now(),
  checkpointEvents: 150,
  onProgress(progress) {
    first ??= progress.records
    if (progress.records - first >= Number(records)) process.kill(process.pid, 'SIGKILL')
  },
})
