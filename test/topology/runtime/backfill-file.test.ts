import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Engine } from '../../../topology/index.ts'
import { backfillFile, type FileBackfillOptions } from '../../../topology/runtime/backfill-file.ts'
import { headwater } from '../../support/command-line.ts'
import { shop } from '../../support/shop-topology.ts'

let root = ''
let folders = 0
const folder = () => join(root, String(folders++))
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-file-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const now = () => 1_800_000_000_000
const at = 1_600_000_000_000

interface Visit {
  readonly visitId: string
  readonly visitor: string
  readonly page: string | null
  readonly at: number
}

const visits = (count: number): readonly Visit[] =>
  Array.from({ length: count }, (_, index) => ({
    visitId: `v${index}`,
    visitor: `visitor-${index % 7}`,
    page: index % 3 === 0 ? null : `/p "${index % 5}", x`,
    at: at + index * 1_000,
  }))

const files: Readonly<Record<string, (path: string, rows: readonly Visit[]) => void>> = {
  'visits.csv': (path, rows) => {
    const quoted = (text: string | null) => (text === null ? '' : `"${text.replaceAll('"', '""')}"`)
    const lines = rows.map(
      ({ visitId, visitor, page, at: ms }) => `${visitId},${ms},${quoted(page)},${visitor}`,
    )
    writeFileSync(path, `visitId,at,page,visitor\n${lines.join('\n')}\n`)
  },
  'visits.ndjson': (path, rows) => {
    const lines = rows.map((row) => JSON.stringify({ ...row, at: new Date(row.at).toISOString() }))
    writeFileSync(path, lines.join('\n'))
  },
  'visits.jsonl.gz': (path, rows) =>
    writeFileSync(path, gzipSync(rows.map((row) => JSON.stringify(row)).join('\n'))),
  'visits.parquet': (path, rows) => {
    const columnData = [
      { name: 'visitId', data: rows.map(({ visitId }) => visitId), type: 'STRING' as const },
      { name: 'visitor', data: rows.map(({ visitor }) => visitor), type: 'STRING' as const },
      { name: 'page', data: rows.map(({ page }) => page), type: 'STRING' as const, nullable: true },
      { name: 'at', data: rows.map(({ at: ms }) => new Date(ms)), type: 'TIMESTAMP' as const },
    ]
    writeFileSync(path, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 100 })))
  },
}

function written(name: string, rows: readonly Visit[]): string {
  const path = join(root, `${folders++}-${name}`)
  files[name]!(path, rows)
  return path
}

const byId = (left: Visit, right: Visit) => Number(left.visitId.slice(1)) - Number(right.visitId.slice(1))

/** Every visit of the log, in the order of their numbers: one that came twice is there twice. */
async function visitsOf(engine: Engine): Promise<readonly Visit[]> {
  const bound = engine.assembly.events.get('visit')!
  const found: Visit[] = []
  for (let partition = 0; partition < shop.partitions; partition++) {
    const { end } = await engine.log.offsets('visit', partition)
    for (let offset = 0n; offset < end; ) {
      const batch = await engine.log.read({ topic: 'visit', partition, offset, maxBytes: 1 << 24 })
      for (let index = 0; index < batch.count; index++) {
        found.push(bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!) as Visit)
      }
      offset = batch.nextOffset
    }
  }
  return found.sort(byId)
}

async function brought(options: Omit<FileBackfillOptions, 'event'>) {
  const engine = await Engine.open({ topology: shop, now })
  const report = await backfillFile(engine, { event: 'visit', ...options })
  const found = await visitsOf(engine)
  await engine.close()
  return { report, found }
}

