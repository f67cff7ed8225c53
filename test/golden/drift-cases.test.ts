import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { onlineLearningCases, runOnlineLearningCase } from './online-learning-cases.ts'

const dataFolder = fileURLToPath(new URL('./online-learning', import.meta.url))
const cases = onlineLearningCases(dataFolder)

describe('expected results of drift detectors', () => {
  for (const goldenCase of cases.filter(({ family }) => family === 'drift')) {
    test(`${goldenCase.id} ${goldenCase.title} are met`, () => {
      expect(runOnlineLearningCase(goldenCase, dataFolder)).toMatchObject({ status: 'passed', reason: '' })
    })
    test(`${goldenCase.id} ${goldenCase.title} are met by a detector that is stopped and restored on the way`, () => {
      const result = runOnlineLearningCase(goldenCase, dataFolder, { restart: true })
      expect(result).toMatchObject({ status: 'passed', reason: '' })
    })
  }
})

describe('expected results of drift statistics', () => {
  for (const goldenCase of cases.filter(({ family }) => family === 'drift_stat')) {
    test(`${goldenCase.id} ${goldenCase.title} is met`, () => {
      expect(runOnlineLearningCase(goldenCase, dataFolder)).toMatchObject({ status: 'passed', reason: '' })
    })
  }
})
