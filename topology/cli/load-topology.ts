import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Declaration } from '../../models/declaration.ts'
import { CliError } from './cli-error.ts'

/** Loads the default export of a user's module, TypeScript or JavaScript. */
export async function loadTopology(modulePath: string): Promise<Declaration> {
  const path = resolve(modulePath)
  if (!existsSync(path)) {
    throw new CliError(
      `no topology module at ${path}; give the path of a .ts or .js file, or run "headwater init"`,
    )
  }
  if (/\.[cm]?ts$/.test(path)) await registerTypeScript()
  let loaded: Record<string, unknown>
  try {
    loaded = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (error) {
    throw new CliError(`${modulePath} cannot be loaded: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  const declaration = unwrapped(loaded['default'])
  if (!isDeclaration(declaration)) {
    throw new CliError(
      `${modulePath} does not export a topology; end it with "export default topology('name', { … })"`,
    )
  }
  return declaration
}

/** A module that was loaded as CommonJS hands its exports over inside a default of their own. */
function unwrapped(value: unknown): unknown {
  const isWrapper = typeof value === 'object' && value !== null && 'default' in value && !isDeclaration(value)
  return isWrapper ? (value as { default: unknown }).default : value
}

function isDeclaration(value: unknown): value is Declaration {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'topology'
}

let registered: Promise<void> | undefined

/** Node runs no TypeScript by itself on its older supported versions; tsx does on all of them. */
function registerTypeScript(): Promise<void> {
  registered ??= import('tsx/esm/api').then(({ register }) => {
    register()
  })
  return registered
}
