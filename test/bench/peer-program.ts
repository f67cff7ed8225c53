import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What a peer's program says of its own run. */
export interface PeerRun {
  readonly peer: string
  readonly version: string
  readonly cpuSeconds: number
  readonly seconds: number
}

/**
 * Runs a peer's program of the folder that `HEADWATER_PEERS` names, with the
 * Python of `HEADWATER_DUCKDB_PYTHON` or else that of the path; a text says
 * why there is no run.
 */
export function runPeer(script: string, args: readonly string[]): PeerRun | string {
  const folder = process.env['HEADWATER_PEERS']
  if (folder === undefined || !existsSync(join(folder, script))) {
    return `not run: HEADWATER_PEERS names no folder with ${script}`
  }
  const python = process.env['HEADWATER_DUCKDB_PYTHON'] ?? 'python3'
  const { status, stdout, stderr } = spawnSync(python, [script, ...args], {
    cwd: folder,
    encoding: 'utf8',
    // The folder may be read-only.
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  })
  if (status !== 0) return `not run: ${(stderr ?? '').trim().split('\n').at(-1) || `no ${python}`}`
  const line = JSON.parse(stdout) as Readonly<Record<'peer' | 'version', string>> &
    Readonly<Record<'cpu_s' | 'wall_s', number>>
  return { peer: line.peer, version: line.version, cpuSeconds: line.cpu_s, seconds: line.wall_s }
}
