#!/usr/bin/env node
import { Command } from 'commander'
import { act } from './define/act.ts'
import { defineCluster } from './define/cluster.ts'
import { defineFeatures } from './define/features.ts'
import { defineLog } from './define/log.ts'
import { defineQuality } from './define/quality.ts'
import { defineReplay } from './define/replay.ts'
import { defineRun } from './define/run.ts'

/*
 * What a command does is loaded when it is asked for: a restart need not read
 * the code of all others first.
 */

const program = new Command('headwater')
  // Commander's own exit code of a wrong option is 1, which here is an answer; subcommands inherit this.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .description('A stream-processing-first, event-sourced engine for machine learning.')
  .version('0.1.0')
  .showHelpAfterError('(see --help)')
  .enablePositionalOptions()
  .configureHelp({ sortSubcommands: false })

defineRun(program)
defineLog(program)
defineFeatures(program)
defineReplay(program)
defineQuality(program)
defineCluster(program)

program
  .command('init [folder]')
  .description('write a starter: a topology of forty lines, ready to run')
  .option('--javascript', 'plain JavaScript instead of TypeScript')
  .action((folder: string | undefined, options) =>
    act(async () => (await import('./init-command.ts')).initCommand(folder ?? '.', options)),
  )

// A reader that goes away (| head) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

await program.parseAsync()
