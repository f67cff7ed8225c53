import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
  /** Another, empty database beside the state: for a rebuild or an audit. Removed by `close`. */
  scratch(): Promise<Database>
  close(): Promise<void>
}

export interface WireOptions {
  /** Folder of the log and the state; absent: everything in memory, gone at the end. */
  readonly data?: string
  /** Wall clock in ms: the append times of the log. */
  readonly now: () => number
  /** Reads the log beside a running engine, and nothing else: no writer, no state. */
  readonly readOnly?: boolean
}

const schemasTopic = '_schemas'

/** One process: the embedded log and RocksDB in a folder, or both in memory. */
export async function wire({ data, now, readOnly = false }: WireOptions): Promise<Wiring> {
  if (data !== undefined && !readOnly) mkdirSync(data, { recursive: true })
  const opened: { close(): Promise<void> }[] = []
  const scratchFolders: string[] = []
  const close = async () => {
    for (const each of opened.reverse()) await each.close()
    for (const folder of scratchFolders) rmSync(folder, { recursive: true, force: true })
  }
  const keep = <Opened extends { close(): Promise<void> }>(each: Opened): Opened => {
    opened.push(each)
    return each
  }
  try {
    const log = keep(
      data === undefined
        ? openMemoryLog({ now })
        : await openEmbeddedLog({ path: join(data, 'log'), now, readOnly }),
    )
    // A reader writes nowhere: what its task emits is muted, and this log is thrown away.
    const writer = keep(await (readOnly ? keep(openMemoryLog({ now })) : log).writer('engine'))
    const database = keep(
      data === undefined || readOnly
        ? memoryDatabase()
        : await openRocksdbDatabase({ path: join(data, 'state') }),
    )
    if (!readOnly) await log.createTopic({ name: schemasTopic, partitions: 1 })
    const registry = await embeddedRegistry(schemaJournal(log, writer))
    return {
      log,
      writer,
      registry,
      database,
      async scratch() {
        if (data === undefined) return keep(memoryDatabase())
        const folder = mkdtempSync(join(tmpdir(), 'headwater-'))
        scratchFolders.push(folder)
        return keep(await openRocksdbDatabase({ path: folder }))
      },
      close,
    }
  } catch (error) {
    await close()
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
