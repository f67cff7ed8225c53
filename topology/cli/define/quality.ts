import type { Command } from 'commander'
import { act } from './act.ts'
import { placesHelp, wholeNumber, withSource } from './command-options.ts'

export function defineQuality(program: Command): void {
  const quality = program.command('quality').description('hold the data against what is declared of it')
  withSource(
    quality
      .command('report')
      .description('judge the whole log by the expectations of the topology: counts and worst windows'),
  )
    .option('--from <place>', 'count only windows from here on (default: all)')
    .option('--to <place>', 'and only those that end by then')
    .option('--worst <number>', 'failing windows told of each expectation', wholeNumber(0, 1000), 3)
    .addHelpText(
      'after',
      `
Works beside a running engine and writes nothing. Exit code 1 when an expectation is not met.
${placesHelp}
Windows are of event time: a record or a commit stands for its own.

Examples:
  headwater quality report --data .headwater/taxi
  headwater quality report --data .headwater/taxi --topology ./stricter.ts --json`,
    )
    .action((options) =>
      act(async () => (await import('../quality-command.ts')).qualityReportCommand(options)),
    )
}
