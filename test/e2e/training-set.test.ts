import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { endAll, headwater, start } from '../support/command-line.ts'
import { fillTrainingShop, orderCount } from '../support/training-shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-training-set-'))
const data = join(folder, 'data')
const topology = join(folder, 'topology.ts')
const shop = fileURLToPath(new URL('../support/training-shop.ts', import.meta.url))
const where = ['--data', data, '--topology', topology]

beforeAll(async () => {
  writeFileSync(topology, `export { trainingShop as default } from ${JSON.stringify(shop)}\n`)
  await fillTrainingShop(data)
})
afterEach(endAll)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const trainingSet = (...args: string[]) => headwater(['replay', 'training-set', ...where, ...args])
const rowsOf = (path: string) => {
  const bytes = readFileSync(path)
  return parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
  })
}

test('one command writes the training set and says what is in it', async () => {
  const out = join(folder, 'train.parquet')
  const { code, out: told, errors } = await trainingSet('--out', out, '--shares', '0.8,0.2', '--stratified')
  expect({ code, errors: errors.includes('records') }).toEqual({ code: 0, errors: true })
  expect(told).toContain(`${orderCount - 10} rows`)
  expect(told).toContain('0 mismatches')
  expect(told).toContain('2 corrected')
  const onTime = (await rowsOf(out)).filter((row) => row['label'] === 0).slice(0, 60)
  expect(onTime.filter((row) => row['split'] === 'train')).toHaveLength(48)
})

test('a view of another module becomes columns', async () => {
  const idea = join(folder, 'idea.ts')
  const api = fileURLToPath(new URL('../../topology/index.ts', import.meta.url))
  writeFileSync(
    idea,
    `import { featureView, sum, hours } from ${JSON.stringify(api)}
import { order } from ${JSON.stringify(shop)}
export const spending = featureView('spending', {
  entity: 'buyer', owner: 'tests', description: 'spent lately',
  features: { amount3h: sum(order, 'amount', { over: hours(3), hop: 0 }) },
})
`,
  )
  const out = join(folder, 'idea.parquet')
  const { code, out: told } = await trainingSet('--out', out, '--features', `${idea}#spending`, '--json')
  expect(code).toBe(0)
  expect(JSON.parse(told)).toMatchObject({ rows: orderCount - 10, predictions: { mismatches: 0 } })
  const rows = await rowsOf(out)
  for (const { amount1h, amount3h } of rows) expect(amount3h ?? 0).toBeGreaterThanOrEqual(amount1h ?? 0)
  const unknown = await trainingSet('--out', out, '--features', `${idea}#nothing`)
  expect(unknown).toMatchObject({ code: 2 })
  expect(unknown.errors).toContain('it has spending')
})

test('what cannot be meant is refused before anything is folded', async () => {
  const out = join(folder, 'never.parquet')
  const cases = [
    [['--out', join(folder, 'set.xls')], 'does not tell its format'],
    [['--out', out, '--split', '2024-01-01', '--shares', '0.5,0.5'], 'give one'],
    [['--out', out, '--gap', '7d'], '--gap goes with --split'],
    [['--out', out, '--shares', '0.8,0.8'], 'add up to 1'],
    [['--out', out, '--model', 'none'], 'known models: late'],
    [['--out', out, '--from', 'yesterday'], '--from takes a time'],
  ] as const
  for (const [args, problem] of cases) {
    const { code, errors } = await trainingSet(...args)
    expect(code, problem).toBeGreaterThan(1)
    expect(errors).toContain(problem)
  }
  expect(readdirSync(folder).filter((name) => name.startsWith('never'))).toEqual([])
})

test('a run that is killed leaves nothing under the final name, and the next one is whole', async () => {
  const out = join(folder, 'killed.parquet')
  const unfinished = () => readdirSync(folder).filter((name) => name.startsWith('killed.parquet'))
  const { child, ended } = start(['replay', 'training-set', ...where, '--out', out, '--row-group', '1'])
  while (unfinished().length === 0 && child.exitCode === null) await sleep(1)
  child.kill('SIGKILL')
  await ended
  expect(unfinished().map((name) => name.replace(/\d+/, 'pid'))).toEqual(['killed.parquet.pid.part'])
  const { code } = await trainingSet('--out', out)
  expect(code).toBe(0)
  expect(unfinished()).toEqual(['killed.parquet'])
  expect(await rowsOf(out)).toHaveLength(orderCount - 10)
})
