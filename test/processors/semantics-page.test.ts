import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const page = readFileSync(new URL('../../processors/README.md', import.meta.url), 'utf8')
const testFolder = new URL('..', import.meta.url).pathname

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return /\.(test|suite)\.ts$/.test(entry.name) ? [readFileSync(path, 'utf8')] : []
  })
}

/** Titles as they are written: in quotes, behind `test(` or `it(`, maybe on a line of their own. */
const titles = new Set(
  sources(testFolder).flatMap((source) =>
    [...source.matchAll(/\b(?:test|it)(?:\.\w+)?\(\s*(['"`])((?:(?!\1).)*)\1/g)].map((found) => found[2]!),
  ),
)

const caseIds = new Set(
  ['windows.json', 'point-in-time.json'].flatMap((file) => {
    const text = readFileSync(new URL(`../golden/${file}`, import.meta.url), 'utf8')
    return [...text.matchAll(/"id": "([^"]+)"/g)].map((found) => found[1]!)
  }),
)

const sentences = page.split('\n').filter((line) => line.startsWith('- '))

test('every sentence of the page of semantics names what holds it, and that is there', () => {
  const missing = sentences.flatMap((sentence) => {
    const names = [...sentence.matchAll(/`(test|case): ((?:(?!`).)*)`/g)]
    if (names.length === 0) return [`nothing holds: ${sentence}`]
    return names
      .filter(([, kind, name]) => !(kind === 'test' ? titles : caseIds).has(name!))
      .map(([reference]) => `not found: ${reference}`)
  })
  expect(missing).toEqual([])
  expect(sentences.length).toBeGreaterThan(30)
})
