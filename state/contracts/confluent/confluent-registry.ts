import { Agent } from 'node:https'
import type { AvroSchema } from '../avro-schema.ts'
import {
  type CompatibilityMode,
  checkEvolution,
  compatibilityModes,
  type Incompatibility,
} from '../compatibility.ts'
import { EngineError } from '../engine-error.ts'
import { refuse } from '../incompatible-schema.ts'
import { schemaIdentity } from '../schema-identity.ts'
import type { SchemaNode } from '../schema-node.ts'
import { parseRegistered } from '../schema-parser.ts'
import type { RegisteredSchema, SchemaRegistry, SchemaVersion } from '../schema-registry.ts'
import { inlineReferences } from './inline-references.ts'

export interface ConfluentOptions {
  /** One registry under several addresses; the next is asked when one does not answer. */
  readonly urls: readonly string[]
  readonly auth?: { readonly username: string; readonly password: string } | { readonly token: string }
  /** PEM texts. `ca` replaces the certificate authorities that are trusted. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  /** Sent with each request, such as Confluent Cloud's `target-sr-cluster`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Default 10 seconds a request. */
  readonly timeoutMs?: number
  /** After a failure that may pass: default 3 times, waiting up to 1 s before the first and 20 s before the last. */
  readonly retries?: number
  readonly retryWaitMs?: number
}

/**
 * A registry that speaks Confluent's REST interface (Confluent Schema
 * Registry, Karapace, Apicurio in that mode). What was found once is kept in
 * memory for ever, so an outage stops new schemas only.
 *
 * Errors: `registry-unavailable` when it cannot be reached or fails,
 * `registry-refused` when it says no for a reason of its own.
 */
export async function confluentRegistry(options: ConfluentOptions): Promise<SchemaRegistry> {
  if (options.urls.length === 0) throw new RangeError('a registry needs at least one URL')
  const urls = options.urls.map(withoutSecrets)
  // The package takes a quarter of a second to load: only those who use it pay.
  const { SchemaRegistryClient } = await import('@confluentinc/schemaregistry/dist/schemaregistry-client.js')
  const { auth, tls, headers = {}, timeoutMs = 10_000, retries = 3, retryWaitMs = 1_000 } = options
  const bearer = auth && 'token' in auth ? { Authorization: `Bearer ${auth.token}` } : {}
  const client = new SchemaRegistryClient({
    baseURLs: [...options.urls],
    // Its caches would be bounded or stale; ours keep what cannot change.
    cacheCapacity: 1,
    cacheLatestTtlSecs: 1,
    createAxiosDefaults: {
      timeout: timeoutMs,
      headers: { ...headers, ...bearer },
      ...(tls === undefined ? {} : { httpsAgent: new Agent(tls) }),
    },
    ...(auth && 'username' in auth
      ? {
          basicAuthCredentials: {
            credentialsSource: 'USER_INFO',
            userInfo: `${auth.username}:${auth.password}`,
          },
        }
      : {}),
    maxRetries: retries,
    retriesWaitMs: retryWaitMs,
    retriesMaxWaitMs: retryWaitMs * 20,
  })
  return new ConfluentRegistry(client, urls.join(', '))
}

function withoutSecrets(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw new RangeError('a registry URL begins with http:// or https://')
  return `${url.origin}${url.pathname}`.replace(/\/$/, '')
}

/** The part of the client that is used; what it answers is checked before it is believed. */
interface Client {
  registerFullResponse(subject: string, schema: Info, normalize: boolean): Promise<Answer>
  getIdFullResponse(subject: string, schema: Info, normalize: boolean): Promise<Answer>
  getBySubjectAndId(subject: string, id: number): Promise<Answer>
  getSchemaMetadata(subject: string, version: number): Promise<Answer>
  getAllVersions(subject: string): Promise<number[]>
  getAllSubjects(): Promise<string[]>
  getCompatibility(subject: string): Promise<string>
  getDefaultCompatibility(): Promise<string>
  // The client's own type is an enum of the same words.
  updateCompatibility(subject: string, mode: never): Promise<unknown>
}

interface Info {
  readonly schema: string
  readonly schemaType: string
}

interface Answer {
  readonly id?: number
  readonly version?: number
  readonly schema?: string
  readonly schemaType?: string
  readonly references?: readonly {
    readonly name: string
    readonly subject: string
    readonly version: number
  }[]
}

