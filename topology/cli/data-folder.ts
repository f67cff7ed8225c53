import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Declaration } from '../../models/declaration.ts'
import { CliError } from './cli-error.ts'
import { loadTopology } from './load-topology.ts'

/** What a data folder remembers for later commands. */
interface Remembered {
  /** Path of the topology's module. */
  readonly module: string
}

interface Door {
  readonly pid: number
  readonly url: string
}

/** Where an application's log and state live unless `--data` says so. */
export const defaultDataFolder = (name: string): string => join('.headwater', name)

/** For commands that only look: a folder that is not there is a mistyped one. */
export function requireData(data: string): void {
  if (existsSync(join(data, 'log'))) return
  throw new CliError(`${resolve(data)} holds no log; check --data, or run a topology there first`)
}

/** For commands that would begin a log where there is none: beside the state of an instance of a cluster it would be of use to nobody. */
export function refuseClusterState(data: string): void {
  const isThere = (name: string) => existsSync(join(data, name))
  if (isThere('log') || !['instance.json', 'state', 'tasks'].some(isThere)) return
  throw new CliError(
    `${resolve(data)} is the state of an instance of a Kafka cluster and holds no log: start that instance, so that it is asked, or write to the cluster`,
  )
}

export function rememberModule(data: string, module: string): void {
  mkdirSync(data, { recursive: true })
  writeFileSync(
    join(data, 'topology.json'),
    `${JSON.stringify({ module: resolve(module) } satisfies Remembered)}\n`,
  )
}

/** The module that ran there last. */
export function rememberedModule(data: string): string | undefined {
  const path = join(data, 'topology.json')
  if (!existsSync(path)) return undefined
  return (JSON.parse(readFileSync(path, 'utf8')) as Remembered).module
}

/** The topology of a data folder: of the module given, else of the one that ran there last. */
export async function topologyOf(data: string, module: string | undefined): Promise<Declaration> {
  if (module !== undefined) return loadTopology(module)
  const remembered = rememberedModule(data)
  if (remembered === undefined) {
    throw new CliError(
      `${resolve(data)} holds no application yet; run one there, or name its module with --topology`,
    )
  }
  return loadTopology(remembered)
}

/** Says where a running engine of this folder answers; removed at its end. */
export function announceDoor(data: string, url: string): () => void {
  const path = join(data, 'door.json')
  writeFileSync(path, `${JSON.stringify({ pid: process.pid, url } satisfies Door)}\n`)
  return () => rmSync(path, { force: true })
}

/** The address of the engine that has this folder open, or undefined. */
export function runningDoor(data: string): string | undefined {
  const path = join(data, 'door.json')
  if (!existsSync(path)) return undefined
  const { pid, url } = JSON.parse(readFileSync(path, 'utf8')) as Door
  try {
    process.kill(pid, 0)
    return url
  } catch {
    return undefined
  }
}
