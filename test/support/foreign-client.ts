import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A Kafka client of another make: librdkafka with Confluent's Avro serializers, in Python. */
export type ForeignClient = (task: object) => Promise<unknown>

const packages = ['confluent-kafka[avro]==2.11.0', 'fastavro==1.13.1']
const script = fileURLToPath(new URL('foreign_client.py', import.meta.url))

/**
 * The client, installed once into the user's cache folder; or the reason why
 * there is none.
 *
 * @throws Error where the environment says CI and it cannot be had, so that the tests do not pass by not running
 */
export async function foreignClient(): Promise<ForeignClient | { readonly missing: string }> {
  try {
    const python = await installed()
    return async (task) => JSON.parse(await output(python, [script], JSON.stringify(task))) as unknown
  } catch (error) {
    const missing = `no foreign Kafka client: ${(error as Error).message}`
    if (!['', 'false'].includes(process.env['CI'] ?? '')) throw new Error(missing)
    console.warn(`SKIPPED: ${missing}. Install Python 3.9 or later with venv and pip.`)
    return { missing }
  }
}

async function installed(): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(cache, 'headwater-test', `python-${packages.join('-').replaceAll(/[^\w.]+/g, '-')}`)
  const marker = join(folder, 'whole')
  const python = join(folder, 'bin', 'python')
  if (existsSync(marker)) return python
  // The paths in an environment are its own, so it cannot be moved into place: the marker is.
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await output('python3', ['-m', 'venv', folder])
  await output(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages])
  await mkdir(`${marker}.${process.pid}`)
  await rename(`${marker}.${process.pid}`, marker)
  return python
}

async function output(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let out = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    errors = `${errors}${chunk}`.slice(-2_000)
  })
  child.stdin.end(input)
  const [code] = await once(child, 'close').catch((error: unknown) => {
    throw new Error(`${command} cannot be run (${(error as Error).message})`)
  })
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${errors}`)
  return out
}
