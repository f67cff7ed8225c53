import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endAll, headwater, start } from '../support/command-line.ts'

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-cli-'))
})
afterAll(() => {
  endAll()
  rmSync(root, { recursive: true, force: true })
})

const at = '2023-11-14T22:13:20Z'
const visit = (visitId: string, visitorId = 'ada') =>
  JSON.stringify({ visitId, visitorId, page: '/shoes', at })

describe('a starter, from nothing to answers', () => {
  const data = () => join(root, 'data')

  test('init writes it, and does not write over it', async () => {
    const made = await headwater(['init', 'shop'], { cwd: root })
    expect(made).toMatchObject({ code: 0, errors: '' })
    expect(made.out).toContain('wrote topology.ts, package.json, tsconfig.json')
    const again = await headwater(['init', 'shop'], { cwd: root })
    expect(again.code).toBe(2)
    expect(again.errors).toContain('is there already')
    expect(readFileSync(join(root, 'shop/topology.ts'), 'utf8')).toContain("from 'headwater'")
  })

  test('run --once --json ends with one line', async () => {
    const { code, out } = await headwater(['run', 'shop/topology.ts', '--data', data(), '--once', '--json'], {
      cwd: root,
    })
    expect(code).toBe(0)
    expect(out.trim().split('\n').length).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      events: 0,
      predictions: 0,
      labels: 0,
      deadLetters: 0,
    })
  })

  test('log append takes lines from the standard input, all or none', async () => {
    const good = await headwater(['log', 'append', 'visit', '--data', data(), '--json'], {
      input: `${visit('v1')}\n\n${visit('v2', 'bob')}\n`,
    })
    expect(good).toMatchObject({ code: 0, out: '{"appended":2}\n' })
    const bad = await headwater(['log', 'append', 'visit', '--data', data()], {
      input: `${visit('v3')}\n{"visitId":3}\n`,
    })
    expect(bad.code).toBe(3)
    expect(bad.errors).toMatch(/field "\[1\]\.\w+" is .*\[contract-violation\]/)
    const broken = await headwater(['log', 'append', 'visit', '--data', data()], {
      input: `${visit('v4')}\nnot json\n`,
    })
    expect(broken.code).toBe(2)
    expect(broken.errors).toContain('line 2 is not JSON')
  })

  test('an engine that serves answers the commands beside it, and ends cleanly on SIGTERM', async () => {
    const engine = start(['run', join(root, 'shop/topology.ts'), '--data', data(), '--port', '0'])
    const line = await engine.seen(/serving on http/)
    const url = /http:\/\/[\d.:]+/.exec(line)?.[0] ?? ''
    const asked = await fetch(`${url}/v1/models/buys/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ visitId: 'v9', visitorId: 'ada', page: '/' }),
    })
    expect(asked.status).toBe(200)
    const features = await headwater(['features', 'get', 'visitor', 'ada', '--data', data(), '--json'])
    expect(JSON.parse(features.out)).toMatchObject({
      view: 'visitor',
      key: ['ada'],
      features: { visits1h: 1 },
    })
    const shown = await headwater(['predictions', 'show', 'v9', '--data', data()])
    expect(shown.code).toBe(0)
    expect(shown.out).toContain('buys version 0 (champion')
    const appended = await headwater(['log', 'append', 'visit', '--data', data()], { input: visit('v10') })
    expect(appended.out).toBe('1 events appended\n')
    const second = await headwater(['run', join(root, 'shop/topology.ts'), '--data', data(), '--once'])
    expect(second.code).toBe(3)
    expect(second.errors).toContain(`process ${engine.child.pid} on `)
    process.kill(engine.child.pid ?? 0, 'SIGTERM')
    const { code, errors } = await engine.ended
    expect(code).toBe(0)
    expect(errors).toContain('stopping: committing what is processed')
  })

  test('the log can be looked at, read, verified and replayed', async () => {
    const topics = await headwater(['log', 'topics', '--data', data(), '--json'])
    const rows = topics.out
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row) as { topic: string; records: number })
    expect(rows.find(({ topic }) => topic === 'visit')?.records).toBe(4)
    expect(rows.find(({ topic }) => topic === 'shop-predictions')?.records).toBe(4)
    const read = await headwater(['log', 'read', 'visit', '--data', data(), '--json', '--limit', '10'])
    const records = read.out
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row) as { value: { visitId: string } })
    expect(records.map(({ value }) => value.visitId).sort()).toEqual(['v1', 'v10', 'v2', 'v9'])
    const verified = await headwater(['log', 'verify', '--data', data()])
    expect(verified).toMatchObject({ code: 0 })
    expect(verified.out).toContain('whole')
    const audited = await headwater(['replay', 'audit', '--data', data(), '--json'])
    expect(JSON.parse(audited.out)).toMatchObject({ predictions: 4, mismatches: 0 })
    const rebuilt = await headwater(['replay', 'rebuild', '--data', data(), '--json'])
    expect(JSON.parse(rebuilt.out)).toMatchObject({ equal: true })
  })

  test('the features are listed, shown and drawn', async () => {
    const list = await headwater(['features', 'list', '--data', data(), '--json'])
    expect(JSON.parse(list.out)).toMatchObject({
      view: 'visitor',
      entity: ['visitorId'],
      usedBy: ['model buys'],
    })
    const shown = await headwater(['features', 'show', 'visitor', '--data', data()])
    expect(shown.out).toMatch(/visits7d\s+count\s+visit\s+7 d\s+1 h/)
    const mermaid = await headwater(['features', 'lineage', '--data', data()])
    expect(mermaid.out).toMatch(/n\d\["view visitor v1"\] -->\|is read by\| n\d\["model buys"\]/)
    const dot = await headwater(['features', 'lineage', '--data', data(), '--dot'])
    expect(dot.out).toContain('"event outcome" -> "model buys" [label="labels"]')
    const unknown = await headwater(['features', 'show', 'visitors', '--data', data()])
    expect(unknown).toMatchObject({ code: 2, out: '' })
    expect(unknown.errors).toContain('known views: visitor')
  })

  test('follow prints what is appended while it runs', async () => {
    const follow = start(['log', 'follow', 'visit', '--data', data(), '--json'])
    // What comes after the start is followed, so one is appended until the first is seen.
    let isSeen = false
    const seen = follow.seen(/"f-\d+"/).then(() => {
      isSeen = true
    })
    for (let number = 0; !isSeen && number < 20; number++) {
      await headwater(['log', 'append', 'visit', '--data', data()], { input: visit(`f-${number}`) })
    }
    await seen
    process.kill(follow.child.pid ?? 0, 'SIGINT')
    expect((await follow.ended).code).toBe(0)
  })

  test('commands say what is wrong, in one line, with an exit code of its kind', {
    timeout: 120_000,
  }, async () => {
    const cases: readonly (readonly [args: readonly string[], code: number, text: string])[] = [
      [['log', 'topics', '--data', join(root, 'nothing')], 2, 'holds no log; check --data'],
      [['log', 'read', 'x', '--data', data()], 3, 'topic "x" does not exist; known topics'],
      [['features', 'get', 'visits', 'ada', '--data', data()], 2, 'known views: visitor'],
      [['features', 'get', 'visitor', 'ada', '--at', 'soon', '--data', data()], 2, 'is not a time'],
      [['predictions', 'show', 'none', '--data', data()], 1, 'has no prediction for request "none"'],
      [['run', join(root, 'none.ts')], 2, 'no topology module at'],
      [['run', join(root, 'shop/package.json')], 2, 'does not export a topology'],
      [['run', join(root, 'shop/topology.ts'), '--prot', '1'], 2, "unknown option '--prot'"],
      [
        ['run', join(root, 'shop/topology.ts'), '--port', 'x'],
        2,
        'expected a whole number from 0 to 65535, got "x"',
      ],
      [['log', 'dead-letters', 'explain', '5', '--data', data()], 1, 'there is no dead letter 5'],
    ]
    for (const [args, code, text] of cases) {
      const outcome = await headwater(args)
      expect(outcome.errors).toContain(text)
      expect([args, outcome.code]).toEqual([args, code])
    }
  })

  test('a JavaScript starter runs too', async () => {
    await headwater(['init', 'plain', '--javascript'], { cwd: root })
    const { code, out } = await headwater(['run', 'plain/topology.js', '--once', '--json'], { cwd: root })
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ events: 0 })
  })

  test('a module that is no topology is named', async () => {
    writeFileSync(join(root, 'odd.ts'), 'export default 5\n')
    const { code, errors } = await headwater(['run', join(root, 'odd.ts')])
    expect(code).toBe(2)
    expect(errors).toContain('does not export a topology')
  })
})
