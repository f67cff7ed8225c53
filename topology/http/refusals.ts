import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Engine } from '../runtime/engine.ts'
import type { CheckedHttpOptions } from './http-options.ts'
import { HttpProblem, refusalOf } from './problem.ts'

/** Every error that reaches a caller, sent as a problem; unknown routes and wrong methods among them. */
export function addRefusals(
  app: FastifyInstance,
  engine: Pick<Engine, 'failure'>,
  { maxBodyBytes }: CheckedHttpOptions,
): void {
  const routes: { readonly method: string; readonly path: RegExp }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    const path = new RegExp(
      `^${url
        .replaceAll('.', '\\.')
        .replace(/:[^/]+/g, '[^/]+')
        .replace('*', '.+')}$`,
    )
    for (const each of [method].flat()) routes.push({ method: each, path })
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    const allowed = routes.filter((route) => route.path.test(path)).map(({ method }) => method)
    if (allowed.length === 0) {
      const detail = `there is nothing at ${path}; GET / lists what there is`
      sendRefusal(reply, new HttpProblem(404, 'route-unknown', detail, { found: path }))
      return
    }
    const allow = allowed.join(', ')
    const members = { found: request.method, expected: allow, headers: { allow } }
    const detail = `${path} takes ${allow}, not ${request.method}`
    sendRefusal(reply, new HttpProblem(405, 'method-not-allowed', detail, members))
  })
  app.setErrorHandler((error, request, reply) => {
    // Nobody is there any more to get an answer.
    if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') reply.hijack()
    else if (!reply.sent)
      sendRefusal(reply, engineFailure(engine, error) ?? doorError(error, request, maxBodyBytes))
  })
}

export function sendRefusal(reply: FastifyReply, error: unknown): void {
  const { problem, headers } = refusalOf(error)
  if (problem.code === 'internal-error') {
    process.stderr.write(`headwater: ${(error as Error)?.stack ?? error}\n`)
  }
  reply.headers(headers).code(problem.status).type('application/problem+json').send(JSON.stringify(problem))
}

/** What stopped the engine, where it is that; an EngineError speaks for itself. */
export function engineFailure(engine: Pick<Engine, 'failure'>, error: unknown): HttpProblem | undefined {
  if (engine.failure === undefined || error !== engine.failure || error instanceof EngineError)
    return undefined
  const reason = error instanceof Error ? error.message : String(error)
  const action = 'mend the cause and start the engine again'
  return new HttpProblem(503, 'engine-failed', `processing has stopped: ${reason}; ${action}`, { action })
}

/** The framework's own refusals in our words. */
function doorError(error: unknown, request: FastifyRequest, maxBodyBytes: number): unknown {
  switch ((error as { code?: string }).code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': {
      const length = Number(request.headers['content-length'])
      const found = Number.isNaN(length) ? `more than ${maxBodyBytes}` : length
      const detail = `the body has ${found} bytes, the limit is ${maxBodyBytes}; send it in parts`
      const headers = { connection: 'close' }
      return new HttpProblem(413, 'body-too-large', detail, {
        found,
        expected: `at most ${maxBodyBytes}`,
        headers,
      })
    }
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return mediaTypeRefused(request, ['application/json'])
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new HttpProblem(400, 'body-cut-short', 'the body is not as long as its Content-Length says')
    default:
      return error
  }
}

/** A body of another kind than the route takes. */
export function mediaTypeRefused(request: FastifyRequest, types: readonly string[]): HttpProblem {
  const found = request.headers['content-type'] ?? 'of no type'
  const expected = request.routeOptions.url === '/v1/events/:event' ? eventTypes : types
  const detail = `the body is ${found}, expected ${expected.join(' or ')}`
  return new HttpProblem(415, 'media-type-not-supported', detail, { found, expected: expected.join(', ') })
}

const eventTypes = ['application/json', 'application/x-ndjson']

/** What the framework refuses before there is a route: a path that is no text, or a segment that is too long. */
export function sendPathRefusal(
  error: { readonly code: string },
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const refusal =
    error.code === 'FST_ERR_MAX_PARAM_LENGTH'
      ? new HttpProblem(414, 'path-too-long', 'a segment of the path is too long; no name or key is')
      : new HttpProblem(400, 'url-malformed', `${request.raw.url} is not a path; encode "%" as %25`)
  const socket = reply.raw.socket
  reply.hijack()
  if (socket !== null) writeRefusal(socket, refusal)
}

/** What Node refuses before there is a request: a malformed or a slow one. */
export function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Socket,
  { receiveTimeoutMs }: CheckedHttpOptions,
): void {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT': {
      const detail = `the request did not arrive whole within ${receiveTimeoutMs} ms; send it again`
      writeRefusal(socket, new HttpProblem(408, 'request-timeout', detail))
      break
    }
    case 'HPE_HEADER_OVERFLOW':
      writeRefusal(socket, new HttpProblem(431, 'headers-too-large', 'the headers have more than 16 KiB'))
      break
    default:
      writeRefusal(
        socket,
        new HttpProblem(400, 'http-malformed', `the request is not HTTP/1.1: ${error.message}`),
      )
  }
}

function writeRefusal(socket: Socket, { problem }: HttpProblem): void {
  if (socket.destroyed || !socket.writable) return
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  // A caller that goes on sending would else hold the connection.
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon())
}
