import { isIP } from 'node:net'

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
  /** Connections open at once. 1,024 unless given. */
  readonly maxConnections?: number
  /** Time for a request to arrive whole. 10 s unless given. */
  readonly receiveTimeoutMs?: number
  /** Time for an answer. 30 s unless given. */
  readonly answerTimeoutMs?: number
}

export type CheckedHttpOptions = Required<Omit<HttpOptions, 'token'>> & { readonly token: string | undefined }

const defaults = {
  host: '127.0.0.1',
  port: 7070,
  open: false,
  maxBodyBytes: 1 << 20,
  maxBatchEvents: 10_000,
  maxJsonDepth: 64,
  maxConcurrentRequests: 256,
  maxConnections: 1_024,
  receiveTimeoutMs: 10_000,
  answerTimeoutMs: 30_000,
} as const

/** @throws RangeError that names an unknown option, a wrong type, or an address that needs a token */
export function checkedHttpOptions(options: HttpOptions): CheckedHttpOptions {
  for (const [name, value] of Object.entries(options)) {
    if (name === 'token') {
      if (value !== undefined && (typeof value !== 'string' || value === '')) {
        throw new RangeError('http option "token" must be a text that is not empty')
      }
      continue
    }
    if (!Object.hasOwn(defaults, name)) {
      throw new RangeError(
        `http option "${name}" is not known; there are ${[...Object.keys(defaults), 'token'].join(', ')}`,
      )
    }
    const wanted = typeof defaults[name as keyof typeof defaults]
    if (value !== undefined && typeof value !== wanted) {
      throw new RangeError(`http option "${name}" must be a ${wanted}, got ${JSON.stringify(value)}`)
    }
    const least = name === 'port' ? 0 : 1
    if (wanted === 'number' && !(Number.isInteger(value) && (value as number) >= least)) {
      throw new RangeError(`http option "${name}" must be a whole number from ${least}, got ${value}`)
    }
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const checked = { token: undefined, ...defaults, ...given } as CheckedHttpOptions
  if (!isLoopback(checked.host) && checked.token === undefined && !checked.open) {
    throw new RangeError(
      `serving on ${checked.host} lets other machines in: set a token that callers must send, or say "open" to let anyone in`,
    )
  }
  return checked
}

export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1' || host === '[::1]') return true
  return isIP(host) === 4 && host.startsWith('127.')
}
