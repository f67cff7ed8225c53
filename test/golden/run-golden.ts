import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CaseResult } from './case-result.ts'
import { onlineLearningCases, runOnlineLearningCase } from './online-learning-cases.ts'
import { pointInTimeCases, runPointInTimeCase } from './point-in-time-cases.ts'
import { runWindowCase, windowCases } from './window-cases.ts'

/*
 *     npm run golden -- DIR
 *
 * Runs every case of every file in DIR that has one of the formats of the
 * files beside this one, by the same code as the tests. One line a case, then
 * a count. Exit code 1 when one has failed.
 */

const ownData = fileURLToPath(new URL('online-learning', import.meta.url))

interface Runnable {
  readonly id: string
  run(): CaseResult | Promise<CaseResult>
}

/** The cases of a file, or undefined when it has none of the known formats. */
function casesOf(path: string, folder: string): readonly Runnable[] | undefined {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return undefined
  if ('scenarios' in content) {
    return windowCases(path).map((each) => ({ id: each.id, run: () => runWindowCase(each) }))
  }
  if ('cases' in content) {
    return pointInTimeCases(path).map((each) => ({ id: each.id, run: () => runPointInTimeCase(each) }))
  }
  if (!('learners' in content || 'datasets' in content || 'streams' in content)) return undefined
  // Data sets lie beside the file, or beside our own copy of it.
  const hasData = readdirSync(folder).some((name) => /\.csv(\.gz)?$/.test(name))
  const data = hasData ? folder : ownData
  return onlineLearningCases(data, path).map((each) => ({
    id: `${each.id} ${each.title}`.trim(),
    run: () => runOnlineLearningCase(each, data),
  }))
}

async function resultOf({ id, run }: Runnable): Promise<CaseResult> {
  try {
    return { ...(await run()), id }
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    return { id, status: 'failed', expected: undefined, got: undefined, reason }
  }
}

function lineOf({ id, status, expected, got, reason = '' }: CaseResult): string {
  if (status === 'passed') return `passed          ${id}`
  if (status === 'not-applicable') return `not applicable  ${id}: ${reason}`
  return `FAILED          ${id}: ${reason}\n  expected ${shown(expected)}\n  got      ${shown(got)}`
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 2_000 ? `${text.slice(0, 2_000)}… (${text.length} characters)` : text
}

const folder = process.argv[2]
if (folder === undefined) {
  process.stderr.write('give the folder of the cases: npm run golden -- DIR\n')
  process.exit(2)
}
const counts = { passed: 0, failed: 0, 'not-applicable': 0 }
let files = 0
for (const name of readdirSync(folder)
  .filter((each) => each.endsWith('.json'))
  .sort()) {
  const cases = casesOf(join(folder, name), folder)
  if (cases === undefined) {
    process.stdout.write(`${name}: none of the known formats, passed over\n`)
    continue
  }
  files++
  process.stdout.write(`\n${name}: ${cases.length} cases\n`)
  for (const each of cases) {
    const result = await resultOf(each)
    counts[result.status]++
    process.stdout.write(`${lineOf(result)}\n`)
  }
}
process.stdout.write(
  `\n${files} files: ${counts.passed} passed, ${counts.failed} failed, ${counts['not-applicable']} not applicable\n`,
)
process.exitCode = counts.failed > 0 || files === 0 ? 1 : 0
