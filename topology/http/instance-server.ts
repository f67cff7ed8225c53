import type { FastifyInstance } from 'fastify'
import { type Instance, taskIdsOf } from '../cluster/instance.ts'
import type { Engine } from '../runtime/engine.ts'
import { Admission } from './admission.ts'
import type { Appending } from './append-routes.ts'
import { Forwarder, forwardedHeader, taskMoving } from './forward.ts'
import { checkedHttpOptions, type HttpOptions } from './http-options.ts'
import { InstanceMetrics } from './instance-metrics.ts'
import { HttpProblem, retryAfter } from './problem.ts'
import { addRefusals } from './refusals.ts'
import {
  createApp,
  type EngineRoutes,
  guard,
  type HttpServer,
  listen,
  openAppendRoutes,
  openRoutes,
} from './server.ts'

/** What the door needs to know of its instance. */
export type DoorInstance = Pick<Instance, 'id' | 'declaration' | 'ownerOf' | 'status' | 'rebalances'>

/** The HTTP door of an instance, whatever it does about its tasks. */
export interface InstanceServer extends HttpServer {
  /** The instance that it is the door of; until it is there, requests are asked to come again. */
  attach(instance: DoorInstance): void
  /** Answers from this engine from now on; undefined: hands requests on to whoever runs one. */
  use(engine: Engine | undefined): Promise<void>
  /** Takes events through this door from now on, while no engine runs here; undefined: hands them on too. */
  useDoor(door: Appending | undefined): Promise<void>
}

/** Answered by the instance itself; `/ready` by its engine, while it runs one. */
const ownPaths: ReadonlySet<string> = new Set(['/health', '/metrics', '/v1/instance'])
/** Answered by whoever can append. */
const appendPaths = /^\/v1\/(events|dead-letters)(\/|$)/

/**
 * Opens the HTTP door of an instance. It stays open while tasks come and go:
 * what needs the active task is answered by the engine here, or else handed on
 * to the instance that runs it. A request that was handed on once is not
 * handed on again.
 *
 * @throws RangeError for options that do not fit; EngineError `door-unguarded`,
 * `port-in-use`, `address-unusable`
 */
export async function startInstanceServer(given: HttpOptions = {}): Promise<InstanceServer> {
  const options = checkedHttpOptions(given)
  const admission = new Admission(options.maxConcurrentRequests, options.answerTimeoutMs)
  const app = createApp(options)
  let instance: DoorInstance | undefined
  let routes: EngineRoutes | undefined
  let appendRoutes: Omit<EngineRoutes, 'metrics'> | undefined
  let changing: Promise<void> = Promise.resolve()
  const metrics = new InstanceMetrics(() => instance)
  const forwarder = new Forwarder(() => instance?.id ?? '')

  app.addHook('onRequest', (request, reply, done) => {
    const path = request.raw.url?.split('?')[0] ?? ''
    const chosen = ownPaths.has(path)
      ? undefined
      : (routes ?? (appendPaths.test(path) ? appendRoutes : undefined))
    if (chosen === undefined) {
      done()
      return
    }
    reply.hijack()
    chosen.handle(request.raw, reply.raw)
  })
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  guard(app, options, admission, { observe() {} })
  addRefusals(app, { failure: undefined }, options)
  addOwnRoutes(app, () => instance)
  app.get('/metrics', async (_request, reply) => {
    reply.type(metrics.contentType)
    return metrics.text(routes?.metrics)
  })
  addForwarding(app, () => instance, forwarder, metrics)

  // Requests that were let in are finished, and nobody who comes later waits for them.
  const retiring = new Set<Promise<void>>()
  const retire = (before: Pick<EngineRoutes, 'close'> | undefined) => {
    if (before === undefined) return
    const closing = before.close().finally(() => retiring.delete(closing))
    retiring.add(closing)
  }
  const use = async (engine: Engine | undefined) => {
    retire(routes)
    routes = undefined
    if (engine !== undefined) routes = await openRoutes(engine, options)
  }
  const useDoor = async (door: Appending | undefined) => {
    retire(appendRoutes)
    appendRoutes = undefined
    if (door !== undefined) appendRoutes = await openAppendRoutes(door, options, metrics)
  }
  /** One after the other, so that what comes last stays. */
  const next = (change: () => Promise<void>): Promise<void> => {
    const changed = changing.then(change)
    changing = changed.catch(() => {})
    return changed
  }
  const server = await listen(app, admission, options, async () => {
    await changing
    await use(undefined)
    await useDoor(undefined)
    await Promise.all(retiring)
    forwarder.close()
    metrics.close()
  })
  return {
    ...server,
    attach(attached) {
      instance = attached
    },
    use(engine) {
      return next(() => use(engine))
    },
    useDoor(door) {
      return next(() => useDoor(door))
    },
  }
}

function addOwnRoutes(app: FastifyInstance, current: () => DoorInstance | undefined): void {
  app.get('/health', async () => ({ status: 'up' }))

  app.get('/v1/instance', async () => joined(current()).status())

  app.get('/ready', async () => {
    const { tasks } = await joined(current()).status()
    const behind = tasks.find(({ role, stage }) => role !== 'none' && stage !== 'standby')
    if (behind === undefined) return { status: 'ready' }
    const detail = `${behind.task} is ${behind.stage} here, as ${behind.role}`
    throw new HttpProblem(503, 'not-caught-up', detail, {
      found: behind.stage,
      expected: behind.role,
      headers: retryAfter,
    })
  })
}

function addForwarding(
  app: FastifyInstance,
  current: () => DoorInstance | undefined,
  forwarder: Forwarder,
  metrics: InstanceMetrics,
): void {
  app.all('/*', async (request, reply) => {
    const instance = joined(current())
    const [task = ''] = taskIdsOf(instance.declaration)
    const owner = instance.ownerOf(task)
    const from = request.headers[forwardedHeader]
    if (from !== undefined) {
      throw taskMoving(
        task,
        `instance "${from}" handed this request on to "${instance.id}", which does not run it`,
      )
    }
    if (owner === undefined) throw taskMoving(task, 'no instance was told to run it yet')
    if (owner.id === instance.id) throw taskMoving(task, `instance "${instance.id}" is taking it over`)
    try {
      await forwarder.forward(task, owner, request, reply)
      metrics.countForwarded('answered')
    } catch (error) {
      metrics.countForwarded('unreachable')
      throw error
    }
    return reply
  })
}

function joined(instance: DoorInstance | undefined): DoorInstance {
  if (instance !== undefined) return instance
  const detail = 'this instance is joining the others; ask again in a second'
  throw new HttpProblem(503, 'instance-joining', detail, { headers: retryAfter })
}
