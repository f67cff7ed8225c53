import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { InstanceStatus } from '../../topology/cluster/instance.ts'
import { start } from './command-line.ts'
import { call } from './http-calls.ts'

/** One of several processes of an application, as a user starts it. */
export interface RunningInstance {
  readonly name: string
  readonly child: ChildProcess
  readonly url: string
  readonly ended: Promise<{ readonly code: number | null; readonly errors: string }>
}

export interface InstancesSetting {
  /** The module of the application. */
  readonly module: string
  /** Each instance has its data in a folder of its name in there. */
  readonly root: string
  readonly cluster: readonly string[]
  readonly sessionMs: number
}

/** Resolves when it answers. */
export async function startInstance(name: string, setting: InstancesSetting): Promise<RunningInstance> {
  const { module, root, cluster, sessionMs } = setting
  const own = ['--data', join(root, name), '--instance-id', name, '--port', '0']
  const more = ['--session-timeout', `${sessionMs}`, '--standbys', '1']
  const { child, ended, seen } = start(['run', module, ...cluster, ...own, ...more])
  const line = await seen(/answering on/)
  return { name, child, ended, url: /known to the others as (\S+)/.exec(line)![1]! }
}

/** Undefined while it does not answer. */
export async function statusOf({ url }: RunningInstance): Promise<InstanceStatus | undefined> {
  try {
    const signal = AbortSignal.timeout(500)
    const { status, body } = await call(url, '/v1/instance', { signal })
    return status === 200 ? (body as InstanceStatus) : undefined
  } catch {
    return undefined
  }
}
