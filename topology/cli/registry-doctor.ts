import type { Declaration } from '../../models/declaration.ts'
import { keySubject, valueSubject } from '../../state/contracts/codec.ts'
import type { Contract } from '../../state/contracts/contract.ts'
import { engineContracts } from '../../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../../state/contracts/schema-registry.ts'
import { type Finding, ok } from './finding.ts'

/** Whether the registry answers, and takes the schemas that the declaration would register. */
export async function* examineRegistry(
  registry: SchemaRegistry,
  declaration: Declaration | undefined,
): AsyncGenerator<Finding> {
  let known: ReadonlySet<string>
  try {
    known = new Set(await registry.subjects())
    yield ok('registry', `it answers and holds ${known.size} subjects`)
  } catch (error) {
    yield {
      area: 'registry',
      status: 'failed',
      found: (error as Error).message,
      advice: 'check --registry and registry.auth in --kafka-config, and that it runs',
    }
    return
  }
  if (declaration === undefined) return
  let fits = 0
  let unknown = 0
  for (const { subject, schema } of schemasOf(declaration)) {
    if (!known.has(subject)) {
      unknown++
      continue
    }
    try {
      const problems = await registry.checkCompatibility(subject, schema)
      if (problems.length === 0) fits++
      for (const { field, rule, detail } of problems) {
        yield {
          area: 'registry',
          status: 'failed',
          found: `the schema of "${subject}" is refused: field "${field}" breaks the rule "${rule}": ${detail}`,
          advice:
            'change the event so that old and new readers understand each other, or write it to a new topic',
        }
      }
    } catch (error) {
      yield {
        area: 'registry',
        status: 'failed',
        found: `subject "${subject}" could not be checked: ${(error as Error).message}`,
        advice: 'grant this user read access to the subject',
      }
    }
  }
  yield ok(
    'registry',
    `${fits} subjects take the declared schemas, ${unknown} are registered at the first start`,
  )
}

function* schemasOf(
  declaration: Declaration,
): Generator<{ readonly subject: string; readonly schema: Contract['schema'] }> {
  const engine: readonly Contract[] = Object.values(engineContracts(declaration.name))
  for (const { topic, schema, keySchema, keyFormat } of [...declaration.events, ...engine]) {
    yield { subject: valueSubject(topic), schema }
    if (keyFormat !== 'utf8') yield { subject: keySubject(topic), schema: keySchema }
  }
}
