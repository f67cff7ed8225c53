import type { Declaration } from '../models/declaration.ts'
import type { InputChoice } from './assembly.ts'
import { isByPartition } from './task-plan.ts'

/**
 * How a fold of views alone is parted: what a view keeps of one event it
 * keeps apart from what it keeps of another, and where the event's key says
 * which entity it is about, what it keeps of one partition is apart from the
 * others. Each part reads inputs that no other one reads, and no key of the
 * state is in two of them. As many as there are inputs of that kind, at most.
 */
export function inputParts(declaration: Declaration, most: number): readonly InputChoice[] {
  const { views } = declaration
  const events = declaration.events.filter((event) => views.some(({ sources }) => sources.includes(event)))
  const units = events.flatMap((event) => {
    const partitions = event.partitions ?? declaration.partitions
    const all = Array.from({ length: partitions }, (_, partition) => inputName(event.topic, partition))
    const isApart = views.every((view) => !view.sources.includes(event) || isByPartition(view, event))
    return isApart ? all.map((input) => [input]) : [all]
  })
  const parts = Array.from({ length: Math.max(1, Math.min(most, units.length)) }, () => new Set<string>())
  // The largest first, each to the part that has least.
  for (const unit of [...units].sort((left, right) => right.length - left.length)) {
    const least = parts.reduce((found, part) => (part.size < found.size ? part : found))
    for (const input of unit) least.add(input)
  }
  return parts.map((part) => (topic, partition) => part.has(inputName(topic, partition)))
}

const inputName = (topic: string, partition: number): string => `${topic}[${partition}]`
