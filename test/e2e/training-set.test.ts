import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { endAll, headwater, start } from '../support/command-line.ts'
import { fillTrainingShop, orderCount, startMs } from '../support/training-shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-training-set-'))
const data = join(folder, 'data')
const topology = join(folder, 'topology.ts')
const shop = fileURLToPath(new URL('../support/training-shop.ts', import.meta.url))
const script = fileURLToPath(new URL('../../topology/cli/headwater.ts', import.meta.url))
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

test('rows of a file get features as of their time, and what is wrong with them is told', async () => {
  const labels = join(folder, 'labels.csv')
  const iso = (minute: number) => new Date(startMs + minute * 60_000).toISOString()
  writeFileSync(
    labels,
    `customer,asked,churned\nb1,${iso(60)},true\nb2,${iso(30)},false\n,${iso(30)},false\nb3,soon,false\n`,
  )
  const out = join(folder, 'churn.ndjson')
  const asked = ['--labels', labels, '--time-column', 'asked', '--key', 'buyer=customer']
  const weighted = ['--label-column', 'churned', '--class-weights', 'balanced']
  const { code, out: told } = await trainingSet('--out', out, ...asked, ...weighted)
  expect(code).toBe(0)
  expect(told).toContain('1 without a key, 1 with a time that cannot be read')
  const rows = readFileSync(out, 'utf8').trimEnd().split('\n')
  expect(rows.map((row) => JSON.parse(row))).toMatchObject([
    { customer: 'b1', asked: iso(60), churned: true, orders10m: 2, weight: 2 },
    { customer: 'b2', asked: iso(30), churned: false, orders10m: 2, weight: 2 / 3 },
    { customer: null, churned: false, orders10m: 0 },
    { customer: 'b3', asked: 'soon', orders10m: null, lastAmount: null },
  ])
  const strict = await trainingSet('--out', out, ...asked, '--strict')
  expect(strict).toMatchObject({ code: 3 })
  expect(strict.errors).toContain('1 nullKey, 1 unreadableTime')
  const dry = await trainingSet('--out', join(folder, 'dry.csv'), ...asked, '--dry-run', '--json')
  expect(JSON.parse(dry.out)).toMatchObject({ mode: 'time', path: null, rows: 4, input: { nullKey: 1 } })
})

test('a disk that fills leaves what was there, and nothing else', async () => {
  const labels = join(folder, 'many.csv')
  const lines = Array.from({ length: 20_000 }, (_, index) => `b${index % 5},${startMs + index * 100}`)
  writeFileSync(labels, ['buyer,at', ...lines].join('\n'))
  const out = join(folder, 'filled.csv')
  writeFileSync(out, 'earlier')
  // A limit on the size of files, in KiB, stands for the full disk.
  const command = 'ulimit -f 512; exec "$0" "$@"'
  const { status, stderr } = spawnSync(
    'bash',
    ['-c', command, process.execPath, '--import', import.meta.resolve('tsx'), script]
      .concat(['replay', 'training-set', ...where])
      .concat(['--out', out, '--labels', labels, '--time-column', 'at']),
    { encoding: 'utf8' },
  )
  expect({ status, told: stderr.includes('table-unwritable') }).toEqual({ status: 3, told: true })
  expect(readFileSync(out, 'utf8')).toBe('earlier')
  expect(readdirSync(folder).filter((name) => name.startsWith('filled'))).toEqual(['filled.csv'])
})

test('what is asked wrongly ends with 2, what the engine refuses with 3', async () => {
  const out = join(folder, 'never.parquet')
  const [wrong, unknown] = await Promise.all([
    trainingSet('--out', out, '--gap', '7d'),
    trainingSet('--out', out, '--model', 'none'),
  ])
  expect([wrong.code, unknown.code]).toEqual([2, 3])
  expect(wrong.errors).toContain('--gap goes with --split')
  expect(unknown.errors).toContain('known models: late')
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
