import { createHash } from 'node:crypto'
import type { Database } from '../state/store/database.ts'
import type { Assembly } from './assembly.ts'

/**
 * SHA-256 over every entry of every store, in name and key order, and over the
 * positions it stands at. Two folds of the same records in the same
 * interleaving have the same digest, however often they were interrupted.
 */
export async function stateDigest(database: Database, assembly: Assembly): Promise<string> {
  return (await stateDigests(database, assembly)).state
}

/**
 * The same, and beside it the digest of the entries alone: equal too where
 * the same records lie at other offsets, as on another kind of log.
 */
export async function stateDigests(
  database: Database,
  { graph, task }: Assembly,
): Promise<{ readonly state: string; readonly entries: string }> {
  const hash = createHash('sha256')
  const put = (bytes: Uint8Array) => {
    const size = Buffer.alloc(4)
    size.writeUInt32BE(bytes.length)
    hash.update(size)
    hash.update(bytes)
  }
  for (const name of graph.stores.map((store) => store.name).sort()) {
    put(Buffer.from(name))
    for await (const chunk of database.scan(name)) {
      for (const { key, value } of chunk) {
        put(key)
        put(value)
      }
    }
  }
  const entries = hash.copy().digest('hex')
  put(Buffer.from(task.position.offsets.join(',')))
  return { state: hash.digest('hex'), entries }
}
