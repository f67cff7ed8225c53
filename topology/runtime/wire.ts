import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { embeddedRegistry } from '../../state/contracts/embedded-registry.ts'
import type { SchemaEvent, SchemaJournal, SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'

/** The adapters that one engine runs on. This file is the one place that chooses them. */
export interface Wiring {
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  readonly database: Database
  close(): Promise<void>
}

export interface WireOptions {
  /** Folder of the log and the state; absent: everything in memory, gone at the end. */
  readonly data?: string
  /** Wall clock in ms: the append times of the log. */
  readonly now: () => number
}

const schemasTopic = '_schemas'

/** One process: the embedded log and RocksDB in a folder, or both in memory. */
export async function wire({ data, now }: WireOptions): Promise<Wiring> {
  if (data !== undefined) mkdirSync(data, { recursive: true })
  const log =
    data === undefined ? openMemoryLog({ now }) : await openEmbeddedLog({ path: join(data, 'log'), now })
  try {
    const database =
      data === undefined ? memoryDatabase() : await openRocksdbDatabase({ path: join(data, 'state') })
    const writer = await log.writer('engine')
    await log.createTopic({ name: schemasTopic, partitions: 1, compacted: false })
    const registry = await embeddedRegistry(schemaJournal(log, writer))
    return {
      log,
      writer,
      registry,
      database,
      async close() {
        await writer.close()
        await database.close()
        await log.close()
      },
    }
  } catch (error) {
    await log.close()
    throw error
  }
}

/** The registry's events as records of a topic: the embedded registry is a fold of it. */
function schemaJournal(log: Log, writer: LogWriter): SchemaJournal {
  return {
    async *read() {
      const { start, end } = await log.offsets(schemasTopic, 0)
      for (let offset = start; offset < end; ) {
        const batch = await log.read({ topic: schemasTopic, partition: 0, offset, maxBytes: 1 << 20 })
        for (let index = 0; index < batch.count; index++) {
          const value = batch.bytes.subarray(batch.valueStart[index]!, batch.valueEnd[index]!)
          yield JSON.parse(value.toString('utf8')) as SchemaEvent
        }
        offset = batch.nextOffset
      }
    },
    async append(event) {
      const out = writer.sink.begin(schemasTopic, 0, 0)
      writer.sink.beginValue()
      out.raw(Buffer.from(JSON.stringify(event)))
      writer.sink.end()
      const ticket = await writer.commit()
      await ticket.durable
    },
  }
}
