import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests compare whole answers
  readonly body: any
}

/** Calls a path and reads the whole answer, JSON as a value. */
export async function call(url: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${url}${path}`, init)
  const text = await response.text()
  const type = response.headers.get('content-type') ?? ''
  return {
    status: response.status,
    type,
    headers: response.headers,
    body: type.includes('json') && text !== '' ? JSON.parse(text) : text,
  }
}

/** Posts a value as JSON, or text as it is. */
export const post = (
  url: string,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> =>
  call(url, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
  })

export const ndjson = { 'content-type': 'application/x-ndjson' } as const

/** A connection that has sent these bytes and nothing else. */
export async function rawConnection(url: string, text: string | Uint8Array): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

/** Everything that comes back for these bytes until the connection closes. */
export async function rawAnswer(url: string, text: string | Uint8Array): Promise<string> {
  const socket = await rawConnection(url, text)
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk.toString()
  })
  await once(socket, 'close')
  return answer
}

/** Looks until it is so; a test that waits in vain ends by its time limit. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5))
}
