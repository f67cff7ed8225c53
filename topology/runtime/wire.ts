import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { liveFolder } from '../../replay/backfill-swap.ts'
import { embeddedRegistry } from '../../state/contracts/embedded-registry.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { SchemaEvent, SchemaJournal, SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import { openEmbeddedLog } from '../../state/log/embedded/embedded-log.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { type DatabaseOperation, meteredDatabase } from '../../state/store/metered-database.ts'
import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { ClusterReader } from './cluster-reader.ts'
import { readerRegistry } from './reader-registry.ts'
import type { KafkaWiring } from './wire-kafka.ts'

/** The adapters that one engine runs on. This file is the one place that chooses them. */
export interface Wiring {
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  readonly database: Database
  /** Makes the writer of a standby the one that commits; for any other there is nothing to do. */
  take(): Promise<void>
  /** Tells of every call on the database from now on; returns what ends it. */
  listenToDatabase(listener: (operation: DatabaseOperation) => void): () => void
  /** Opens the state of another fold of the same log; absent: in memory. To be closed by the caller, or else by `close`. */
  openState(path?: string): Promise<Database>
  /** Another, empty database beside the state: for a rebuild or an audit. Removed by `close`. */
  scratch(): Promise<Database>
  close(): Promise<void>
}

export interface WireOptions {
  /** Folder of the log and the state; absent: everything in memory, gone at the end. */
  readonly data?: string
  /** Wall clock in ms: the append times of the log. */
  readonly now: () => number
  /**
   * Reads the log beside a running engine, and nothing else: no writer, no
   * state; at a cluster no topic is made and no schema registered.
   */
  readonly readOnly?: boolean
  /**
   * Follows another process that works on the same task (with `kafka`): the
   * writer ends nobody else's until it is taken, and schemas that nobody has
   * registered are refused.
   */
  readonly standby?: boolean
  /** Called when the log is this process's own and the state is not open yet. */
  readonly beforeState?: () => Promise<void>
  /** Told what an operator should know and need not act on at once. */
  readonly onNotice?: (text: string) => void
  /** A Kafka cluster in place of the embedded log; `data` then holds the state alone. */
  readonly kafka?: KafkaWiring
  /** Name of the application: at a cluster it stands in front of what the engine keeps there. */
  readonly app?: string
  /** Of several tasks the one that this is for: its writer and its state have its name. */
  readonly task?: string
  /** Another task of the application registers its schemas; those that nobody has registered are refused. */
  readonly registersNone?: boolean
}

/** Where the state of a data folder is; of several tasks, that of one. */
export const statePath = (data: string, task?: string): string =>
  task === undefined ? liveFolder(data) : join(data, 'tasks', task)

/**
 * One process: the embedded log and RocksDB in a folder, or both in memory; or
 * the log of a Kafka cluster with RocksDB in a folder.
 */
export async function wire(options: WireOptions): Promise<Wiring> {
  const { data, now, readOnly = false, standby = false, kafka, app = 'headwater', task } = options
  // A cluster may have a registry's own topic of the plain name.
  const schemasTopic = kafka === undefined ? '_schemas' : `${app}-schemas`
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
    // One process without a cluster starts without loading the client of one.
    const cluster = kafka && { kafka, ...(await import('./wire-kafka.ts')) }
    const clusterLog = cluster && keep(await cluster.openClusterLog(app, now, cluster.kafka))
    const log =
      clusterLog && readOnly
        ? new ClusterReader(clusterLog, `kafka://${kafka?.brokers.join(',')}/${kafka?.topicPrefix ?? ''}`)
        : (clusterLog ?? keep(await openLog(options)))
    const writerId = task === undefined ? 'engine' : `engine-${task}`
    const inWaiting = standby ? await clusterLog?.standbyWriter(writerId) : undefined
    // A reader writes nowhere: what its task emits is muted, and this log is thrown away.
    const writer = keep(inWaiting ?? (await (readOnly ? keep(openMemoryLog({ now })) : log).writer(writerId)))
    await options.beforeState?.()
    const listeners = new Set<(operation: DatabaseOperation) => void>()
    const openState = async (path?: string) =>
      meteredDatabase(
        keep(path === undefined ? memoryDatabase() : await openRocksdbDatabase({ path })),
        (operation) => {
          for (const listener of listeners) listener(operation)
        },
        () => performance.now(),
      )
    const database = await openState(data === undefined || readOnly ? undefined : statePath(data, task))
    const registry =
      (cluster && (await cluster.sharedRegistry(cluster.kafka, readOnly))) ??
      (await (inWaiting === undefined && options.registersNone !== true
        ? ownRegistry(log, writer, schemasTopic, readOnly)
        : settledRegistry(log, writer, schemasTopic)))
    return {
      log,
      writer,
      registry,
      database,
      openState,
      take: async () => await inWaiting?.take(),
      listenToDatabase(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      async scratch() {
        if (data === undefined && kafka === undefined) return keep(memoryDatabase())
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

/** State in a folder of its own: that of a backfill. */
export const openStateFolder = (path: string): Promise<Database> => openRocksdbDatabase({ path })

async function openLog({ data, now, readOnly = false, onNotice = () => {} }: WireOptions): Promise<Log> {
  if (data === undefined) return openMemoryLog({ now })
  return openEmbeddedLog({
    path: join(data, 'log'),
    now,
    readOnly,
    onTornTail: ({ path, position, bytes }) =>
      onNotice(`${path}: cut ${bytes} bytes at ${position} that were never written whole`),
    onCleaningFailed: (error) =>
      onNotice(
        `cleaning the log failed and is tried again later: ${error instanceof Error ? error.message : error}`,
      ),
  })
}

async function ownRegistry(
  log: Log,
  writer: LogWriter,
  topic: string,
  readOnly: boolean,
): Promise<SchemaRegistry> {
  const journal = schemaJournal(log, writer, topic)
  if (readOnly) return readerRegistry(() => journal.read())
  await log.createTopic({ name: topic, partitions: 1 })
  return embeddedRegistry(journal)
}

/** As far as it is on the log now. What is not registered yet is for the one who commits to register. */
async function settledRegistry(log: Log, writer: LogWriter, topic: string): Promise<SchemaRegistry> {
  // The one who registers may come later, and is not to find it in another form than its own.
  await log.createTopic({ name: topic, partitions: 1 })
  const { read } = schemaJournal(log, writer, topic)
  return embeddedRegistry({
    read,
    append: ({ subject }) => Promise.reject(new EngineError('subject-unknown', { subject })),
  })
}

/** The registry's events as records of a topic: the embedded registry is a fold of it. */
function schemaJournal(log: Log, writer: LogWriter, schemasTopic: string): SchemaJournal {
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
