/**
 * The architecture, as a test. Folders in import order: each may import the
 * ones before it and itself, never the ones after it.
 */
const layers = [
  'state/contracts',
  'state/log',
  'state/store',
  'state/commit',
  'processors',
  'models',
  'replay',
  'topology',
]

const upward = layers.slice(0, -1).map((layer, index) => ({
  name: `no-upward-from-${layer.replace('/', '-')}`,
  severity: 'error',
  from: { path: `^${layer}/` },
  to: { path: `^(${layers.slice(index + 1).join('|')})/` },
}))

/** Each outside library has one home; everything else goes through its port. */
const homes = {
  avsc: 'state/contracts',
  '@confluentinc/schemaregistry': 'state/contracts',
  kafkajs: 'state/log/kafka',
  rocksdb: 'state/store/rocksdb',
  usearch: 'models/retrieval',
  'onnxruntime-node': 'models/onnx',
  fastify: 'topology',
  'prom-client': 'topology',
  commander: 'topology/cli',
}

const onlyAtHome = Object.entries(homes).map(([library, home]) => ({
  name: `only-${home.replaceAll('/', '-')}-imports-${library.replace('/', '-')}`,
  severity: 'error',
  from: { pathNot: `^(${home}/|test/)` },
  to: { path: `(^|/)node_modules/${library}/|^${library}$` },
}))

const adapters = '/(kafka|embedded|rocksdb|confluent)/'
// What a replay throws away again needs no choice.
const scratch = '/memory/'

module.exports = {
  forbidden: [
    ...upward,
    ...onlyAtHome,
    {
      name: 'adapters-are-chosen-in-one-place',
      severity: 'error',
      from: {
        pathNot: [
          '^test/',
          '^topology/runtime/wire',
          '^topology/testing/',
          '^topology/cli/',
          adapters,
          scratch,
        ],
      },
      to: { path: `^(state|models)/.*${adapters}`, pathNot: ['node_modules'] },
    },
    {
      name: 'memory-is-for-tests-and-scratch',
      severity: 'error',
      from: {
        pathNot: ['^test/', '^topology/(runtime/wire|testing/|cli/)', '^replay/', adapters, scratch],
      },
      to: { path: `^(state|models)/.*${scratch}`, pathNot: ['node_modules'] },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'engine-never-imports-test',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'node-io-only-at-the-edges',
      severity: 'error',
      comment: 'Processors and learners read no disk, network or clock.',
      from: { path: '^(processors|models/(online|metrics|drift|statistics))/' },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node'],
    },
    doNotFollow: { path: 'node_modules' },
  },
}
