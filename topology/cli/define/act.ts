import { EngineError } from '../../../state/contracts/engine-error.ts'
import { CliError } from '../cli-error.ts'

/*
 * Exit codes: 0 done; 1 the answer is no (a mismatch, damage found, nothing
 * there); 2 the command was used wrongly or cannot be done; 3 an engine error.
 */

export async function act(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command()
  } catch (error) {
    process.exitCode = error instanceof EngineError ? 3 : 2
    if (error instanceof EngineError) process.stderr.write(`headwater: ${error.message} [${error.code}]\n`)
    else if (error instanceof CliError || error instanceof RangeError) {
      process.stderr.write(`headwater: ${error.message}\n`)
    } else throw error
  }
}
