import { fileURLToPath } from 'node:url'
import { type Command, Option } from 'commander'
import { act } from './act.ts'
import { wholeNumber } from './command-options.ts'

export function defineRun(program: Command): void {
  const withRunOptions = (command: Command): Command =>
    command
      .option('--data <dir>', 'folder of the log and the state (default: .headwater/<topology name>)')
      .option(
        '--accept-feature-changes',
        'start although a feature view means something else than its version did (default: refuse)',
      )
      .option(
        '--once',
        'end when everything is processed, instead of serving (with --kafka: all tasks in this process, and no other)',
      )
      .option('--json', 'print one JSON line instead of tables and progress')
      .option('--host <address>', 'address to serve on', '127.0.0.1')
      .option('--port <number>', 'port to serve on, 0 for any free one', wholeNumber(0, 65_535), 7070)
      .addOption(new Option('--token <text>', 'bearer token that callers must send').env('HEADWATER_TOKEN'))
      .option('--kafka <brokers>', 'keep the log on a Kafka cluster: host:port, several with commas')
      .option(
        '--kafka-config <file>',
        'JSON with the rest of the connection: ssl, sasl, topicPrefix, replicationFactor, registry.auth',
      )
      .option(
        '--registry <url>',
        'Confluent-compatible schema registry (with --kafka; default: a topic of the application)',
      )
      .option('--open', 'serve on an address other than loopback without a token')
      .option(
        '--instance-id <id>',
        'name of this process among those that run the same topology (with --kafka; default: kept in the data folder)',
      )
      .option(
        '--advertise <url>',
        'where the other processes reach this one (with --kafka; default: the address it serves on)',
      )
      .option(
        '--standbys <number>',
        'other processes that keep the state up to date to take over (with --kafka; default: 1)',
        wholeNumber(0, 100),
      )
      .option(
        '--session-timeout <ms>',
        'a process that is silent for so long is taken for dead (with --kafka; default: 10000)',
        wholeNumber(1_000, 300_000),
      )

  withRunOptions(
    program.command('run <topology>').description('run the topology that a module exports, in this process'),
  )
    .addHelpText(
      'after',
      `
Examples:
  headwater run ./topology.ts
  headwater run ./topology.ts --data /var/lib/shop --port 8080
  headwater run ./topology.ts --once --json
  headwater run ./topology.ts --kafka localhost:9092 --registry http://localhost:8081

Two processes that take over from each other, each with its own data folder:
  headwater run ./topology.ts --kafka localhost:9092 --data ./one --port 7070
  headwater run ./topology.ts --kafka localhost:9092 --data ./two --port 7071
  curl localhost:7071/v1/instance`,
    )
    .action((module: string, options) =>
      act(async () => (await import('../run-command.ts')).runCommand(module, options)),
    )

  withRunOptions(
    program
      .command('start')
      .description('run the MovieLens example: 100,836 ratings, judged and learned live'),
  ).action((options) =>
    act(async () => {
      const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
      const example = new URL(`../../examples/movies/topology.${extension}`, import.meta.url)
      return (await import('../run-command.ts')).runCommand(fileURLToPath(example), options)
    }),
  )
}
