import { createHash, timingSafeEqual } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Engine } from '../runtime/engine.ts'
import { type CheckedHttpOptions, checkedHttpOptions, type HttpOptions, isLoopback } from './http-options.ts'
import { Metrics } from './metrics.ts'
import { HttpProblem, problemOf } from './problem.ts'
import { addRoutes } from './routes.ts'

export interface HttpServer {
  /** Where it answers, such as `http://127.0.0.1:7070`. */
  readonly url: string
  /** Takes no more requests, finishes those it has, and ends. */
  close(): Promise<void>
}

/**
 * Opens the HTTP door of an engine. Answers that promise something on the log
 * come when that is durable.
 *
 * @throws RangeError for options that do not fit; EngineError `port-in-use`
 */
export async function startServer(engine: Engine, given: HttpOptions = {}): Promise<HttpServer> {
  const options = checkedHttpOptions(given)
  const metrics = new Metrics(engine)
  const app = createApp(options)
  guard(app, options, metrics)
  addRoutes(app, engine, options, metrics)
  const { host, port } = options
  try {
    await app.listen({ host, port })
  } catch (error) {
    await app.close()
    metrics.close()
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE') throw new EngineError('port-in-use', { host, port }, { cause: error })
    throw error
  }
  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${bound}`,
    async close() {
      await app.close()
      metrics.close()
    },
  }
}

function createApp(options: CheckedHttpOptions): FastifyInstance {
  const { maxBodyBytes, receiveTimeoutMs, maxConnections, answerTimeoutMs } = options
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: receiveTimeoutMs,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 1_024 },
    return503OnClosing: true,
    // What Node refuses before there is a request: a malformed or a slow one.
    clientErrorHandler(error, socket) {
      if (socket.destroyed || !socket.writable) return
      const isSlow = (error as NodeJS.ErrnoException).code === 'ERR_HTTP_REQUEST_TIMEOUT'
      const refused = isSlow
        ? new HttpProblem(408, 'request-timeout', `the request did not arrive within ${receiveTimeoutMs} ms`)
        : new HttpProblem(400, 'http-malformed', `the request is not HTTP/1.1: ${error.message}`)
      const body = JSON.stringify(refused.problem)
      socket.end(
        `HTTP/1.1 ${refused.problem.status} ${isSlow ? 'Request Timeout' : 'Bad Request'}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      )
    },
  })
  app.server.headersTimeout = receiveTimeoutMs
  app.server.maxConnections = maxConnections
  // How often Node looks for requests that are over their time.
  ;(app.server as { connectionsCheckingInterval?: number }).connectionsCheckingInterval = 500
  app.server.timeout = answerTimeoutMs * 2
  app.removeAllContentTypeParsers()
  for (const type of ['application/json', 'application/x-ndjson']) {
    app.addContentTypeParser(type, { parseAs: 'string' }, (_request, body, done) => done(null, body))
  }
  return app
}

/** What every request passes: who may call, how many at once, how long, and how errors are told. */
function guard(app: FastifyInstance, options: CheckedHttpOptions, metrics: Metrics): void {
  const { maxConcurrentRequests, maxBodyBytes, answerTimeoutMs } = options
  let working = 0
  const counted = new WeakSet<FastifyRequest>()
  const timers = new WeakMap<FastifyRequest, NodeJS.Timeout>()
  const mayCall = callerCheck(options)

  app.addHook('onRequest', (request, reply, done) => {
    if (working >= maxConcurrentRequests) {
      const detail = `${maxConcurrentRequests} requests are being answered; come again in a second`
      done(new HttpProblem(429, 'too-many-requests', detail, { 'retry-after': '1' }))
      return
    }
    working++
    counted.add(request)
    const refused = mayCall(request)
    if (refused !== undefined) {
      done(refused)
      return
    }
    const timer = setTimeout(() => {
      if (reply.sent) return
      const detail = `there was no answer within ${answerTimeoutMs} ms; what was appended stays appended`
      send(reply, new HttpProblem(503, 'answer-timeout', detail, { 'retry-after': '1' }))
    }, answerTimeoutMs)
    timers.set(request, timer)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    clearTimeout(timers.get(request))
    if (counted.delete(request)) working--
    const route = request.routeOptions.url ?? 'unknown'
    metrics.observe(route, request.method, reply.statusCode, reply.elapsedTime / 1_000)
    done()
  })
  app.addHook('onRequestAbort', (request, done) => {
    clearTimeout(timers.get(request))
    if (counted.delete(request)) working--
    done()
  })
  const routes: { readonly method: string; readonly path: RegExp }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    const path = new RegExp(`^${url.replace(/:[^/]+/g, '[^/]+').replace('*', '.+')}$`)
    for (const each of [method].flat()) routes.push({ method: each, path })
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    const allowed = routes.filter((route) => route.path.test(path)).map(({ method }) => method)
    if (allowed.length === 0) {
      send(
        reply,
        new HttpProblem(404, 'route-unknown', `there is nothing at ${path}; GET / lists what there is`),
      )
      return
    }
    const allow = allowed.join(', ')
    const detail = `${path} takes ${allow}, not ${request.method}`
    send(reply, new HttpProblem(405, 'method-not-allowed', detail, { allow }))
  })
  app.setErrorHandler((error, request, reply) => {
    // Nobody is there any more to get an answer.
    if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') reply.hijack()
    else if (!reply.sent) send(reply, doorError(error, request, maxBodyBytes))
  })
}

function send(reply: FastifyReply, error: unknown): void {
  const problem = problemOf(error)
  if (problem.code === 'internal-error')
    process.stderr.write(`headwater: ${(error as Error)?.stack ?? error}\n`)
  if (error instanceof HttpProblem) reply.headers(error.headers)
  reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem))
}

/** The framework's own refusals in our words. */
function doorError(error: unknown, request: FastifyRequest, maxBodyBytes: number): unknown {
  switch ((error as { code?: string }).code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpProblem(
        413,
        'body-too-large',
        `the body has more than ${maxBodyBytes} bytes; send it in parts`,
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpProblem(
        415,
        'media-type-not-supported',
        `the body is ${request.headers['content-type'] ?? 'of no type'}, expected application/json (or application/x-ndjson for events)`,
      )
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new HttpProblem(400, 'body-missing', 'the request has no body')
    case 'FST_ERR_BAD_URL':
      return new HttpProblem(400, 'url-malformed', `${request.url} is not a URL`)
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new HttpProblem(400, 'body-cut-short', 'the body is not as long as its Content-Length says')
    default:
      return error
  }
}

/** Undefined for a request that may come in. */
function callerCheck({
  token,
  open,
  host,
}: CheckedHttpOptions): (request: FastifyRequest) => HttpProblem | undefined {
  if (token !== undefined) {
    const wanted = digest(token)
    return ({ headers, routeOptions }) => {
      // Health is for the machinery around the process, which has no token.
      if (routeOptions.url === '/health' || routeOptions.url === '/ready') return undefined
      const sent = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]
      if (sent !== undefined && timingSafeEqual(digest(sent), wanted)) return undefined
      return new HttpProblem(401, 'token-needed', 'send the token: Authorization: Bearer <token>', {
        'www-authenticate': 'Bearer',
      })
    }
  }
  if (open || !isLoopback(host)) return () => undefined
  // A page of a foreign site can make a browser call this address under the site's own name.
  return ({ headers }) => {
    const name = (headers.host ?? '').replace(/:\d+$/, '')
    if (isLoopback(name)) return undefined
    return new HttpProblem(403, 'host-refused', `the door answers to localhost, the request is for "${name}"`)
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
