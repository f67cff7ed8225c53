import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { onlineLearningCases, runOnlineLearningCase } from './online-learning-cases.ts'

const dataFolder = fileURLToPath(new URL('./online-learning', import.meta.url))

describe('expected off-policy values', () => {
  const cases = onlineLearningCases(dataFolder).filter(
    ({ family, body }) => family === 'ope' && (body['input'] as { campaign?: string }).campaign !== undefined,
  )
  test('are there', () => expect(cases).toHaveLength(5))
  for (const goldenCase of cases) {
    test(`${goldenCase.id} is met`, () => {
      expect(runOnlineLearningCase(goldenCase, dataFolder)).toMatchObject({ status: 'passed', reason: '' })
    })
  }
})
