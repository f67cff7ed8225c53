import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueHeap } from '../../../processors/window/due-heap.ts'

test('a heap gives slots by the time at which they are due, however pushes and pops follow each other', () => {
  const times = fc.array(fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constant('pop' as const)), {
    maxLength: 200,
  })
  fc.assert(
    fc.property(times, (steps) => {
      const heap = new DueHeap()
      const dueOf: number[] = []
      let waiting: number[] = []
      for (const each of steps) {
        if (each !== 'pop') {
          heap.push(each, dueOf.length)
          waiting.push(dueOf.length)
          dueOf.push(each)
        } else if (waiting.length > 0) {
          const first = Math.min(...waiting.map((slot) => dueOf[slot]!))
          expect(heap.firstMs).toBe(first)
          const slot = heap.pop()
          expect(dueOf[slot]).toBe(first)
          expect(waiting).toContain(slot)
          waiting = waiting.filter((other) => other !== slot)
        }
      }
      if (waiting.length === 0) expect(heap.firstMs).toBe(Number.POSITIVE_INFINITY)
    }),
  )
})

test('a heap grows with what is pushed', () => {
  const heap = new DueHeap()
  for (let slot = 0; slot < 5_000; slot++) heap.push((slot * 7_919) % 5_000, slot)
  const times: number[] = []
  while (heap.firstMs < Number.POSITIVE_INFINITY) times.push((heap.pop() * 7_919) % 5_000)
  expect(times).toEqual(Array.from({ length: 5_000 }, (_, time) => time))
})