describe('a file of history', () => {
  test.each(Object.keys(files))(
    '%s becomes events with their own times, once however often it is run',
    async (name) => {
      const rows = visits(450)
      const path = written(name, rows)
      const engine = await Engine.open({ topology: shop, now })
      const first = await backfillFile(engine, { path, event: 'visit' })
      expect(first).toEqual({
        outcome: 'done',
        rows: 450,
        events: 450,
        skipped: 0,
        refused: [],
        fromMs: at,
        toMs: at + 449_000,
        processedToMs: null,
      })
      const second = await backfillFile(engine, { path, event: 'visit' })
      expect([second.events, second.skipped]).toEqual([0, 450])
      expect(await visitsOf(engine)).toEqual(rows)
      engine.run()
      await engine.caughtUp()
      expect(await engine.features('visitor', ['visitor-3'], at + 450_000)).toMatchObject({ visits1h: 64 })
      await engine.close()
    },
  )

  test('killed with SIGKILL again and again is brought in whole and without a duplicate', async () => {
    const data = folder()
    const rows = visits(9_500)
    const path = written('visits.csv', rows)
    const child = fileURLToPath(new URL('../../support/backfill-file-child.ts', import.meta.url))
    for (let round = 0; round < 2; round++) {
      const args = ['--import', import.meta.resolve('tsx'), child, data, path, '2']
      const [, signal] = (await once(spawn(process.execPath, args), 'exit')) as [number | null, string | null]
      expect(signal).toBe('SIGKILL')
    }
    const engine = await Engine.open({ topology: shop, data, now })
    const { skipped, events } = await backfillFile(engine, { path, event: 'visit' })
    expect(skipped + events).toBe(9_500)
    expect(skipped).toBeGreaterThanOrEqual(4_000)
    expect(await visitsOf(engine)).toEqual(rows)
    await engine.close()
  })

  const bad = [
    ...visits(3),
    { visitId: 'v3', visitor: 'a', page: null, at: 1_600_000_000 },
    { visitId: 'v4', visitor: 'a', page: null, at: 1_600_000_000 },
    { visitId: 'v5', visitor: 'a', page: null, at: at * 1_000 },
    { visitId: 'v6', visitor: null as unknown as string, page: null, at },
    { visitId: 'v7', visitor: 'a', page: null, at: at - 1 },
  ]

  test('with rows that do not fit brings none in, and counts them by reason with a likely cause', async () => {
    const { report, found } = await brought({ path: written('visits.jsonl.gz', bad) })
    expect(found).toEqual([])
    expect(report).toMatchObject({ outcome: 'refused', rows: 8, events: 0 })
    expect(report.refused.map(({ reason, count, firstRow }) => [reason, count, firstRow])).toEqual([
      ['time-too-early', 2, 4],
      ['time-in-the-future', 1, 6],
      ['contract-violation: visitor', 1, 7],
    ])
    expect(report.refused[0]!.detail).toContain('is it in seconds? say so with the time unit s')
  })

  test('gives its good rows where that is asked for', async () => {
    const { report, found } = await brought({ path: written('visits.jsonl.gz', bad), skipRefused: true })
    expect(report).toMatchObject({ outcome: 'done', rows: 8, events: 4 })
    expect(found.map(({ visitId }) => visitId)).toEqual(['v0', 'v1', 'v2', 'v7'])
  })

  test('may have times in another unit, and columns of other names', async () => {
    const path = join(root, 'other.csv')
    writeFileSync(path, 'id,who,seconds,what\n17,ada,1600000000.5,x\n')
    const columns = { visitId: 'id', visitor: 'who', at: 'seconds' }
    const { found } = await brought({ path, columns, timeUnit: 's' })
    expect(found).toEqual([{ visitId: '17', visitor: 'ada', page: null, at: at + 500 }])
    await expect(brought({ path, columns: { visitId: 'id' } })).rejects.toThrow(
      'a column for field "visitor" of "visit"',
    )
    await expect(brought({ path, columns: { ...columns, page: 'pages' } })).rejects.toThrow(
      'a column "pages"',
    )
  })

  test('that cannot be read is told of by name', async () => {
    const path = join(root, 'torn.parquet')
    writeFileSync(path, 'PAR1 and nothing more')
    await expect(brought({ path })).rejects.toMatchObject({ code: 'table-unreadable' })
    await expect(brought({ path: join(root, 'visits.xlsx') })).rejects.toThrow('a name that tells no format')
  })
})

describe('headwater replay backfill --file', () => {
  test('checks, brings in, and says what was refused', async () => {
    const data = folder()
    const module = join(root, 'shop.ts')
    const support = new URL('../../support/shop-topology.ts', import.meta.url)
    writeFileSync(module, `export { shop as default } from '${support.href}'\n`)
    const path = written('visits.csv', visits(20))
    const command = [
      'replay',
      'backfill',
      '--file',
      path,
      '--event',
      'visit',
      '--data',
      data,
      '--topology',
      module,
    ]
    const dry = await headwater([...command, '--dry-run', '--json'])
    expect([dry.code, JSON.parse(dry.out)]).toMatchObject([0, { rows: 20, accepted: 20, refused: [] }])
    const done = await headwater(command)
    expect([done.code, done.out]).toEqual([
      0,
      '20 "visit" events brought in, from 2020-09-13T12:26:40.000Z to 2020-09-13T12:26:59.000Z\n',
    ])
    const refused = await headwater([...command, '--time-unit', 'us'])
    expect([refused.code, refused.out]).toEqual([1, expect.stringContaining('20 refused, time-too-early')])
  })
})
