import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Instance } from '../cluster/instance.ts'
import type { Engine } from '../runtime/engine.ts'
import { Admission } from './admission.ts'
import type { Appending } from './append-routes.ts'
import { Forwarder, forwardedHeader, taskMoving } from './forward.ts'
import { checkedHttpOptions, type HttpOptions } from './http-options.ts'
import { InstanceMetrics } from './instance-metrics.ts'
import { openApiOf } from './openapi.ts'
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
import { taskOfPath } from './task-routing.ts'

/** What the door needs to know of its instance. */
export type DoorInstance = Pick<
  Instance,
  'id' | 'declaration' | 'parts' | 'taskOfEntity' | 'ownerOf' | 'status' | 'rebalances'
>

/** The HTTP door of an instance, whatever it does about its tasks. */
export interface InstanceServer extends HttpServer {
  /** The instance that it is the door of; until it is there, requests are asked to come again. */
  attach(instance: DoorInstance): void
  /** Answers for this task from this engine from now on; undefined: hands requests on to whoever runs it. */
  use(task: string, engine: Engine | undefined): Promise<void>
  /** Takes events through this door of a task from now on, while no engine runs here; undefined: hands them on too. */
  useDoor(task: string, door: Appending | undefined): Promise<void>
}

/** Answered by the instance itself; `/ready` by its engine, while it runs one. */
const ownPaths: ReadonlySet<string> = new Set(['/health', '/metrics', '/v1/instance', '/openapi.json'])
/** Of several tasks, those that run here; of one it is the engine's own. */
const lagPath = '/v1/lag'
/** Answered by whoever can append. */
const appendPaths = /^\/v1\/(events|dead-letters)(\/|$)/

/**
 * Opens the HTTP door of an instance. It stays open while tasks come and go:
 * what needs the active task is answered by the engine here, or else handed on
 * to the instance that runs it. A request that was handed on comes to its end:
 * it is not handed on round and round.
 *
 * @throws RangeError for options that do not fit; EngineError `door-unguarded`,
 * `port-in-use`, `address-unusable`
 */
export async function startInstanceServer(given: HttpOptions = {}): Promise<InstanceServer> {
  const options = checkedHttpOptions(given)
  const admission = new Admission(options.maxConcurrentRequests, options.answerTimeoutMs)
  const app = createApp(options)
  let instance: DoorInstance | undefined
  const routes = new Map<string, { readonly engine: Engine; readonly routes: EngineRoutes }>()
  const appendRoutes = new Map<string, Omit<EngineRoutes, 'metrics'>>()
  let changing: Promise<void> = Promise.resolve()
  const metrics = new InstanceMetrics(() => instance)
  const forwarder = new Forwarder(() => instance?.id ?? '')

  /** Who answers here; undefined where nobody does. */
  const chosenFor = (path: string): Pick<EngineRoutes, 'handle'> | undefined => {
    if (ownPaths.has(path) || (path === lagPath && (instance?.parts.size ?? 1) > 1)) return undefined
    const task = instance && taskOfPath(path, instance)
    if (task !== undefined) {
      return routes.get(task)?.routes ?? (appendPaths.test(path) ? appendRoutes.get(task) : undefined)
    }
    const [any] = routes.values()
    const [door] = appendRoutes.values()
    return any?.routes ?? (appendPaths.test(path) ? door : undefined)
  }
  app.addHook('onRequest', (request, reply, done) => {
    const chosen = chosenFor(request.raw.url?.split('?')[0] ?? '')
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
  addOwnRoutes(app, () => instance, options.token !== undefined)
  app.get('/metrics', async (_request, reply) => {
    reply.type(metrics.contentType)
    return metrics.text(new Map([...routes].map(([task, each]) => [task, each.routes.metrics])))
  })
  const handOn = forwarding(() => instance, forwarder, metrics)
  app.get(lagPath, async (request, reply) => {
    if (joined(instance).parts.size === 1) return await handOn(request, reply)
    const lags = [...routes].map(async ([task, { engine }]) =>
      (await engine.lag()).map((lag) => ({ task, ...lag })),
    )
    return (await Promise.all(lags)).flat()
  })
  app.all('/*', handOn)

  // Requests that were let in are finished, and nobody who comes later waits for them.
  const retiring = new Set<Promise<void>>()
  const retire = (before: Pick<EngineRoutes, 'close'> | undefined) => {
    if (before === undefined) return
    const closing = before.close().finally(() => retiring.delete(closing))
    retiring.add(closing)
  }
  const use = async (task: string, engine: Engine | undefined) => {
    retire(routes.get(task)?.routes)
    routes.delete(task)
    if (engine !== undefined) routes.set(task, { engine, routes: await openRoutes(engine, options) })
  }
  const useDoor = async (task: string, door: Appending | undefined) => {
    retire(appendRoutes.get(task))
    appendRoutes.delete(task)
    if (door !== undefined) appendRoutes.set(task, await openAppendRoutes(door, options, metrics))
  }
  /** One after the other, so that what comes last stays. */
  const next = (change: () => Promise<void>): Promise<void> => {
    const changed = changing.then(change)
    changing = changed.catch(() => {})
    return changed
  }
  const server = await listen(app, admission, options, async () => {
    await changing
    for (const task of [...routes.keys()]) await use(task, undefined)
    for (const task of [...appendRoutes.keys()]) await useDoor(task, undefined)
    await Promise.all(retiring)
    forwarder.close()
    metrics.close()
  })
  return {
    ...server,
    attach(attached) {
      instance = attached
    },
    use(task, engine) {
      return next(() => use(task, engine))
    },
    useDoor(task, door) {
      return next(() => useDoor(task, door))
    },
  }
}

function addOwnRoutes(
  app: FastifyInstance,
  current: () => DoorInstance | undefined,
  withToken: boolean,
): void {
  app.get('/health', async () => ({ status: 'up' }))

  app.get('/openapi.json', async () =>
    openApiOf(joined(current()).declaration, { withToken, ofInstance: true }),
  )

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

function forwarding(
  current: () => DoorInstance | undefined,
  forwarder: Forwarder,
  metrics: InstanceMetrics,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  return async (request, reply) => {
    const instance = joined(current())
    const path = request.raw.url?.split('?')[0] ?? ''
    const [anyTask = ''] = instance.parts.keys()
    const task = taskOfPath(path, instance) ?? anyTask
    const owner = instance.ownerOf(task)
    const from = request.headers[forwardedHeader]
    // An instance that has no task open does not know which task an entity belongs to: the next one does.
    const hops = from === undefined ? 0 : String(from).split(',').length
    if (hops >= (instance.parts.size === 1 ? 1 : 2)) {
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
  }
}

function joined(instance: DoorInstance | undefined): DoorInstance {
  if (instance !== undefined) return instance
  const detail = 'this instance is joining the others; ask again in a second'
  throw new HttpProblem(503, 'instance-joining', detail, { headers: retryAfter })
}
