import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headwater } from '../support/command-line.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const readme = readFileSync(join(repository, 'README.md'), 'utf8')

/** The code block behind a marker of the tour. */
function block(name: string): string {
  const found = new RegExp(`<!-- tour: ${name} -->\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1]
  if (found === undefined) throw new Error(`the README has no block "${name}"`)
  return found
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-tour-'))
  writeFileSync(join(folder, 'topology.ts'), block('topology.ts'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs one line of the tour: an optional `echo '…' |`, then a headwater command. */
async function runLine(line: string): Promise<string> {
  const [, input = '', command = ''] = /^(?:echo '(.*)' \| )?npx headwater (.*)$/.exec(line) ?? []
  const { code, out, errors } = await headwater(command.split(' '), { cwd: folder, input: `${input}\n` })
  expect([line, code, code === 0 ? '' : errors]).toEqual([line, 0, ''])
  return out
}

test('the tour does what it says, command by command', { timeout: 120_000 }, async () => {
  let printed = ''
  for (const line of block('commands').trim().split('\n')) printed += `${await runLine(line)}\n`
  const compact = (text: string) =>
    text
      .split('\n')
      .map((line) => line.trimEnd())
      .filter((line) => line !== '')
  const lines = compact(printed)
  for (const expected of compact(block('output'))) expect(lines).toContain(expected)
  const report = JSON.parse(lines.find((line) => line.startsWith('{"events"')) ?? '{}') as object
  expect(report).toMatchObject({ events: 3, predictions: 2, labels: 1, deadLetters: 0 })
})

test('the taxi example becomes the training set that the README describes', {
  timeout: 120_000,
}, async () => {
  // The tests run the sources, not the built package.
  const built = 'node_modules/headwater/dist/topology/examples/taxi/topology.js'
  const commands = block('taxi').replace(built, join(repository, 'topology/examples/taxi/topology.ts'))
  expect(commands).not.toContain('dist')
  let printed = ''
  for (const line of commands.trim().split('\n')) printed = await runLine(line)
  const [, rows, columns, predictions, mismatches, unlabelled] =
    /has ([\d,]+) rows and (\d+) columns: ([\d,]+) predictions recomputed at their positions, (\d+) mismatches, (\d+) without a label/.exec(
      readme,
    ) ?? []
  expect(printed).toContain(`taxi.parquet: ${rows} rows, ${columns} columns`)
  expect(printed).toContain(
    `${predictions} predictions recomputed at their positions, ${mismatches} mismatches`,
  )
  expect(printed).toContain(`unlabelled ${unlabelled}`)
})

test("the tour's test of the topology passes, and fails when the topology is another", async () => {
  const kit = block('test').replace(
    "'headwater/testing'",
    `'${join(repository, 'topology/testing/index.ts')}'`,
  )
  const topology = block('topology.ts').replace("'headwater'", `'${join(repository, 'topology/index.ts')}'`)
  const run = (text: string) => {
    const home = mkdtempSync(join(folder, 'kit-'))
    writeFileSync(join(home, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(home, 'topology.ts'), text)
    writeFileSync(join(home, 'topology.test.ts'), kit)
    const args = ['--import', import.meta.resolve('tsx'), join(home, 'topology.test.ts')]
    return spawnSync(process.execPath, args, { encoding: 'utf8' })
  }
  expect(run(topology)).toMatchObject({ status: 0, stderr: '' })
  const wrong = run(
    topology.replace("sum(outcome, 'spent', { over: forever", "sum(outcome, 'spent', { over: hours(0.001)"),
  )
  expect(wrong.status).toBe(1)
  expect(wrong.stderr).toContain('expected 80')
})
