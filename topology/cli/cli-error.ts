/** A mistake in how a command was used, or something that a command cannot do: told in one line, exit code 2. */
export class CliError extends Error {
  override readonly name = 'CliError'
}
