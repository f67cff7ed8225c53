import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LawTest, lawTable, lawTableText } from './law-table.ts'

/*
 * Runs the laws of the aggregates and prints aggregate × law. Exit code 1
 * where one is broken or untested.
 *
 *     npm run laws
 */

interface RunReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
    }[]
  }[]
}

const folder = mkdtempSync(join(tmpdir(), 'headwater-laws-'))
try {
  const report = join(folder, 'laws.json')
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))
  const args = ['run', 'test/processors/aggregate', '--reporter=json', `--outputFile=${report}`]
  const { status } = spawnSync(process.execPath, [vitest, ...args], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as RunReport
  const tests = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .map(({ ancestorTitles, title, status: outcome }): LawTest => {
      return { suite: ancestorTitles.at(-1) ?? '', title, isPassed: outcome === 'passed' }
    })
    .filter(({ suite }) => suite.startsWith('aggregate '))
  const rows = lawTable(tests)
  process.stdout.write(`${lawTableText(rows)}\n`)
  const isWhole = rows.every(({ laws }) =>
    Object.values(laws).every((verdict) => verdict === 'holds' || verdict === 'not promised'),
  )
  process.exitCode = status === 0 && isWhole ? 0 : 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