class ConfluentRegistry implements SchemaRegistry {
  readonly #client: Client
  readonly #url: string
  readonly #schemas = new Map<number, AvroSchema>()
  readonly #versions = new Map<string, SchemaVersion>()
  readonly #registered = new Map<string, RegisteredSchema>()

  constructor(client: Client, url: string) {
    this.#client = client
    this.#url = url
  }

  async register(subject: string, schema: AvroSchema, mode?: CompatibilityMode): Promise<RegisteredSchema> {
    const node = parseRegistered(subject, schema)
    const key = `${subject}\0${schemaIdentity(schema)}`
    const known = this.#registered.get(key) ?? (await this.#find(subject, schema))
    const registered = known ?? (await this.#add(subject, schema, node, mode))
    this.#registered.set(key, registered)
    this.#schemas.set(registered.id, schema)
    return registered
  }

  async schemaById(id: number): Promise<AvroSchema | undefined> {
    const known = this.#schemas.get(id)
    if (known !== undefined) return known
    const answer = await this.#ask(`reading schema ${id}`, () => this.#client.getBySubjectAndId('', id))
    if (answer === undefined) return undefined
    const schema = await this.#schemaIn(answer, `id ${id}`)
    this.#schemas.set(id, schema)
    return schema
  }

  async versions(subject: string): Promise<readonly SchemaVersion[]> {
    const numbers = await this.#versionNumbers(subject)
    const versions: SchemaVersion[] = []
    for (const version of numbers) versions.push(await this.#version(subject, version))
    return versions
  }

  async subjects(): Promise<readonly string[]> {
    const names = await this.#ask('listing subjects', () => this.#client.getAllSubjects())
    return [...(names ?? [])].sort()
  }

  async latest(subject: string): Promise<SchemaVersion | undefined> {
    const last = (await this.#versionNumbers(subject)).at(-1)
    return last === undefined ? undefined : this.#version(subject, last)
  }

  async compatibility(subject: string): Promise<CompatibilityMode> {
    const own = await this.#ownMode(subject)
    if (own !== undefined) return own
    const what = 'reading the default compatibility'
    return modeIn((await this.#ask(what, () => this.#client.getDefaultCompatibility())) ?? 'BACKWARD')
  }

  async setCompatibility(subject: string, mode: CompatibilityMode): Promise<void> {
    await this.#ask(`setting the compatibility of ${subject}`, () =>
      this.#client.updateCompatibility(subject, mode as never),
    )
  }

  async checkCompatibility(subject: string, schema: AvroSchema): Promise<readonly Incompatibility[]> {
    const node = parseRegistered(subject, schema)
    const identity = schemaIdentity(schema)
    const earlier = await this.versions(subject)
    if (earlier.some((version) => schemaIdentity(version.schema) === identity)) return []
    return problems(subject, await this.compatibility(subject), node, earlier)
  }

  async #ownMode(subject: string): Promise<CompatibilityMode | undefined> {
    const what = `reading the compatibility of ${subject}`
    const own = await this.#ask(what, () => this.#client.getCompatibility(subject))
    return own === undefined ? undefined : modeIn(own)
  }

  async #find(subject: string, schema: AvroSchema): Promise<RegisteredSchema | undefined> {
    const answer = await this.#ask(`looking ${subject} up`, () =>
      this.#client.getIdFullResponse(subject, infoOf(schema), false),
    )
    return answer && idAndVersion(answer)
  }

  async #add(
    subject: string,
    schema: AvroSchema,
    node: SchemaNode,
    mode: CompatibilityMode | undefined,
  ): Promise<RegisteredSchema> {
    const earlier = await this.versions(subject)
    if (mode !== undefined) refuse(subject, mode, problems(subject, mode, node, earlier))
    // Before the schema: a subject must not be seen without the mode it was declared with.
    if (mode !== undefined && earlier.length === 0 && (await this.#ownMode(subject)) === undefined) {
      await this.setCompatibility(subject, mode)
    }
    let answer: Answer
    try {
      answer = await this.#client.registerFullResponse(subject, infoOf(schema), false)
    } catch (error) {
      const { status, message } = restFailure(error)
      if (status === 409) {
        const effective = await this.compatibility(subject)
        refuse(subject, effective, problems(subject, effective, node, earlier))
        const found = {
          field: '(root)',
          rule: 'own-rule-of-the-registry',
          detail: `the registry says: ${message}`,
        } as const
        refuse(subject, effective, [found])
      }
      if (status === 422)
        throw new EngineError('schema-invalid', { subject, reason: message }, { cause: error })
      throw this.#failure(`registering ${subject}`, error)
    }
    // Registries before Confluent Platform 8 answer with the id alone.
    const registered = idAndVersion(answer) ?? (await this.#find(subject, schema))
    if (registered) return registered
    throw this.#failure(`registering ${subject}`, new Error('the answer has no id and version'))
  }

  async #versionNumbers(subject: string): Promise<readonly number[]> {
    // The client encodes the subject in every call but this one.
    const name = encodeURIComponent(subject)
    const numbers = await this.#ask(`listing versions of ${subject}`, () => this.#client.getAllVersions(name))
    return [...(numbers ?? [])].sort((one, other) => one - other)
  }

  async #version(subject: string, version: number): Promise<SchemaVersion> {
    const key = `${subject}\0${version}`
    const known = this.#versions.get(key)
    if (known) return known
    const what = `reading version ${version} of ${subject}`
    const answer = await this.#ask(what, () => this.#client.getSchemaMetadata(subject, version))
    if (answer?.id === undefined) throw this.#failure(what, new Error('the answer has no id'))
    const found = { subject, version, id: answer.id, schema: await this.#schemaIn(answer, subject) }
    this.#versions.set(key, found)
    this.#schemas.set(found.id, found.schema)
    return found
  }

  /** The schema of an answer as one piece, with what it refers to in other subjects put in. */
  async #schemaIn(answer: Answer, subject: string): Promise<AvroSchema> {
    const { schema: text, schemaType = 'AVRO', references = [] } = answer
    if (schemaType !== 'AVRO' || text === undefined) {
      throw new EngineError('schema-invalid', {
        subject,
        reason: `it is a ${schemaType} schema, expected AVRO`,
      })
    }
    let schema: AvroSchema
    try {
      schema = JSON.parse(text)
    } catch (error) {
      throw new EngineError('schema-invalid', { subject, reason: 'it is not JSON' }, { cause: error })
    }
    if (references.length === 0) return schema
    const others: AvroSchema[] = []
    for (const reference of references) {
      others.push((await this.#version(reference.subject, reference.version)).schema)
    }
    return inlineReferences(schema, others)
  }

  /** Undefined if the registry answers that it does not have it. */
  async #ask<Result>(operation: string, request: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await request()
    } catch (error) {
      // An address without a registry behind it answers 404 too, but without the registry's code.
      const { status, code } = restFailure(error)
      if (status === 404 && code >= 40_400) return undefined
      throw this.#failure(operation, error)
    }
  }

