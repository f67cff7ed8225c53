import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import fastify, { type FastifyInstance } from 'fastify'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Engine } from '../runtime/engine.ts'
import { Admission } from './admission.ts'
import { type Appending, addAppendRoutes } from './append-routes.ts'
import { callerCheck } from './caller-check.ts'
import { type CheckedHttpOptions, checkedHttpOptions, type HttpOptions } from './http-options.ts'
import { Metrics } from './metrics.ts'
import { HttpProblem, retryAfter } from './problem.ts'
import { addRefusals, answerClientError, sendPathRefusal, sendRefusal } from './refusals.ts'
import { textOf } from './request-body.ts'
import { addRoutes } from './routes.ts'

export interface HttpServer {
  /** Where it answers, such as `http://127.0.0.1:7070`. */
  readonly url: string
  /**
   * Takes no more requests, finishes those it has, and ends. What is not
   * answered within `closeTimeoutMs` is cut off. A second call waits for the first.
   */
  close(): Promise<void>
}

/**
 * Opens the HTTP door of an engine. Answers that promise something on the log
 * come when that is durable.
 *
 * @throws RangeError for options that do not fit; EngineError `door-unguarded`,
 * `port-in-use`, `address-unusable`
 */
export async function startServer(engine: Engine, given: HttpOptions = {}): Promise<HttpServer> {
  const options = checkedHttpOptions(given)
  const metrics = new Metrics(engine)
  const admission = new Admission(options.maxConcurrentRequests, options.answerTimeoutMs)
  const later = routesAfterSwaps(engine, () => engineApp(engine, options, admission, metrics))
  const app = engineApp(engine, options, admission, metrics, later.current)
  app.server.on('drop', () => metrics.dropConnection())
  const end = async () => {
    metrics.close()
    await later.close()
  }
  try {
    return await listen(app, admission, options, end)
  } catch (error) {
    await end()
    throw error
  }
}

/** The routes of what an engine was swapped to: events, models and views have other names, and the description tells of them. */
function routesAfterSwaps(engine: Engine, open: () => FastifyInstance) {
  const opened: FastifyInstance[] = []
  let current: FastifyInstance | undefined
  engine.onSwap(() => {
    const app = open()
    opened.push(app)
    void Promise.resolve(app.ready()).then(() => {
      // Of two swaps in a row the later one's stay.
      if (app === opened.at(-1)) current = app
    })
  })
  return {
    current: () => current,
    close: async () => void (await Promise.all(opened.map((app) => app.close()))),
  }
}

/** The routes of an engine behind a server of somebody else's. */
export interface EngineRoutes {
  readonly metrics: Metrics
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Takes no more requests, finishes those it has, and ends. */
  close(): Promise<void>
}

/** What `startServer` opens, without an address of its own. */
export async function openRoutes(engine: Engine, options: CheckedHttpOptions): Promise<EngineRoutes> {
  const metrics = new Metrics(engine)
  const admission = new Admission(options.maxConcurrentRequests, options.answerTimeoutMs)
  const app = engineApp(engine, options, admission, metrics)
  await app.ready()
  return {
    metrics,
    handle: (request, response) => app.routing(request, response),
    async close() {
      await closeRoutes(app, admission, options)
      metrics.close()
    },
  }
}

/** The routes that events come in through, where no engine runs. */
export async function openAppendRoutes(
  door: Appending,
  options: CheckedHttpOptions,
  metrics: Pick<Metrics, 'countEvents'>,
): Promise<Omit<EngineRoutes, 'metrics'>> {
  const admission = new Admission(options.maxConcurrentRequests, options.answerTimeoutMs)
  const app = createApp(options)
  addParsers(app)
  guard(app, options, admission, { observe() {} })
  addRefusals(app, { failure: undefined }, options)
  addAppendRoutes(app, door, options, metrics)
  await app.ready()
  return {
    handle: (request, response) => app.routing(request, response),
    close: () => closeRoutes(app, admission, options),
  }
}

async function closeRoutes(
  app: FastifyInstance,
  admission: Admission,
  { closeTimeoutMs }: CheckedHttpOptions,
): Promise<void> {
  admission.close()
  const givenUpAt = performance.now() + closeTimeoutMs
  while (admission.inHand > 0 && performance.now() < givenUpAt) await sleep(closeLookMs)
  await app.close()
}

