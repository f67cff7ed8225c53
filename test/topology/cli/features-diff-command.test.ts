import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headwater } from '../../support/command-line.ts'

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-features-diff-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A module whose one view counts over so many hours, under a version. */
function module(name: string, over: number, version: number): string {
  const index = new URL('../../../topology/index.ts', import.meta.url).href
  const path = join(root, `${name}.ts`)
  writeFileSync(
    path,
    `import { count, event, featureView, hours, topology } from '${index}'
const visit = event('visit', { visitor: 'string', at: 'timestamp' }, { key: 'visitor', time: 'at' })
const visitor = featureView('visitor', {
  entity: 'visitor', owner: 'tests', description: 'visits', version: ${version},
  features: { visits: count(visit, { over: hours(${over}) }) },
})
export default topology('visits', { events: [visit], features: [visitor] })
`,
  )
  return path
}

test('a changed meaning is told, and is an answer of no until the version is raised', async () => {
  const before = module('before', 1, 1)
  const same = await headwater(['features', 'diff', before, module('same', 1, 1)])
  expect(same).toMatchObject({ code: 0, out: 'no view differs\n' })

  const changed = await headwater(['features', 'diff', before, module('changed', 2, 1)])
  expect(changed.code).toBe(1)
  expect(changed.out).toContain('view visitor (version 1)')
  expect(changed.out).toContain('version 1 would have two meanings: raise version to 2')

  const raised = await headwater(['features', 'diff', before, module('raised', 2, 2), '--json'])
  expect(raised.code).toBe(0)
  expect(JSON.parse(raised.out)).toMatchObject({ view: 'visitor', versionBefore: 1, versionAfter: 2 })

  const missing = await headwater(['features', 'diff', before, join(root, 'nowhere.ts')])
  expect(missing.code).toBe(2)
  expect(missing.errors).toContain('nowhere.ts')
})

test('a module is held against the log where it ran, and does not run there with another meaning', async () => {
  const data = join(root, 'data')
  const first = module('first', 1, 1)
  const run = (path: string, ...options: string[]) =>
    headwater(['run', path, '--data', data, '--once', ...options])
  expect(await run(first)).toMatchObject({ code: 0 })

  const versions = await headwater(['features', 'versions', '--data', data, '--json'])
  expect(JSON.parse(versions.out)).toMatchObject({
    view: 'visitor',
    version: 1,
    owner: 'tests',
    sources: ['visit'],
    meaning: { features: { visits: { aggregate: 'count', window: '3600000 ms' } } },
  })
  expect(await headwater(['features', 'diff', first, '--data', data])).toMatchObject({
    code: 0,
    out: 'no view differs\n',
  })

  const changed = module('later', 2, 1)
  const diff = await headwater(['features', 'diff', changed, '--data', data])
  expect(diff.code).toBe(1)
  expect(diff.out).toContain('visits: window 3600000 ms -> 7200000 ms')

  const refused = await run(changed)
  expect(refused.code).toBe(3)
  expect(refused.errors).toContain('version 1 of feature view "visitor" is on the log with another meaning')
  expect(refused.errors).toContain('declare it with version: 2')

  expect(await run(module('later-raised', 2, 2))).toMatchObject({ code: 0 })
  expect(await run(changed, '--accept-feature-changes')).toMatchObject({ code: 0 })
  const table = await headwater(['features', 'versions', '--data', data])
  expect(table.out.match(/visitor/g)).toHaveLength(2)
})
