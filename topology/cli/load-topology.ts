import { existsSync } from 'node:fs'
import { register } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Declaration } from '../../models/declaration.ts'
import type { FeatureView } from '../../processors/feature/feature-view.ts'
import { CliError } from './cli-error.ts'

/**
 * Loads the default export of a user's module, TypeScript or JavaScript.
 * `isFresh`: as it is now, and so what it imports of the user's, where it was
 * loaded before.
 */
export async function loadTopology(
  modulePath: string,
  { isFresh = false }: { readonly isFresh?: boolean } = {},
): Promise<Declaration> {
  const declaration = unwrapped((await loadModule(modulePath, isFresh))['default'])
  if (!isDeclaration(declaration)) {
    throw new CliError(
      `${modulePath} does not export a topology; end it with "export default topology('name', { … })"`,
    )
  }
  return declaration
}

/**
 * The feature views that a user's module exports, by themselves or in its
 * topology: `module.ts#view`, several with commas, or `module.ts` for all.
 */
export async function loadViews(place: string): Promise<readonly FeatureView[]> {
  const [modulePath = '', wanted] = place.split('#')
  const loaded = await loadModule(modulePath)
  const declaration = unwrapped(loaded['default'])
  const views = new Map<string, FeatureView>()
  for (const view of isDeclaration(declaration) ? declaration.views : []) views.set(view.name, view)
  for (const [name, value] of Object.entries(loaded)) {
    if (!isView(value)) continue
    views.set(value.name, value)
    if (wanted?.split(',').includes(name)) views.set(name, value)
  }
  const names = wanted?.split(',') ?? [...views.keys()]
  const unknown = names.find((name) => !views.has(name))
  if (unknown !== undefined || names.length === 0) {
    throw new CliError(
      `${modulePath} exports no feature view${unknown === undefined ? '' : ` "${unknown}"`}; it has ${[...views.keys()].join(', ') || 'none'}`,
    )
  }
  return [...new Set(names.map((name) => views.get(name)!))]
}

const isView = (value: unknown): value is FeatureView =>
  typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'feature-view'

let loads = 0

async function loadModule(modulePath: string, isFresh = false): Promise<Record<string, unknown>> {
  const path = resolve(modulePath)
  if (!existsSync(path)) {
    throw new CliError(
      `no topology module at ${path}; give the path of a .ts or .js file, or run "headwater init"`,
    )
  }
  if (/\.[cm]?ts$/.test(path)) await registerTypeScript()
  resolveToThisPackage()
  try {
    const { href } = pathToFileURL(path)
    const url = isFresh ? `${href}?headwater-load=${++loads}` : href
    return (await import(url)) as Record<string, unknown>
  } catch (error) {
    throw new CliError(`${modulePath} cannot be loaded: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

/** A module that was loaded as CommonJS hands its exports over inside a default of their own. */
function unwrapped(value: unknown): unknown {
  const isWrapper = typeof value === 'object' && value !== null && 'default' in value && !isDeclaration(value)
  return isWrapper ? (value as { default: unknown }).default : value
}

function isDeclaration(value: unknown): value is Declaration {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'topology'
}

let isResolved = false

/**
 * A module's `import … from 'headwater'` gives the very package that runs it,
 * wherever the module lies: in a folder without an installation, or beside
 * another version. TypeScript is read as an ES module also where the nearest
 * package.json does not say so: a topology has one syntax.
 */
function resolveToThisPackage(): void {
  if (isResolved) return
  isResolved = true
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const own = {
    root: new URL('../../', import.meta.url).href,
    names: {
      headwater: new URL(`../index.${extension}`, import.meta.url).href,
      'headwater/testing': new URL(`../testing/index.${extension}`, import.meta.url).href,
    },
  }
  register(`data:text/javascript,${encodeURIComponent(resolveHook)}`, { data: own })
}

/**
 * Runs in Node's loader thread, hence a text of its own. What a module that is
 * loaded afresh imports of the user's is loaded afresh too.
 */
const resolveHook = `
let own = { names: {} }
export function initialize(data) { own = data }
export async function resolve(specifier, context, next) {
  const found = await next(own.names[specifier] ?? specifier, context)
  if (found.url.includes('/node_modules/')) return found
  const isScript = found.format === 'commonjs' && /\\.ts($|\\?|%3F)/.test(found.url)
  // tsx marks a file that it takes for CommonJS.
  const file = isScript ? found.url.replace(/(\\?|%3F)tsx-commonjs.*$/, '') : found.url
  const load = /[?&](headwater-load=\\d+)/.exec(context.parentURL ?? '')?.[1]
  const isAfresh = load !== undefined && file.startsWith('file:') && !file.startsWith(own.root) && !file.includes(load)
  const url = isAfresh ? file + (file.includes('?') ? '&' : '?') + load : file
  return { ...found, url, format: isScript ? 'module' : found.format }
}`

let registered: Promise<void> | undefined

/** Node runs no TypeScript by itself on its older supported versions; tsx does on all of them. */
function registerTypeScript(): Promise<void> {
  registered ??= import('tsx/esm/api').then(({ register }) => {
    register()
  })
  return registered
}
