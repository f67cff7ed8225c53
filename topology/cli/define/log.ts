import type { Command } from 'commander'
import { act } from './act.ts'
import { offset, wholeNumber, withData, withTopology } from './command-options.ts'

export function defineLog(program: Command): void {
  const log = program.command('log').description('look at the log, append to it, check it')
  withData(log.command('topics').description('topics with partitions, records and offsets')).action(
    (options) => act(async () => (await import('../log-command.ts')).topicsCommand(options)),
  )
  withData(log.command('read <topic>').description('print records, decoded'))
    .option('--partition <number>', 'only this partition', wholeNumber(0, 1_000_000))
    .option('--from <offset>', 'first offset (default: the oldest)', offset)
    .option('--limit <number>', 'at most this many records', offset, 20)
    .addHelpText(
      'after',
      '\nExample:\n  headwater log read movies-predictions --data .headwater/movies --limit 3',
    )
    .action((topic: string, options) =>
      act(async () => (await import('../log-command.ts')).readCommand(topic, options)),
    )
  withTopology(
    log
      .command('append <event> [file]')
      .description('append events, one JSON a line, from a file or the standard input'),
  ).action((event: string, file: string | undefined, options) =>
    act(async () => (await import('../log-command.ts')).appendCommand(event, file, options)),
  )
  withData(log.command('follow <topic>').description('print records as they come, until ^C')).action(
    (topic: string, options) =>
      act(async () => (await import('../log-command.ts')).followCommand(topic, options)),
  )
  withData(log.command('verify').description('read every byte of the log and check it')).action((options) =>
    act(async () => (await import('../log-command.ts')).verifyCommand(options)),
  )
  const deadLetters = log.command('dead-letters').description('records that were refused')
  withData(deadLetters.command('list').description('refused records with the reason'))
    .option('--limit <number>', 'at most this many', offset, 20)
    .action((options) =>
      act(async () => (await import('../dead-letters-command.ts')).deadLettersListCommand(options)),
    )
  withData(deadLetters.command('explain <number>').description('everything about one of them')).action(
    (number: string, options) =>
      act(async () =>
        (await import('../dead-letters-command.ts')).deadLettersExplainCommand(offset(number), options),
      ),
  )
  withTopology(
    deadLetters.command('reinject <number>').description('append its original bytes to its topic again'),
  ).action((number: string, options) =>
    act(async () =>
      (await import('../dead-letters-command.ts')).deadLettersReinjectCommand(offset(number), options),
    ),
  )
}
