import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { writeRecord } from './log-records.ts'

/** Folders below one temporary folder, which `remove` takes away. */
export class LogFolders {
  readonly #root: string = mkdtempSync(join(tmpdir(), 'headwater-log-'))
  #count = 0

  /** The path of a folder that does not exist yet. */
  fresh(): string {
    return join(this.#root, String(this.#count++))
  }

  /** A log as a process leaves it that dies at this moment: its files, without its lock. */
  copy(path: string): string {
    const copy = this.fresh()
    cpSync(path, copy, { recursive: true, filter: (source) => !source.includes('LOCK') })
    return copy
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true })
  }
}

export const segmentsIn = (path: string): string[] =>
  readdirSync(path)
    .filter((name) => name.endsWith('.log'))
    .sort()

/** Commits each value by itself, durable, with its place in the list as event time. */
export async function appendValues(
  log: Log,
  topic: string,
  values: readonly string[],
  id: string = 'test',
): Promise<LogWriter> {
  const writer = await log.writer(id)
  for (const [index, value] of values.entries()) {
    writeRecord(writer, topic, 0, { key: `k${index}`, value, timestampMs: index })
    await (await writer.commit()).durable
  }
  return writer
}
