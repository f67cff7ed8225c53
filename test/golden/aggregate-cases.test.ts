import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { onlineLearningCases, runOnlineLearningCase } from './online-learning-cases.ts'

const dataFolder = fileURLToPath(new URL('./online-learning', import.meta.url))
const cases = onlineLearningCases(dataFolder).filter(({ family }) => family === 'stat')

describe('expected results of running statistics', () => {
  test('there are fourteen, and only the quantiles of P-square do not apply', () => {
    expect(cases).toHaveLength(14)
    const results = cases.map((each) => [each.title, runOnlineLearningCase(each, dataFolder).status])
    expect(results.filter(([, status]) => status === 'not-applicable')).toEqual(
      Array.from({ length: 3 }, () => ['Quantile(P2)', 'not-applicable']),
    )
  })

  for (const goldenCase of cases.filter(({ title }) => title !== 'Quantile(P2)')) {
    test(`${goldenCase.id} ${goldenCase.title} is met value by value`, () => {
      expect(runOnlineLearningCase(goldenCase, dataFolder)).toMatchObject({ status: 'passed', reason: '' })
    })
    test(`${goldenCase.id} ${goldenCase.title} is met by states merged one by one`, () => {
      expect(runOnlineLearningCase(goldenCase, dataFolder, { restart: true })).toMatchObject({
        status: 'passed',
        reason: '',
      })
    })
  }
})
