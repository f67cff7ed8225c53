import { AnyDecoder } from '../../state/contracts/any-decoder.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import type { Log, TopicSpec } from '../../state/log/log.ts'

/** A record as a tool shows it. */
export interface ShownRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: string
  readonly key: unknown
  /** Absent where the bytes cannot be decoded; `problem` then says why. */
  readonly value?: unknown
  readonly problem?: string
  readonly headers?: Readonly<Record<string, string>>
}

const fetchBytes = 1 << 20

/** Reads any topic of a log and decodes what it can, for people. */
export class LogReader {
  readonly #log: Log
  readonly #decoder: AnyDecoder

  constructor(log: Log, registry: SchemaRegistry) {
    this.#log = log
    this.#decoder = new AnyDecoder(registry)
  }

  /** @throws EngineError `topic-unknown` */
  async topic(name: string): Promise<TopicSpec> {
    const topics = await this.#log.topics()
    const found = topics.find((topic) => topic.name === name)
    if (found === undefined) {
      throw new EngineError('topic-unknown', { topic: name, known: topics.map((topic) => topic.name) })
    }
    return found
  }

  /** Records from an offset on, to the end as it is when the reading gets there. */
  async *read(topic: string, partition: number, from: bigint): AsyncGenerator<ShownRecord> {
    const { start } = await this.#log.offsets(topic, partition)
    for (let offset = from > start ? from : start; ; ) {
      const { end } = await this.#log.offsets(topic, partition)
      if (offset >= end) return
      const batch = await this.#log.read({ topic, partition, offset, maxBytes: fetchBytes })
      for (let index = 0; index < batch.count; index++) {
        const headers = batch.headers(index)
        yield {
          topic,
          partition,
          offset: Number(batch.baseOffset) + batch.offsetDeltas[index]!,
          timestamp: isoTime(batch.timestampsMs[index]!),
          key: await this.#key(topic, batch.bytes, batch.keyStart[index]!, batch.keyEnd[index]!),
          ...(await this.#value(topic, batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!)),
          ...(headers.length === 0
            ? {}
            : {
                headers: Object.fromEntries(
                  headers.map(({ name, value }) => [name, Buffer.from(value).toString('utf8')]),
                ),
              }),
        }
      }
      offset = batch.nextOffset
    }
  }

  async #key(topic: string, bytes: Buffer, start: number, end: number): Promise<unknown> {
    if (start < 0) return null
    try {
      return await this.#decoder.decode(topic, bytes, start, end)
    } catch {
      // Keys of foreign producers are often plain text.
      return bytes.toString('utf8', start, end)
    }
  }

  async #value(
    topic: string,
    bytes: Buffer,
    start: number,
    end: number,
  ): Promise<{ value?: unknown; problem?: string }> {
    if (start < 0) return { value: null }
    try {
      return { value: await this.#decoder.decode(topic, bytes, start, end) }
    } catch (error) {
      const text = bytes.toString('utf8', start, end)
      if (text.startsWith('{')) {
        try {
          return { value: JSON.parse(text) }
        } catch {
          // Not JSON either: told below.
        }
      }
      return { problem: error instanceof Error ? error.message : String(error) }
    }
  }
}

export function isoTime(ms: number): string {
  const isDate = Math.abs(ms) <= 8.64e15
  return isDate ? new Date(ms).toISOString() : String(ms)
}

/** JSON as the contracts read it back: bigints as digits, bytes as base64. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    function (this: Record<string, unknown>, name, given) {
      const own = this[name]
      if (typeof given === 'bigint') return given.toString()
      if (own instanceof Uint8Array) return Buffer.from(own).toString('base64')
      return given
    },
    indent,
  )
}
