import { CliError } from './cli-error.ts'

export interface DoorCall {
  readonly type: string
  readonly body: string
}

/** Calls a running engine. Its problem documents become one-line errors; a problem of the code `missing` is undefined. */
export async function callDoor(
  url: string,
  path: string,
  call?: DoorCall,
  { missing }: { readonly missing?: string } = {},
): Promise<unknown> {
  const token = process.env['HEADWATER_TOKEN']
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  if (call !== undefined) headers['content-type'] = call.type
  const response = await fetch(new URL(path, url), {
    headers,
    ...(call === undefined ? {} : { method: 'POST', body: call.body }),
  })
  const text = await response.text()
  if (response.ok) return text === '' ? undefined : JSON.parse(text)
  if (response.status === 401) {
    throw new CliError('the running engine asks for a token; set HEADWATER_TOKEN to it')
  }
  const problem = problemIn(text)
  if (missing !== undefined && problem.code === missing) return undefined
  throw new CliError(problem.detail ?? `${path} answered ${response.status}`)
}

function problemIn(text: string): { readonly code?: string; readonly detail?: string } {
  try {
    return JSON.parse(text) as { code?: string; detail?: string }
  } catch {
    return {}
  }
}
