import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const layers = ['state', 'processors', 'models', 'replay', 'topology']

const filesUnder = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts'))
        .map((path) => `${folder}/${path}`)
        .sort()
    : []

const sources = layers.flatMap(filesUnder)
const tests = filesUnder('test')

/** What makes a replay differ from the run it replays, and what to use instead. */
const nondeterminism: [pattern: RegExp, use: string][] = [
  [/\bDate\.now\(|\bnew Date\(\)/, 'the event time of the record'],
  [/\bMath\.random\(/, 'a seeded generator'],
  [/\bset(Timeout|Interval)\(/, 'a punctuator'],
  [
    /[^.\w](bufferTime|windowTime|debounceTime|throttleTime|auditTime|interval|timer)\(/,
    'event time, never the RxJS clock',
  ],
  [/\bmergeMap\(/, 'concatMap: a partition keeps its order'],
]

test('processors and models are deterministic', () => {
  const found = sources
    .filter((path) => /^(processors|models)\//.test(path))
    .flatMap((path) =>
      nondeterminism
        .filter(([pattern]) => pattern.test(readFileSync(path, 'utf8')))
        .map(([pattern, use]) => `${path}: ${pattern.source} is banned, use ${use}`),
    )
  expect(found).toEqual([])
})

test('every file under test/ is run, is a suite, a bench, or is support', () => {
  const known = /\.(test|suite|bench)\.ts$|^test\/(support|golden|bench)\//
  expect(tests.filter((path) => !known.test(path))).toEqual([])
})

test('a test sits in the folder of its subject', () => {
  const orphans = tests
    .filter((path) => path.endsWith('.test.ts') && layers.some((layer) => path.startsWith(`test/${layer}/`)))
    .filter((path) => !existsSync(path.slice('test/'.length, path.lastIndexOf('/'))))
  expect(orphans).toEqual([])
})

test('no file or folder is named for nothing', () => {
  const vague = /\/(utils?|helpers?|common|misc|shared|core|base|manager|types)(\/|\.ts$)/
  expect([...sources, ...tests].filter((path) => vague.test(path))).toEqual([])
})

test('nothing is left unfinished in the sources', () => {
  const mark = /\bTODO\b|\bFIXME\b|\bXXX\b|not implemented/i
  expect(sources.filter((path) => mark.test(readFileSync(path, 'utf8')))).toEqual([])
})
