import { EngineError, type ErrorCode } from '../../state/contracts/engine-error.ts'

/** An error as the caller gets it: RFC 9457, `application/problem+json`. */
export interface Problem {
  /** Names the kind of problem; the same for ever. */
  readonly type: string
  readonly title: string
  readonly status: number
  /** What was found, what was expected and what to do. */
  readonly detail: string
  /** The engine's error code, where it is one of the engine's. */
  readonly code?: string
  /** The parts of the detail, for programs. */
  readonly context?: Readonly<Record<string, unknown>>
}

/** A refusal of the door itself. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem'
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, code: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail)
    this.problem = { type: typeOf(code), title: titleOf(status), status, detail, code }
    this.headers = headers
  }
}

const statuses: Partial<Record<ErrorCode, number>> = {
  'contract-violation': 400,
  'event-time-refused': 400,
  'entity-key-mismatch': 400,
  'record-undecodable': 400,
  'record-too-large': 413,
  'event-unknown': 404,
  'model-unknown': 404,
  'feature-view-unknown': 404,
  'topic-unknown': 404,
  'dead-letter-unknown': 404,
  'request-repeated': 409,
  'engine-stopping': 503,
  'log-disk': 503,
  'log-closed': 503,
  'store-failed': 503,
  'record-failed': 503,
}

/** Any error as a problem; what is not an operating error keeps its details to itself. */
export function problemOf(error: unknown): Problem {
  if (error instanceof HttpProblem) return error.problem
  if (error instanceof EngineError) {
    const status = statuses[error.code as ErrorCode] ?? 500
    return {
      type: typeOf(error.code),
      title: titleOf(status),
      status,
      detail: error.message,
      code: error.code,
      context: plainContext(error.context),
    }
  }
  if (error instanceof RangeError) {
    return {
      type: typeOf('bad-request'),
      title: titleOf(400),
      status: 400,
      detail: error.message,
      code: 'bad-request',
    }
  }
  const code = 'internal-error'
  const detail = 'the engine met an error that it does not know; its own output has the details'
  return { type: typeOf(code), title: titleOf(500), status: 500, detail, code }
}

const typeOf = (code: string): string => `urn:headwater:problem:${code}`

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'A token is needed',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'The request took too long to arrive',
  409: 'Conflict',
  413: 'Too large',
  415: 'Media type not supported',
  429: 'Too many requests at once',
  500: 'Internal error',
  503: 'Not available now',
}

const titleOf = (status: number): string => titles[status] ?? 'Error'

function plainContext(context: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(context).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? value.toString() : value,
    ]),
  )
}
