import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const repository = fileURLToPath(new URL('../..', import.meta.url))
let project = ''

const run = (command: string, args: readonly string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** The packed package in an empty project, its dependencies those of this checkout: no registry is asked. */
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'headwater-package-'))
  run('npm', ['run', '--silent', 'build'], repository)
  const packed = run('npm', ['pack', '--silent', '--pack-destination', project], repository)
    .trim()
    .split('\n')
    .at(-1)
  const home = join(project, 'node_modules/headwater')
  mkdirSync(home, { recursive: true })
  run('tar', ['-xzf', join(project, packed ?? ''), '-C', home, '--strip-components=1'], project)
  symlinkSync(join(repository, 'node_modules'), join(home, 'node_modules'))
  // As npm init leaves it: nothing says that modules are ES modules.
  writeFileSync(join(project, 'package.json'), '{ "name": "user", "version": "1.0.0" }\n')
})
afterAll(() => rmSync(project, { recursive: true, force: true }))

const headwater = (...args: string[]) =>
  run(
    process.execPath,
    [join(project, 'node_modules/headwater/dist/topology/cli/headwater.js'), ...args],
    project,
  )

test('an installed package writes a starter, runs it and answers', () => {
  expect(headwater('init', '.')).toContain('wrote topology.ts, tsconfig.json')
  expect(JSON.parse(headwater('run', './topology.ts', '--once', '--json'))).toMatchObject({
    events: 0,
    predictions: 0,
  })
})

test('the starter has its types in an editor, and a misspelt field does not compile', () => {
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  symlinkSync(join(repository, 'node_modules/@types'), join(project, 'node_modules/@types'))
  expect(run(process.execPath, [tsc, '-p', '.'], project)).toBe('')
  writeFileSync(
    join(project, 'wrong.ts'),
    `import { count, event, featureView, hours, sum } from 'headwater'
const paid = event('paid', { user: 'string', cents: 'int', at: 'timestamp' }, { key: 'user', time: 'at' })
featureView('v', { entity: 'user', owner: 'o', description: 'd', features: { s: sum(paid, 'cent', { over: hours(1) }), c: count(paid, { over: hours(1) }) } })
`,
  )
  expect(() => run(process.execPath, [tsc, '-p', '.'], project)).toThrow()
})

test('the test kit is there under its own path', () => {
  writeFileSync(
    join(project, 'kit.mjs'),
    `import { givenEvents } from 'headwater/testing'
import { count, event, featureView, hours, topology } from 'headwater'
const paid = event('paid', { user: 'string', at: 'timestamp' }, { key: 'user', time: 'at' })
const view = featureView('v', { entity: 'user', owner: 'o', description: 'd', features: { n: count(paid, { over: hours(1) }) } })
const driver = await givenEvents(topology('t', { events: [paid], features: [view] }), [paid, { user: 'a', at: 5 }, { user: 'a', at: 6 }])
console.log(JSON.stringify(await driver.features('v', 'a', 7)))
await driver.close()
`,
  )
  expect(run(process.execPath, ['kit.mjs'], project)).toBe('{"n":2}\n')
})
