import { expect, test } from 'vitest'
import { writerHeader } from '../../processors/partition-feed.ts'
import type { TaskRecord } from '../../processors/task-input.ts'
import { PartitionEnds } from '../../replay/partition-ends.ts'

const recordOf = (offset: number, writer?: string) =>
  ({
    offset,
    headers: [
      { name: 'other', value: Buffer.from('a') },
      ...(writer === undefined ? [] : [{ name: writerHeader, value: Buffer.from(writer) }]),
    ],
  }) as unknown as TaskRecord

test('a partition of one input was read up to its end, whoever wrote', () => {
  const ends = new PartitionEnds(new Map([['sale[1]', 5]]), 'sale', 1)
  expect(ends.last).toBe(5)
  expect([4, 5].map((offset) => ends.includes(recordOf(offset, 'a')))).toEqual([true, false])
})

test('a partition that is read by writer was read as far as each of them', () => {
  const all = new Map([
    ['sale[1]', 6],
    ['sale[1]@a', 9],
    ['sale[1]@b', 3],
    ['sale[12]@a', 99],
    ['sales[1]@a', 99],
  ])
  const ends = new PartitionEnds(all, 'sale', 1)
  expect(ends.last).toBe(9)
  const reached = (writer: string | undefined) =>
    Array.from({ length: 12 }, (_, offset) => offset).filter((offset) =>
      ends.includes(recordOf(offset, writer)),
    ).length
  expect([reached('a'), reached('b'), reached(undefined), reached('nobody known')]).toEqual([9, 3, 6, 6])
  expect(new PartitionEnds(all, 'sale', 2).last).toBe(0)
})
