import { Agent, type IncomingMessage, request as requestPlain } from 'node:http'
import { request as requestTls, Agent as TlsAgent } from 'node:https'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { InstanceAddress } from '../cluster/membership.ts'
import { HttpProblem, retryAfter } from './problem.ts'

/** Marks a request that other instances have handed on; it names them, the first one first. */
export const forwardedHeader = 'x-headwater-forwarded'

/** About one connection only. Source: RFC 9110, section 7.6.1. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The task is about to run elsewhere, or here: the same request will be answered in a moment. */
export const taskMoving = (task: string, found: string): HttpProblem =>
  new HttpProblem(503, 'task-moving', `${task} is on its way to an instance that can answer: ${found}`, {
    found,
    expected: 'an instance that runs the task',
    action: 'ask again in a second',
    headers: retryAfter,
  })

/** Hands requests on to other instances. */
export class Forwarder {
  readonly #self: () => string
  readonly #plain = new Agent({ keepAlive: true })
  readonly #tls = new TlsAgent({ keepAlive: true })

  constructor(self: () => string) {
    this.#self = self
  }

  /**
   * Asks the owner and passes its answer on, as it comes.
   *
   * @throws HttpProblem `task-moving` when the owner cannot be reached, or does not answer to its end
   */
  async forward(
    task: string,
    owner: InstanceAddress,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<void> {
    let answer: IncomingMessage
    try {
      answer = await this.#ask(owner, request, reply)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      throw taskMoving(task, `instance "${owner.id}" at ${owner.url} does not answer (${detail})`)
    }
    reply.code(answer.statusCode ?? 502)
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined && !hopByHop.has(name)) reply.header(name, value)
    }
    await reply.send(answer)
  }

  close(): void {
    this.#plain.destroy()
    this.#tls.destroy()
  }

  #ask(owner: InstanceAddress, { raw, body }: FastifyRequest, reply: FastifyReply): Promise<IncomingMessage> {
    const url = new URL(raw.url ?? '/', owner.url)
    const isTls = url.protocol === 'https:'
    const headers = Object.fromEntries(Object.entries(raw.headers).filter(([name]) => !hopByHop.has(name)))
    return new Promise((resolve, reject) => {
      const asked = (isTls ? requestTls : requestPlain)(
        url,
        {
          method: raw.method ?? 'GET',
          agent: isTls ? this.#tls : this.#plain,
          headers: {
            ...headers,
            host: url.host,
            [forwardedHeader]: [raw.headers[forwardedHeader] ?? [], this.#self()].flat().join(),
          },
        },
        resolve,
      )
      asked.once('error', reject)
      // The caller has gone, or the time for an answer is over.
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) asked.destroy()
      })
      asked.end(body instanceof Buffer ? body : undefined)
    })
  }
}
