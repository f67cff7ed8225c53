import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endAll, headwater } from '../../support/command-line.ts'

const module = fileURLToPath(new URL('../../../topology/examples/movies/topology.ts', import.meta.url))
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'headwater-run-instance-'))
})
afterAll(() => {
  endAll()
  rmSync(folder, { recursive: true, force: true })
})

const nowhere = ['--kafka', '127.0.0.1:9']

test.each([
  [
    'an instance of an embedded log',
    ['--instance-id', 'one'],
    '--instance-id, --advertise, --standbys and --session-timeout go with --kafka, without --once',
  ],
  [
    'an instance that ends',
    [...nowhere, '--once', '--standbys', '2'],
    '--instance-id, --advertise, --standbys and --session-timeout go with --kafka, without --once',
  ],
  [
    'an address that is none',
    [...nowhere, '--advertise', '10.0.0.7'],
    '--advertise takes an address such as http://10.0.0.7:7070, got "10.0.0.7"',
  ],
  [
    'an id that does not fit into a header',
    [...nowhere, '--instance-id', 'one of two'],
    '--instance-id takes up to 64 letters, digits, ".", "_" and "-", got "one of two"',
  ],
  ['a session of no length', [...nowhere, '--session-timeout', '5'], '--session-timeout'],
])('%s is refused before anything is opened', async (_, args, message) => {
  const { code, errors } = await headwater(['run', module, '--data', folder, '--port', '0', ...args])
  expect(errors).toContain(message)
  expect(code).toBe(2)
})
