import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as columnFeatures from '../../../processors/feature/features.ts'
import * as objectFeatures from '../../../processors/feature/object-features.ts'
import { listedAggregates, listedOf } from '../../support/aggregate-list.ts'
import { type LawTest, lawNames, lawTable, lawTableText } from '../../support/law-table.ts'

const names = listedAggregates.map(({ name }) => name)

describe('the list of aggregates', () => {
  it('has every aggregate that features can be made of, each once', () => {
    const exported = [...Object.keys(columnFeatures), ...Object.keys(objectFeatures)]
    expect([...names].sort()).toEqual(exported.sort())
  })

  it('has every aggregate of the folder of aggregates', () => {
    const folder = new URL('../../../processors/aggregate/', import.meta.url)
    const made = readdirSync(folder).flatMap((file) => {
      const text = readFileSync(new URL(file, folder), 'utf8')
      return [...text.matchAll(/^export function (\w+)\([^)]*\): (\w+)/gm)].flatMap(([, name, type]) =>
        type!.endsWith('Aggregate') || text.includes(`export type ${type} = ObjectAggregate<`) ? [name!] : [],
      )
    })
    // These make aggregates out of what they are given.
    const makers = new Set(['boundedList', 'objectAggregateOf'])
    expect(made.filter((name) => !makers.has(name) && !names.includes(name))).toEqual([])
    expect(made.length).toBeGreaterThan(30)
  })

  it('knows the variants of an aggregate by their names', () => {
    const variants = [
      'mean',
      'populationVariance',
      'populationStandardDeviation',
      'quantileByCategory',
      'median',
    ]
    expect(variants.map((name) => listedOf(name)?.name)).toEqual([
      'mean',
      'variance',
      'standardDeviation',
      'bucketBy',
      undefined,
    ])
  })
})

describe('the table of laws', () => {
  const titles = [
    'an initial state is the neutral element',
    'a fold is the merge of the folds of its parts, and merging is associative',
    'a state that was saved and restored goes on bit for bit, within its bound of bytes',
    'answers as the oracle does',
  ]
  const suite = 'aggregate quantile ddsketch(0.01,2048)'
  const passed = titles.map((title): LawTest => ({ suite, title, isPassed: true }))
  const rowOf = (tests: readonly LawTest[]) =>
    lawTable(tests).find(({ aggregate }) => aggregate === 'quantile')!

  it('tells what holds, what is not promised and what nothing tested', () => {
    expect(rowOf(passed)).toEqual({
      aggregate: 'quantile',
      laws: {
        neutral: 'holds',
        associative: 'holds',
        'fold = merge': 'holds',
        'any order': 'untested',
        invertible: 'not promised',
        'save/restore': 'holds',
        oracle: 'holds',
      },
      relativeError: 0.01,
    })
    expect(lawTable(passed).map(({ aggregate }) => aggregate)).toEqual(names)
    expect(lawNames.map((law) => lawTable(passed)[0]!.laws[law])).not.toContain('holds')
  })

  it('calls a law broken as soon as one of its tests fails', () => {
    const failed: LawTest = { suite: `${suite} with four bins`, title: titles[3]!, isPassed: false }
    expect(rowOf([...passed, failed]).laws.oracle).toBe('broken')
    expect(lawTableText(lawTable([...passed, failed]))).toMatch(
      /^quantile +yes +yes +yes +UNTESTED +- +yes +BROKEN +1\.0 %$/m,
    )
  })
})
