import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type TrainingSetCommandOptions,
  trainingSetCommand,
} from '../../../topology/cli/training-set-command.ts'
import { fillTrainingShop } from '../../support/training-shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'headwater-training-command-'))
const data = join(folder, 'data')
const topology = join(folder, 'topology.ts')
const out = join(folder, 'never.parquet')

beforeAll(async () => {
  const shop = fileURLToPath(new URL('../../support/training-shop.ts', import.meta.url))
  writeFileSync(topology, `export { trainingShop as default } from ${JSON.stringify(shop)}\n`)
  await fillTrainingShop(data)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const refused: readonly (readonly [Partial<TrainingSetCommandOptions>, string])[] = [
  [{ data: folder }, 'holds no log'],
  [{ out: join(folder, 'set.xls') }, 'does not tell its format'],
  [{ out: join(folder, 'gone', 'set.csv') }, 'set.csv could not be opened'],
  [{ split: '2024-01-01', shares: '0.5,0.5' }, 'give one'],
  [{ split: '2024-01-01,2024-02-01,2024-03-01' }, 'one time, or two'],
  [{ split: '2024-02-01,2024-01-01' }, 'must go up'],
  [{ gap: '7d' }, '--gap goes with --split'],
  [{ split: '2024-01-01', gap: '7 days' }, '--gap takes a number and one of ms, s, m, h, d, w'],
  [{ shares: '0.8,0.8' }, 'add up to 1'],
  [{ shares: 'most' }, 'two or three numbers'],
  [{ group: 'buyer' }, '--group and --stratified go with --shares'],
  [{ shares: '0.5,0.5', group: 'buyer', stratified: true }, 'exclude each other'],
  [{ keep: 'half' }, '--keep takes label=number'],
  [{ keep: '0=2' }, 'above 0 and at most 1'],
  [{ classWeights: '1=-1' }, 'must be at least 0'],
  [{ from: 'yesterday' }, '--from takes a time'],
  [{ from: '2024-02-01', to: '2024-01-01' }, 'begin before it ends'],
  [{ model: 'none' }, 'known models: late'],
  [{ timeColumn: 'at' }, '--time-column goes with --labels'],
  [{ labels: 'labels.csv', labelEvent: 'paid' }, 'two sources of rows'],
  [{ labels: 'labels.csv' }, '--labels goes with --time-column'],
  [{ labels: 'labels.csv', timeColumn: 'at', key: 'buyer' }, '--key takes name=column'],
  [{ labels: 'labels.txt', timeColumn: 'at' }, 'does not tell its format'],
  [{ features: join(folder, 'gone.ts') }, 'no topology module'],
]

for (const [options, problem] of refused) {
  test(`refused before a file is there: ${Object.keys(options).join(', ')}: ${problem}`, async () => {
    const asked = { data, topology, out, seed: 0, rowGroup: 100, json: true, ...options }
    await expect(trainingSetCommand(asked)).rejects.toThrow(problem)
    expect(readdirSync(folder).sort()).toEqual(['data', 'topology.ts'])
  })
}
