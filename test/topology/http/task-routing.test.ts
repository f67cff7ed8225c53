import { describe, expect, test } from 'vitest'
import type { Declaration } from '../../../models/declaration.ts'
import { mergedMetrics, taskOfPath } from '../../../topology/http/task-routing.ts'

const part = (models: readonly string[], views: readonly string[]) =>
  ({
    models: models.map((name) => ({ name })),
    views: views.map((name) => ({ name })),
  }) as never as Declaration

const parts = new Map([
  ['app-0-0', part([], ['user'])],
  ['app-0-1', part([], ['user'])],
  ['app-1-0', part(['likes it'], ['item'])],
])
const taskOfEntity = (view: string, [id = '']: readonly string[]) => {
  if (view !== 'user') return undefined
  if (Number.isNaN(Number(id))) throw new RangeError(`"${id}" is no int`)
  return `app-0-${Number(id) % 2}`
}
const instance = { parts, taskOfEntity }

describe('a request', () => {
  test.each([
    ['/v1/features/user/3', 'app-0-1'],
    ['/v1/features/user/4', 'app-0-0'],
    ['/v1/features/item/4', 'app-1-0'],
    ['/v1/models/likes%20it/predict', 'app-1-0'],
    // Whoever answers says what is wrong.
    ['/v1/features/user/x', 'app-0-0'],
    ['/v1/features/%E0%A4%A/1', undefined],
    ['/v1/features/nothing/1', undefined],
    ['/v1/models/nothing/predict', undefined],
    ['/v1/events/click', undefined],
    ['/v1/topics', undefined],
    ['/metrics', undefined],
  ])('for %s is for %s', (path, task) => {
    expect(taskOfPath(path, instance)).toBe(task)
  })

  test('of an application of one task is for that', () => {
    const one = { parts: new Map([['app-0', part([], [])]]), taskOfEntity }
    expect(taskOfPath('/v1/topics', one)).toBe('app-0')
  })
})

test('figures of several tasks are one text: each with its task, those of the process once', () => {
  const text = (lag: number) =>
    [
      '# HELP lag_records What is left.',
      '# TYPE lag_records gauge',
      `lag_records{topic="a"} ${lag}`,
      '',
      '# HELP commits_total Commits.',
      '# TYPE commits_total counter',
      `commits_total ${lag + 1}`,
      '',
      '# HELP process_cpu_seconds_total Of the process.',
      '# TYPE process_cpu_seconds_total counter',
      'process_cpu_seconds_total 7',
      '',
    ].join('\n')
  const merged = mergedMetrics(
    new Map([
      ['one', text(1)],
      ['two', text(2)],
    ]),
  )
  expect(merged.split('\n').filter((line) => line !== '')).toEqual([
    '# HELP lag_records What is left.',
    '# TYPE lag_records gauge',
    'lag_records{task="one",topic="a"} 1',
    'lag_records{task="two",topic="a"} 2',
    '# HELP commits_total Commits.',
    '# TYPE commits_total counter',
    'commits_total{task="one"} 2',
    'commits_total{task="two"} 3',
    '# HELP process_cpu_seconds_total Of the process.',
    '# TYPE process_cpu_seconds_total counter',
    'process_cpu_seconds_total 7',
  ])
})
