import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type CheckedHttpOptions, isLoopback } from './http-options.ts'
import { HttpProblem } from './problem.ts'

/** Undefined for a request that may come in. */
export type CallerCheck = (request: FastifyRequest) => HttpProblem | undefined

/** Routes for the machinery around the process, which has no token. */
const openRoutes: ReadonlySet<string | undefined> = new Set(['/health', '/ready'])

/**
 * Who may call: with a token those who send it; on loopback without one, those
 * who call this machine by a name of its own; behind an open door, everyone.
 */
export function callerCheck({ token, open, host }: CheckedHttpOptions): CallerCheck {
  if (token !== undefined) return tokenCheck(token)
  return open || !isLoopback(host) ? () => undefined : localCheck
}

function tokenCheck(token: string): CallerCheck {
  const wanted = digest(token)
  const headers = { 'www-authenticate': 'Bearer' }
  return (request) => {
    if (openRoutes.has(request.routeOptions.url)) return undefined
    const sent = /^Bearer +(\S.*)$/i.exec(request.headers.authorization ?? '')?.[1]
    // Digests have one length, so the time of the comparison tells nothing of the token.
    if (sent !== undefined && timingSafeEqual(digest(sent), wanted)) return undefined
    const found = request.headers.authorization === undefined ? 'no token' : 'another token'
    const action = 'send the header Authorization: Bearer <token>'
    return new HttpProblem(401, 'token-needed', `the request has ${found}; ${action}`, { headers, action })
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/**
 * A page of a foreign site can make a browser on this machine call the door:
 * under the site's own name, pointed at this address, or from the page itself.
 * The browser says which name and which page in headers that a page cannot set.
 */
function localCheck({ headers }: FastifyRequest): HttpProblem | undefined {
  const { host = '', origin } = headers
  const name = host.replace(/:\d*$/, '')
  const action = 'call it as localhost, or give the door a token'
  if (!isLoopback(name)) {
    const detail = `the door answers to localhost, the request is for "${name}"; ${action}`
    return new HttpProblem(403, 'host-refused', detail, { found: name, expected: 'localhost', action })
  }
  if (origin === undefined || isLoopback(hostOf(origin))) return undefined
  const detail = `the request comes from a page of "${origin}", the door takes those of localhost; ${action}`
  return new HttpProblem(403, 'origin-refused', detail, { found: origin, expected: 'localhost', action })
}

function hostOf(origin: string): string {
  try {
    return new URL(origin).hostname
  } catch {
    return ''
  }
}
