import type { Instance } from '../cluster/instance.ts'

/**
 * The task that a request is for; undefined: any can answer it. Paths are
 * `/v1/models/:model/…` and `/v1/features/:view/:key…`.
 */
export function taskOfPath(
  path: string,
  instance: Pick<Instance, 'parts' | 'taskOfEntity'>,
): string | undefined {
  const { parts } = instance
  const [first = ''] = parts.keys()
  if (parts.size === 1) return first
  const [, version, kind, encodedName = '', ...rest] = path.split('/')
  if (version !== 'v1' || rest.length === 0) return undefined
  const name = decoded(encodedName)
  if (kind === 'models')
    return [...parts].find(([, part]) => part.models.some((each) => each.name === name))?.[0]
  if (kind !== 'features') return undefined
  return entityTask() ?? [...parts].find(([, part]) => part.views.some((each) => each.name === name))?.[0]

  function entityTask(): string | undefined {
    try {
      return instance.taskOfEntity(name, rest.map(decoded))
    } catch (error) {
      // Whoever answers says what is wrong with the key.
      if (error instanceof RangeError) return undefined
      throw error
    }
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Figures that are the process's own, whatever its tasks. */
const ofProcess = /^(process|nodejs)_/

/**
 * The figures of several tasks in one text of Prometheus's format: each
 * sample has the label `task`, those of the process come once.
 */
export function mergedMetrics(texts: ReadonlyMap<string, string>): string {
  const families = new Map<string, { readonly head: string[]; readonly samples: string[] }>()
  const familyOf = (name: string) => {
    const known = families.get(name) ?? { head: [], samples: [] }
    families.set(name, known)
    return known
  }
  const [first] = texts.keys()
  for (const [task, text] of texts) {
    let name = ''
    for (const line of text.split('\n')) {
      if (line === '') continue
      const head = /^# (?:HELP|TYPE) (\S+)/.exec(line)
      if (head !== null) {
        name = head[1]!
        const { head: lines } = familyOf(name)
        if (!lines.includes(line)) lines.push(line)
      } else if (!ofProcess.test(name)) {
        familyOf(name).samples.push(withTask(line, task))
      } else if (task === first) {
        familyOf(name).samples.push(line)
      }
    }
  }
  return [...families.values()].map(({ head, samples }) => [...head, ...samples].join('\n')).join('\n\n')
}

function withTask(sample: string, task: string): string {
  const end = /^[A-Za-z_:][A-Za-z0-9_:]*/.exec(sample)![0].length
  const label = `task="${task}"`
  return sample[end] === '{'
    ? `${sample.slice(0, end)}{${label},${sample.slice(end + 1)}`
    : `${sample.slice(0, end)}{${label}}${sample.slice(end)}`
}
