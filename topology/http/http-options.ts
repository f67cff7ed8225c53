import { isIP } from 'node:net'
import { EngineError } from '../../state/contracts/engine-error.ts'

/** Where the door is and what it lets through. */
export interface HttpOptions {
  /** Address to listen on. 127.0.0.1 unless given; any but loopback needs a token, or `open`. */
  readonly host?: string
  /** 0 takes a free one. 7070 unless given. */
  readonly port?: number
  /** Callers must send it: `Authorization: Bearer <token>`. */
  readonly token?: string
  /** Says that anyone who reaches the address may call it. */
  readonly open?: boolean
  /** Largest body. 1 MiB unless given. */
  readonly maxBodyBytes?: number
  /** Most events in one append. 10,000 unless given. */
  readonly maxBatchEvents?: number
  /** How deep JSON may nest. 64 unless given. */
  readonly maxJsonDepth?: number
  /** Requests worked on at once; the next is asked to come again. 256 unless given. */
  readonly maxConcurrentRequests?: number
  /** Connections open at once; the next is closed without an answer. 1,024 unless given. */
  readonly maxConnections?: number
  /** Time for a request to arrive whole. 10 s unless given. */
  readonly receiveTimeoutMs?: number
  /** Time for an answer. 30 s unless given. */
  readonly answerTimeoutMs?: number
  /** Time that requests in hand have once the door closes; then their connections are cut. 5 s unless given. */
  readonly closeTimeoutMs?: number
}

export type CheckedHttpOptions = Required<Omit<HttpOptions, 'token'>> & { readonly token: string | undefined }

/** Longest time that a timer takes. */
const longestMs = 2 ** 31 - 1
const most = Number.MAX_SAFE_INTEGER

const flags = { open: false } as const
/** Default, least and greatest. */
const numbers = {
  port: [7070, 0, 65_535],
  maxBodyBytes: [1 << 20, 1, most],
  maxBatchEvents: [10_000, 1, most],
  maxJsonDepth: [64, 1, 1_000],
  maxConcurrentRequests: [256, 1, most],
  maxConnections: [1_024, 1, most],
  receiveTimeoutMs: [10_000, 1, longestMs],
  answerTimeoutMs: [30_000, 1, longestMs],
  closeTimeoutMs: [5_000, 1, longestMs],
} as const
const texts = { host: '127.0.0.1', token: undefined } as const

/**
 * @throws RangeError that names an unknown option or a value that does not fit;
 * EngineError `door-unguarded` for an address that needs a token
 */
export function checkedHttpOptions(options: HttpOptions): CheckedHttpOptions {
  const checked: Record<string, unknown> = { ...texts, ...flags }
  for (const [name, [byDefault]] of Object.entries(numbers)) checked[name] = byDefault
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checked, name)) {
      throw new RangeError(
        `http option "${name}" is not known; there are ${Object.keys(checked).sort().join(', ')}`,
      )
    }
    if (value === undefined) continue
    checkValue(name, value)
    checked[name] = value
  }
  const { host, token, open } = checked as unknown as CheckedHttpOptions
  if (!isLoopback(host) && token === undefined && !open) throw new EngineError('door-unguarded', { host })
  return checked as unknown as CheckedHttpOptions
}

function checkValue(name: string, value: unknown): void {
  const refuse = (expected: string): never => {
    // What a secret is does not belong into a message.
    const got = name === 'token' ? `a ${typeof value}` : JSON.stringify(value)
    throw new RangeError(`http option "${name}" must be ${expected}, got ${got}`)
  }
  if (Object.hasOwn(flags, name)) {
    if (typeof value !== 'boolean') refuse('true or false')
  } else if (Object.hasOwn(texts, name)) {
    if (typeof value !== 'string' || value === '') refuse('a text that is not empty')
  } else {
    const [, least, greatest] = numbers[name as keyof typeof numbers]
    const isWhole = Number.isInteger(value) && (value as number) >= least && (value as number) <= greatest
    if (!isWhole) refuse(`a whole number from ${least} to ${greatest}`)
  }
}

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  if (name === 'localhost' || name === '::1' || name === '[::1]') return true
  return isIP(name) === 4 && name.startsWith('127.')
}
