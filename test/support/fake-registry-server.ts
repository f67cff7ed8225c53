import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import avsc from 'avsc'

interface Entry {
  id: number
  version: number
  text: string
  references: unknown[]
}

/**
 * The part of Confluent's REST interface that the adapter uses, on loopback
 * and in memory. It judges compatibility with avsc's resolvers, so that the
 * engine's own rules do not check themselves.
 */
export class FakeRegistryServer {
  url = ''
  /** Requests as `METHOD /path`, in order. */
  readonly requests: string[] = []
  readonly headers: IncomingMessage['headers'][] = []
  /** Answers with this status instead: every request, or those whose `METHOD /path` matches. */
  failWith: { status: number; body?: unknown; when?: RegExp } | undefined
  /** Registries before Confluent Platform 8 answer a registration with the id alone. */
  answersVersion = true
  readonly #subjects = new Map<string, Entry[]>()
  readonly #modes = new Map<string, string>()
  readonly #ids = new Map<string, number>()
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        const path = decodeURIComponent((request.url ?? '').replace(/\?.*/, ''))
        const call = `${request.method} ${path}`
        this.requests.push(call)
        this.headers.push(request.headers)
        const { failWith } = this
        const [status, answer] =
          failWith && (failWith.when?.test(call) ?? true)
            ? [failWith.status, failWith.body]
            : this.#answer(call, body === '' ? undefined : JSON.parse(body))
        response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
        response.end(JSON.stringify(answer))
      })
    })
  }

  static async start(): Promise<FakeRegistryServer> {
    const server = new FakeRegistryServer()
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    server.url = `http://127.0.0.1:${(server.#server.address() as AddressInfo).port}`
    return server
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(
    call: string,
    body: { schema?: string; references?: unknown[]; compatibility?: string } | undefined,
  ): [number, unknown] {
    const routes: [RegExp, (...parts: string[]) => [number, unknown]][] = [
      [/^GET \/subjects$/, () => [200, [...this.#subjects.keys()]]],
      [
        /^POST \/subjects\/([^/]+)\/versions$/,
        (subject) => this.#register(subject, body?.schema ?? '', body?.references ?? []),
      ],
      [/^POST \/subjects\/([^/]+)$/, (subject) => this.#lookUp(subject, body?.schema ?? '')],
      [/^GET \/subjects\/([^/]+)\/versions$/, (subject) => this.#versions(subject)],
      [
        /^GET \/subjects\/([^/]+)\/versions\/(\d+)$/,
        (subject, version) => this.#version(subject, Number(version)),
      ],
      [/^GET \/schemas\/ids\/(\d+)$/, (id) => this.#byId(Number(id))],
      [/^GET \/config$/, () => [200, { compatibilityLevel: 'BACKWARD' }]],
      [/^GET \/config\/([^/]+)$/, (subject) => this.#mode(subject)],
      [
        /^PUT \/config\/([^/]+)$/,
        (subject) => {
          this.#modes.set(subject, body?.compatibility ?? '')
          return [200, { compatibility: body?.compatibility }]
        },
      ],
    ]
    for (const [pattern, handle] of routes) {
      const parts = pattern.exec(call)
      if (parts) return handle(...parts.slice(1))
    }
    return [404, { error_code: 404, message: 'HTTP 404 Not Found' }]
  }

  #register(subject: string, text: string, references: unknown[]): [number, unknown] {
    if (references.length === 0) {
      try {
        avsc.Type.forSchema(JSON.parse(text))
      } catch {
        return [422, { error_code: 42201, message: 'Invalid schema' }]
      }
    }
    const entries = this.#subjects.get(subject) ?? []
    const same = entries.find((entry) => entry.text === text)
    if (same) return [200, { id: same.id, version: same.version }]
    if (!this.#isCompatible(subject, text, entries)) {
      return [
        409,
        { error_code: 409, message: 'Schema being registered is incompatible with an earlier schema' },
      ]
    }
    const id = this.#ids.get(text) ?? this.#ids.size + 1
    this.#ids.set(text, id)
    const entry = { id, version: entries.length + 1, text, references }
    this.#subjects.set(subject, [...entries, entry])
    return [200, this.answersVersion ? { id, version: entry.version } : { id }]
  }

  #isCompatible(subject: string, text: string, entries: Entry[]): boolean {
    const mode = this.#modes.get(subject) ?? 'BACKWARD'
    const against = mode.endsWith('TRANSITIVE') ? entries : entries.slice(-1)
    return against.every((entry) => {
      const backward = /BACKWARD|FULL/.test(mode) ? reads(text, entry.text) : true
      return backward && (/FORWARD|FULL/.test(mode) ? reads(entry.text, text) : true)
    })
  }

  #lookUp(subject: string, text: string): [number, unknown] {
    const entries = this.#subjects.get(subject)
    if (!entries) return [404, { error_code: 40401, message: `Subject '${subject}' not found.` }]
    const entry = entries.find((each) => each.text === text)
    if (!entry) return [404, { error_code: 40403, message: 'Schema not found' }]
    return [200, { subject, id: entry.id, version: entry.version, schema: entry.text }]
  }

  #versions(subject: string): [number, unknown] {
    const entries = this.#subjects.get(subject)
    if (!entries) return [404, { error_code: 40401, message: `Subject '${subject}' not found.` }]
    return [200, entries.map(({ version }) => version)]
  }

  #version(subject: string, version: number): [number, unknown] {
    const entry = this.#subjects.get(subject)?.[version - 1]
    if (!entry) return [404, { error_code: 40402, message: `Version ${version} not found.` }]
    const { id, text, references } = entry
    return [200, { subject, version, id, schema: text, ...(references.length > 0 ? { references } : {}) }]
  }

  #byId(id: number): [number, unknown] {
    for (const entries of this.#subjects.values()) {
      const entry = entries.find((each) => each.id === id)
      if (!entry) continue
      const { text, references } = entry
      return [200, { schema: text, ...(references.length > 0 ? { references } : {}) }]
    }
    return [404, { error_code: 40403, message: `Schema ${id} not found` }]
  }

  #mode(subject: string): [number, unknown] {
    const mode = this.#modes.get(subject)
    if (mode !== undefined) return [200, { compatibilityLevel: mode }]
    return [
      404,
      {
        error_code: 40408,
        message: `Subject '${subject}' does not have subject-level compatibility configured`,
      },
    ]
  }
}

function reads(reader: string, writer: string): boolean {
  try {
    avsc.Type.forSchema(JSON.parse(reader)).createResolver(avsc.Type.forSchema(JSON.parse(writer)))
    return true
  } catch {
    return false
  }
}
