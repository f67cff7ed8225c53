import type { DeadLetterEvent } from '../../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import type { Log } from '../../state/log/log.ts'
import { Engine } from '../runtime/engine.ts'
import { CliError } from './cli-error.ts'
import { refuseClusterState, runningDoor, topologyOf } from './data-folder.ts'
import { callDoor } from './door-client.ts'
import { type LogOptions, reading } from './log-command.ts'
import { isoTime, LogReader, toJson } from './log-reader.ts'
import { table } from './table.ts'

interface NumberedDeadLetter extends DeadLetterEvent {
  /** Its offset on the dead-letter topic. */
  readonly number: number
}

/** `log dead-letters list`: the newest, each with its reason. */
export const deadLettersListCommand = (options: LogOptions & { readonly limit: number }): Promise<number> =>
  reading(options.data, async ({ log, registry }) => {
    const letters = await deadLettersOf(log, registry, options.limit)
    if (options.json) for (const letter of letters) process.stdout.write(`${toJson(letter)}\n`)
    else if (letters.length === 0) process.stdout.write('no dead letters\n')
    else {
      const rows = letters.map(({ number, topic, partition, offset, reason, detail }) => [
        String(number),
        `${topic}[${partition}]`,
        String(offset),
        reason,
        detail,
      ])
      process.stdout.write(`${table(['number', 'from', 'offset', 'reason', 'detail'], rows)}\n`)
    }
    return 0
  })

/** `log dead-letters explain`: one of them with its bytes. Exit code 1 if there is none of that number. */
export const deadLettersExplainCommand = (number: number, options: LogOptions): Promise<number> =>
  reading(options.data, async ({ log, registry }) => {
    const letter = (await deadLettersOf(log, registry)).find((each) => each.number === number)
    if (letter === undefined) {
      process.stderr.write(`headwater: there is no dead letter ${number}\n`)
      return 1
    }
    if (options.json) {
      process.stdout.write(`${toJson(letter)}\n`)
      return 0
    }
    process.stdout.write(`dead letter ${number}
  from       ${letter.topic}[${letter.partition}] offset ${letter.offset}
  event time ${isoTime(letter.timestampMs)}
  schema id  ${letter.schemaId ?? 'none'}
  reason     ${letter.reason}
  detail     ${letter.detail}
  key        ${hex(letter.key)}
  value      ${hex(letter.value)}
To append it again once the cause is mended: headwater log dead-letters reinject ${number} --data ${options.data}
`)
    return 0
  })

/** `log dead-letters reinject`: the original bytes, appended to their topic and partition again. */
export async function deadLettersReinjectCommand(
  number: number,
  options: LogOptions & { readonly topology?: string },
): Promise<number> {
  const { data, json = false } = options
  const door = runningDoor(data)
  let appended: unknown
  if (door === undefined) {
    refuseClusterState(data)
    const engine = await Engine.open({ topology: await topologyOf(data, options.topology), data })
    try {
      appended = await engine.reinject(number)
    } finally {
      await engine.close()
    }
  } else {
    appended = await callDoor(door, `/v1/dead-letters/${number}/reinject`, {
      type: 'application/json',
      body: '{}',
    })
  }
  const { topic, partition, offset } = appended as { topic: string; partition: number; offset: number }
  process.stdout.write(
    json ? `${JSON.stringify(appended)}\n` : `appended to ${topic}[${partition}] at offset ${offset}\n`,
  )
  return 0
}

async function deadLettersOf(
  log: Log,
  registry: SchemaRegistry,
  limit = Number.MAX_SAFE_INTEGER,
): Promise<readonly NumberedDeadLetter[]> {
  const topic = (await log.topics()).find(({ name }) => name.endsWith('-dead-letters'))?.name
  if (topic === undefined) throw new CliError('this log has no dead-letter topic; run a topology on it first')
  const { end } = await log.offsets(topic, 0)
  const from = BigInt(Math.max(0, Number(end) - limit))
  const letters: NumberedDeadLetter[] = []
  for await (const { offset, value } of new LogReader(log, registry).read(topic, 0, from)) {
    letters.push({ ...(value as DeadLetterEvent), number: offset })
  }
  return letters
}

function hex(bytes: Uint8Array | null): string {
  if (bytes === null) return 'none'
  const shown = Buffer.from(bytes.subarray(0, 64)).toString('hex')
  return bytes.length > 64 ? `${shown}… (${bytes.length} bytes)` : shown
}
