import { type Command, InvalidArgumentError } from 'commander'

export const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}, got "${text}"`)
    }
    return value
  }

export const offset = wholeNumber(0, Number.MAX_SAFE_INTEGER)

export const withData = (command: Command): Command =>
  command
    .requiredOption('--data <dir>', 'folder of the log and the state')
    .option('--json', 'print JSON, one value a line')

export const withTopology = (command: Command): Command =>
  withData(command).option(
    '--topology <module>',
    'module of the topology (default: the one that ran there last)',
  )

/** Commands that fold a log and write nothing: that of a folder, or of a cluster. */
export const withSource = (command: Command): Command =>
  command
    .option('--data <dir>', 'folder of the log and the state; with --kafka the one where the topology ran')
    .option('--kafka <brokers>', 'read the log of a Kafka cluster: host:port, several with commas')
    .option(
      '--kafka-config <file>',
      'JSON with the rest of the connection: ssl, sasl, topicPrefix, registry.auth',
    )
    .option(
      '--registry <url>',
      'Confluent-compatible schema registry (with --kafka; default: a topic of the application)',
    )
    .option('--topology <module>', 'module of the topology (default: the one that ran in --data last)')
    .option('--json', 'print JSON, one value a line')

/** Commands that go over the tasks of an application one after the other. */
export const withTask = (command: Command): Command =>
  command.option('--task <id>', 'only this task, as "shop-0-3", where the application runs as several')

/** What `--from` and `--to` take. */
export const placesHelp = `Places of the log are a time (2024-05-01, 2024-05-01T12:00:00Z, milliseconds), a record ("ratings[0]:500": where
the engine had read all of it before that offset) or a commit ("#1234": before its batch).`

export const withCluster = (command: Command): Command =>
  command
    .requiredOption('--kafka <brokers>', 'the Kafka cluster: host:port, several with commas')
    .option(
      '--kafka-config <file>',
      'JSON with the rest of the connection: ssl, sasl, topicPrefix, replicationFactor, registry.auth',
    )