  #failure(operation: string, error: unknown): unknown {
    if (error instanceof EngineError) return error
    const { status, message } = restFailure(error)
    const url = this.#url
    const isOutage = status === 0 || status === 408 || status === 429 || status >= 500
    if (isOutage)
      return new EngineError('registry-unavailable', { url, operation, detail: message }, { cause: error })
    return new EngineError('registry-refused', { url, operation, status, detail: message }, { cause: error })
  }
}

const infoOf = (schema: AvroSchema): Info => ({ schema: JSON.stringify(schema), schemaType: 'AVRO' })

const idAndVersion = ({ id, version }: Answer): RegisteredSchema | undefined =>
  id === undefined || version === undefined || version < 1 ? undefined : { id, version }

/** A mode of the same name; one that Confluent may add later is taken for the strictest. */
const modeIn = (text: string): CompatibilityMode =>
  compatibilityModes.find((mode) => mode === text) ?? 'FULL_TRANSITIVE'

function problems(
  subject: string,
  mode: CompatibilityMode,
  next: SchemaNode,
  earlier: readonly SchemaVersion[],
): Incompatibility[] {
  const nodes = earlier.map(({ version, schema }) => ({ version, schema: parseRegistered(subject, schema) }))
  return checkEvolution(mode, next, nodes)
}

/** Status 0: no answer came. The client's error class is not exported, so its two numbers are looked for. */
function restFailure(error: unknown): { status: number; code: number; message: string } {
  const { status, errorCode, message } = (error ?? {}) as {
    status?: unknown
    errorCode?: unknown
    message?: unknown
  }
  return {
    status: typeof status === 'number' ? status : 0,
    code: typeof errorCode === 'number' ? errorCode : 0,
    message: typeof message === 'string' && message !== '' ? message : String(error),
  }
}
