import { type Command, Option } from 'commander'
import { act } from './act.ts'
import { withCluster, withTopology } from './command-options.ts'

export function defineCluster(program: Command): void {
  const kafka = program.command('kafka').description('look at a Kafka cluster')
  withCluster(
    kafka
      .command('doctor [topology]')
      .description(
        'check brokers, tasks, topics, permissions, co-partitioning, registry and clock; say what to do',
      ),
  )
    .option('--json', 'print JSON, one value a line')
    .option('--registry <url>', 'Confluent-compatible schema registry to check too')
    .option('--no-probe', 'write nothing: leave out the topic of the moment, and with it the clock')
    .addHelpText(
      'after',
      '\nExample:\n  headwater kafka doctor ./topology.ts --kafka localhost:9092 --registry http://localhost:8081',
    )
    .action((topology: string | undefined, options) =>
      act(async () => (await import('../kafka-doctor-command.ts')).kafkaDoctorCommand(topology, options)),
    )

  withCluster(
    withTopology(
      program
        .command('migrate')
        .description('copy an embedded log into the topics of a Kafka cluster, offsets and times kept')
        .addOption(new Option('--to <log>', 'where to').choices(['kafka']).makeOptionMandatory()),
    ),
  )
    .option('--dry-run', 'only compare and say what would be copied')
    .addHelpText(
      'after',
      '\nIt may be interrupted and run again. The schemas go to the topic <application>-schemas, so run without --registry after it.\n\nExample:\n  headwater migrate --to kafka --data .headwater/movies --kafka localhost:9092',
    )
    .action((options) => act(async () => (await import('../migrate-command.ts')).migrateCommand(options)))
}
