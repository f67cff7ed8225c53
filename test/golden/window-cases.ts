import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { StreamRecord } from '../../processors/operator.ts'
import { StreamDriver } from '../../processors/stream/stream-driver.ts'
import type { Database } from '../../state/store/database.ts'
import type { CaseResult } from './case-result.ts'
import { groupedSuppressScript, joinScript, timerScript, versionedScript } from './join-scripts.ts'
import type { Json, Script, WindowCase } from './window-script.ts'
import { windowScript } from './window-scripts.ts'

/** Called in the middle of a case; gives the database on which a new driver goes on. */
export type Restart = (driver: StreamDriver) => Promise<Database>

const ownCases = fileURLToPath(new URL('windows.json', import.meta.url))

/** The cases of a file in the format of `windows.json`. */
export function windowCases(path: string = ownCases): readonly WindowCase[] {
  const file = JSON.parse(readFileSync(path, 'utf8')) as {
    readonly scenarios: readonly WindowCase[]
  }
  return file.scenarios
}

/**
 * Runs a case with the operators that it asks for. With `restart` the state is
 * saved and restored before the middle one of its records.
 */
export async function runWindowCase(each: WindowCase, restart?: Restart): Promise<CaseResult> {
  const script = scriptOf(each)
  if (typeof script === 'string') {
    return { id: each.id, status: 'not-applicable', expected: undefined, got: undefined, reason: script }
  }
  const expected: Json[] = []
  const got: Json[] = []
  let driver = await StreamDriver.start(script)
  let seen = new Seen(script)
  const pipes = script.actions.filter((action) => action.kind === 'pipe').length
  let piped = 0
  for (const action of script.actions) {
    if (action.kind === 'check') {
      expected.push(action.expected)
      seen.take(driver)
      got.push(action.got(seen.outputs, { drops: seen.drops, lateness: driver.lateness }))
      seen.outputs = seen.empty()
      continue
    }
    if (restart !== undefined && piped++ === Math.floor(pipes / 2)) {
      seen.take(driver)
      seen = seen.carried()
      driver = await StreamDriver.start({ build: script.build, database: await restart(driver) })
    }
    driver.pipe(action.input, action.record)
  }
  const status = isDeepStrictEqual(got, expected) ? 'passed' : 'failed'
  return { id: each.id, status, expected, got }
}

/** What came out since the last check, over restarts. */
class Seen {
  readonly #script: Script
  readonly #dropsBefore: number
  outputs: Record<string, StreamRecord[]>
  drops: number

  constructor(script: Script, drops = 0, outputs?: Record<string, StreamRecord[]>) {
    this.#script = script
    this.#dropsBefore = drops
    this.drops = drops
    this.outputs = outputs ?? this.empty()
  }

  empty(): Record<string, StreamRecord[]> {
    return Object.fromEntries(this.#script.outputs.map((output) => [output, []]))
  }

  take(driver: StreamDriver): void {
    for (const output of this.#script.outputs) this.outputs[output]?.push(...driver.read(output))
    this.drops =
      this.#dropsBefore + driver.drops.filter((drop) => drop.operator === this.#script.counted).length
  }

  carried(): Seen {
    return new Seen(this.#script, this.drops, this.outputs)
  }
}

function scriptOf(each: WindowCase): Script | string {
  if (each.topology !== undefined) return groupedSuppressScript(each)
  if (each.window !== undefined) return windowScript(each)
  if (each.join !== undefined) return joinScript(each)
  if (each.timer !== undefined) return timerScript(each)
  if (each.store !== undefined) return versionedScript(each)
  return `it has none of a window, a join, a timer or a store; it has ${Object.keys(each).join(', ')}`
}
