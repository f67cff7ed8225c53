// Prints `N passed, N failed, N skipped` over every report of a folder, as the last line.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = process.argv[2]
let passed = 0
let failed = 0
let skipped = 0
for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
  const report = JSON.parse(readFileSync(join(folder, name), 'utf8'))
  passed += report.numPassedTests
  failed += report.numFailedTests + (report.numFailedTestSuites > 0 && report.numFailedTests === 0 ? 1 : 0)
  skipped += report.numPendingTests + report.numTodoTests
}
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`)
