import { EngineError, type ErrorCode } from '../../state/contracts/engine-error.ts'

/** An error as the caller gets it: RFC 9457, `application/problem+json`. */
export interface Problem extends ProblemMembers {
  /** Names the kind of problem; the same for ever. */
  readonly type: string
  readonly title: string
  readonly status: number
  /** What was found, what was expected and what to do. */
  readonly detail: string
  /** The engine's error code, or the door's own. */
  readonly code: string
}

/** The parts of the detail, for programs; each where there is one. */
export interface ProblemMembers {
  readonly field?: string
  /** Line of an NDJSON body, from 1, empty lines counted. */
  readonly line?: number
  readonly found?: unknown
  readonly expected?: unknown
  /** What the caller can do about it. */
  readonly action?: string
  /** Everything the engine's error carries. */
  readonly context?: Readonly<Record<string, unknown>>
}

type Headers = Readonly<Record<string, string>>

/** A refusal of the door itself. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem'
  readonly problem: Problem
  readonly headers: Headers

  constructor(
    status: number,
    code: string,
    detail: string,
    members: ProblemMembers & { readonly headers?: Headers } = {},
  ) {
    super(detail)
    const { headers = {}, ...parts } = members
    this.problem = { type: typeOf(code), title: titleOf(status), status, detail, code, ...parts }
    this.headers = headers
  }
}

/** Which status an engine error has. Others are 503 where the same call may succeed later, else 500. */
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
  'log-closed': 503,
  'record-failed': 503,
  'store-failed': 503,
  'suppress-full': 503,
  'writer-fenced': 503,
  'writer-untrusted': 503,
}

/** Seconds after which a caller may try again what failed for a while. */
export const retryAfter = { 'retry-after': '1' } as const

/** Any error as a refusal; what is not an operating error keeps its details to itself. */
export function refusalOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error
  if (!(error instanceof EngineError)) {
    const detail = 'the engine met an error that it does not know; its own output has the details'
    return new HttpProblem(500, 'internal-error', detail)
  }
  const status = statuses[error.code as ErrorCode] ?? (error.retriable ? 503 : 500)
  const context = plainContext(error.context)
  const { field, found, expected } = context
  return new HttpProblem(status, error.code, error.message, {
    ...(typeof field === 'string' ? { field } : {}),
    ...(found === undefined ? {} : { found }),
    ...(expected === undefined ? {} : { expected }),
    context,
    ...(error.retriable ? { headers: retryAfter } : {}),
  })
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
  414: 'Path too long',
  415: 'Media type not supported',
  429: 'Too many requests at once',
  431: 'Headers too large',
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