/** `later` answers in its place from when it is there. */
function engineApp(
  engine: Engine,
  options: CheckedHttpOptions,
  admission: Admission,
  metrics: Metrics,
  later: () => FastifyInstance | undefined = () => undefined,
): FastifyInstance {
  const app = createApp(options)
  app.addHook('onRequest', (request, reply, done) => {
    const other = later()
    if (other === undefined) {
      done()
      return
    }
    reply.hijack()
    other.routing(request.raw, reply.raw)
  })
  addParsers(app)
  guard(app, options, admission, metrics)
  addRefusals(app, engine, options)
  addRoutes(app, engine, options, metrics)
  return app
}

/**
 * Opens an app at its address.
 *
 * @throws EngineError `port-in-use`, `address-unusable`
 */
export async function listen(
  app: FastifyInstance,
  admission: Admission,
  { host, port, closeTimeoutMs }: CheckedHttpOptions,
  onClosed: () => void | Promise<void>,
): Promise<HttpServer> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    await app.close()
    throw listenError(error as NodeJS.ErrnoException, host, port)
  }
  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  let closing: Promise<void> | undefined
  return {
    url: `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${bound}`,
    close() {
      closing ??= (async () => {
        admission.close()
        await closeWithin(app, admission, closeTimeoutMs)
        await onClosed()
      })()
      return closing
    },
  }
}

/** An app with the limits of the options, and no routes and parsers yet. */
export function createApp(options: CheckedHttpOptions): FastifyInstance {
  const { maxBodyBytes, receiveTimeoutMs, maxConnections, answerTimeoutMs } = options
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: receiveTimeoutMs,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 1_024 },
    // The guard refuses them, as a problem.
    return503OnClosing: false,
    // How often Node looks for requests that are over their time.
    http: { connectionsCheckingInterval: Math.min(500, receiveTimeoutMs), headersTimeout: receiveTimeoutMs },
    frameworkErrors: sendPathRefusal,
    clientErrorHandler: (error, socket) => answerClientError(error, socket, options),
  })
  app.server.maxConnections = maxConnections
  // For callers that do not take their answer.
  app.server.timeout = answerTimeoutMs + receiveTimeoutMs
  app.removeAllContentTypeParsers()
  return app
}

/** Bodies as text, of the types that the routes take. */
function addParsers(app: FastifyInstance): void {
  for (const type of ['application/json', 'application/x-ndjson']) {
    app.addContentTypeParser(type, { parseAs: 'buffer' }, (request, body: Buffer, done) => {
      const encoding = request.headers['content-encoding'] ?? 'identity'
      if (encoding === 'identity') {
        done(null, textOf(body))
        return
      }
      const detail = `the body is encoded as ${encoding}, expected it plain; send it without Content-Encoding`
      done(new HttpProblem(415, 'encoding-not-supported', detail, { found: encoding, expected: 'identity' }))
    })
  }
}

/** What every request passes: who may call, how many at once, how long; and what is measured of it. */
export function guard(
  app: FastifyInstance,
  options: CheckedHttpOptions,
  admission: Admission,
  metrics: Pick<Metrics, 'observe'>,
): void {
  const { answerTimeoutMs } = options
  const mayCall = callerCheck(options)
  app.addHook('onRequest', (request, reply, done) => {
    const startedAt = performance.now()
    reply.raw.once('close', () => {
      const { url = 'unknown' } = request.routeOptions
      const status = reply.raw.writableFinished ? reply.raw.statusCode : 'aborted'
      metrics.observe(url, request.method, status, (performance.now() - startedAt) / 1_000)
    })
    const refusal =
      mayCall(request) ??
      admission.enter(request, reply, () => {
        if (reply.sent) return
        const detail = `there was no answer within ${answerTimeoutMs} ms; what was appended stays appended`
        sendRefusal(reply, new HttpProblem(503, 'answer-timeout', detail, { headers: retryAfter }))
      })
    done(refusal)
  })
  app.addHook('onRoute', (route) => {
    const { handler } = route
    route.handler = function (request, reply) {
      return admission.work(request, () => handler.call(this, request, reply))
    }
  })
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): unknown {
  const options = { cause: error }
  switch (error.code) {
    case 'EADDRINUSE':
      return new EngineError('port-in-use', { host, port }, options)
    case 'EACCES':
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new EngineError('address-unusable', { host, port, detail: error.message }, options)
    default:
      return error
  }
}

/** How often it is looked whether the last answer is sent while the door closes. */
const closeLookMs = 20

async function closeWithin(app: FastifyInstance, admission: Admission, timeoutMs: number): Promise<void> {
  const look = setInterval(() => {
    // What is left then has sent no request, or a part of one.
    if (admission.inHand === 0) app.server.closeAllConnections()
  }, closeLookMs)
  const cut = setTimeout(() => app.server.closeAllConnections(), timeoutMs)
  try {
    await app.close()
  } finally {
    clearInterval(look)
    clearTimeout(cut)
  }
}
