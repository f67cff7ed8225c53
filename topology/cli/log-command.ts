import { createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { EngineError } from '../../state/contracts/engine-error.ts'
import { verifyLog } from '../../state/log/embedded/verify.ts'
import { Engine } from '../runtime/engine.ts'
import { type Wiring, wire } from '../runtime/wire.ts'
import { CliError } from './cli-error.ts'
import { refuseClusterState, requireData, runningDoor, topologyOf } from './data-folder.ts'
import { callDoor } from './door-client.ts'
import { LogReader, type ShownRecord, toJson } from './log-reader.ts'
import { count, Progress } from './progress.ts'
import { table } from './table.ts'

export interface LogOptions {
  readonly data: string
  readonly json?: boolean
}

export interface ReadOptions extends LogOptions {
  readonly partition?: number
  readonly from?: number
  readonly limit: number
}

/** `log topics`: what is on the log. */
export const topicsCommand = (options: LogOptions): Promise<number> =>
  reading(options.data, async ({ log }) => {
    const rows: { topic: string; partitions: number; records: number; compacted: boolean }[] = []
    for (const { name, partitions, compacted = false } of await log.topics()) {
      let records = 0
      for (let partition = 0; partition < partitions; partition++) {
        const { start, end } = await log.offsets(name, partition)
        records += Number(end - start)
      }
      rows.push({ topic: name, partitions, records, compacted })
    }
    rows.sort((a, b) => (a.topic < b.topic ? -1 : 1))
    if (options.json) for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`)
    else {
      const lines = rows.map(({ topic, partitions, records, compacted }) => [
        topic,
        String(partitions),
        count(records),
        compacted ? 'yes' : '',
      ])
      process.stdout.write(`${table(['topic', 'partitions', 'offsets', 'compacted'], lines)}\n`)
    }
    return 0
  })

/** `log read`: records of a topic, decoded under the schema that wrote them. */
export const readCommand = (topic: string, options: ReadOptions): Promise<number> =>
  reading(options.data, async ({ log, registry }) => {
    const reader = new LogReader(log, registry)
    const { partitions } = await reader.topic(topic)
    let left = options.limit
    for (const partition of partitionsOf(partitions, options.partition)) {
      if (left === 0) break
      for await (const record of reader.read(topic, partition, BigInt(options.from ?? 0))) {
        show(record, options.json ?? false)
        if (--left === 0) break
      }
    }
    return 0
  })

/** `log follow`: records from now on, until the process is told to stop. */
export const followCommand = (topic: string, options: LogOptions): Promise<number> =>
  reading(options.data, async ({ log, registry }) => {
    const reader = new LogReader(log, registry)
    const { partitions } = await reader.topic(topic)
    const next = await Promise.all(
      partitionsOf(partitions).map(async (partition) => (await log.offsets(topic, partition)).end),
    )
    const stopped = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())
    while (!stopped.signal.aborted) {
      const appended = log.appended(stopped.signal)
      for (const partition of partitionsOf(partitions)) {
        for await (const record of reader.read(topic, partition, next[partition]!)) {
          show(record, options.json ?? false)
          next[partition] = BigInt(record.offset) + 1n
        }
      }
      await appended
    }
    return 0
  })

/** `log verify`: every frame read and checked. Exit code 1 if any is damaged. */
export async function verifyCommand({ data, json = false }: LogOptions): Promise<number> {
  requireData(data)
  const progress = new Progress('verifying', { unit: 'bytes', silent: json })
  const report = await verifyLog({
    path: `${data}/log`,
    onProgress: (bytes: number) => progress.update(bytes),
  })
  if (json) process.stdout.write(`${toJson(report)}\n`)
  else {
    const { segments, frames, records, bytes, damage } = report
    progress.end(bytes)
    process.stdout.write(
      `${count(segments)} segments, ${count(frames)} frames, ${count(records)} records, ${count(bytes)} bytes: ${damage === undefined ? 'whole' : 'DAMAGED'}\n`,
    )
    if (damage !== undefined) {
      process.stdout.write(`  ${damage.path} at byte ${damage.position}: ${damage.detail}\n`)
    }
  }
  return report.damage === undefined ? 0 : 1
}

/** `log append`: one JSON event a line; through the door of a running engine, else straight to the log. */
export async function appendCommand(
  event: string,
  file: string | undefined,
  options: LogOptions & { readonly topology?: string },
): Promise<number> {
  const { data, json = false } = options
  if (file !== undefined && !existsSync(file)) throw new CliError(`no file at ${file}`)
  const input = file === undefined ? process.stdin : createReadStream(file)
  const door = runningDoor(data)
  let appended = 0
  const lines = batches(input, 1_000)
  if (door !== undefined) {
    for await (const batch of lines) {
      await callDoor(door, `/v1/events/${encodeURIComponent(event)}`, {
        type: 'application/x-ndjson',
        body: batch.map(({ text }) => text).join('\n'),
      })
      appended += batch.length
    }
  } else {
    refuseClusterState(data)
    const engine = await Engine.open({ topology: await topologyOf(data, options.topology), data })
    try {
      for await (const batch of lines) {
        const values = batch.map(({ text, number }) => parsed(text, number))
        appended += (await engine.append(event, values)).length
      }
    } finally {
      await engine.close()
    }
  }
  process.stdout.write(json ? `${JSON.stringify({ appended })}\n` : `${count(appended)} events appended\n`)
  return 0
}

/** Opens a folder's log to read it, beside a running engine or without one. */
export async function reading(data: string, work: (wiring: Wiring) => Promise<number>): Promise<number> {
  requireData(data)
  const wiring = await wire({ data, now: Date.now, readOnly: true })
  try {
    return await work(wiring)
  } finally {
    await wiring.close()
  }
}

interface Line {
  readonly number: number
  readonly text: string
}

async function* batches(input: NodeJS.ReadableStream, size: number): AsyncGenerator<readonly Line[]> {
  // Made here, when somebody reads: lines that come before are lost otherwise.
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  let batch: Line[] = []
  let number = 0
  for await (const text of lines) {
    number++
    if (text.trim() === '') continue
    batch.push({ number, text })
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function parsed(text: string, line: number): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new CliError(`line ${line} is not JSON: ${error instanceof Error ? error.message : error}`)
  }
}

function partitionsOf(partitions: number, only?: number): number[] {
  if (only === undefined) return Array.from({ length: partitions }, (_, partition) => partition)
  if (only < partitions) return [only]
  throw new EngineError('topic-mismatch', {
    topic: 'of the command',
    what: 'partitions',
    found: String(partitions),
    expected: `partition ${only}`,
  })
}

function show(record: ShownRecord, json: boolean): void {
  if (json) {
    process.stdout.write(`${toJson(record)}\n`)
    return
  }
  const { partition, offset, timestamp, key, value, problem } = record
  const body = problem === undefined ? toJson(value) : `(${problem})`
  process.stdout.write(`${partition}:${offset}  ${timestamp}  ${toJson(key)}  ${body}\n`)
}
