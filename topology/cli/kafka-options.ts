import { readFileSync } from 'node:fs'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { CliError } from './cli-error.ts'

/** What `--kafka`, `--kafka-config` and `--registry` say. */
export interface ClusterOptions {
  readonly kafka: string
  readonly kafkaConfig?: string
  readonly registry?: string
}

export function wiringOf({ kafka, kafkaConfig, registry }: ClusterOptions): KafkaWiring {
  const config = kafkaConfig === undefined ? {} : readConfig(kafkaConfig)
  return {
    ...config,
    brokers: kafka.split(','),
    ...(registry === undefined ? {} : { registry: { ...config.registry, urls: registry.split(',') } }),
  }
}

/** The rest of the connection, as JSON: `{"ssl": true, "sasl": {…}, "registry": {"auth": {…}}}`. */
function readConfig(path: string): Partial<KafkaWiring> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Partial<KafkaWiring>
  } catch (error) {
    throw new CliError(`${path} is not a JSON file: ${error instanceof Error ? error.message : error}`)
  }
}
