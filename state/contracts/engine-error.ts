/**
 * What each failure carries, so that a handler never parses a message. A new
 * failure is one entry here and one row in the table below; a code cannot be
 * missing, repeated or paired with the wrong context.
 */
export interface ErrorContexts {
  'record-undecodable': { topic: string; reason: string }
  'contract-violation': { contract: string; field: string; found: string; expected: string }
  'contract-incompatible': { subject: string; mode: string; rule: string; field: string; detail: string }
  'schema-unknown': { id: number }
  'schema-invalid': { subject: string; reason: string }
  'subject-unknown': { subject: string }
  'registry-unavailable': { url: string; operation: string; detail: string }
  'registry-refused': { url: string; operation: string; status: number; detail: string }
  'topic-unknown': { topic: string; known: readonly string[] }
  'topic-mismatch': { topic: string; what: string; found: string; expected: string; advice?: string }
  'task-plan-changed': { app: string; found: number; expected: number }
  'task-unknown': { task: string; known: readonly string[] }
  'offset-out-of-range': { topic: string; partition: number; offset: bigint; start: bigint; end: bigint }
  'engine-stopping': Record<string, never>
  'port-in-use': { host: string; port: number }
  'address-unusable': { host: string; port: number; detail: string }
  'door-unguarded': { host: string }
  'request-repeated': { model: string; requestId: string }
  'feature-view-unknown': { view: string; known: readonly string[] }
  'feature-meaning-changed': {
    view: string
    version: number
    changes: readonly string[]
    raiseTo: number
  }
  'entity-key-mismatch': { view: string; found: number; expected: readonly string[] }
  'model-unknown': { model: string; known: readonly string[] }
  'event-unknown': { event: string; known: readonly string[] }
  'dead-letter-unknown': { number: number; count: number }
  'event-time-refused': { contract: string; field: string; at: number; latest: number }
  'off-policy-deterministic': { choices: number; certain: number; otherwise: number }
  'off-policy-unsupported': { effective: number; least: number; count: number }
  'prediction-unknown': { model: string; requestId: string }
  'table-unreadable': { path: string; found: string; expected: string }
  'table-unwritable': { path: string; operation: string; detail: string }
  'training-set-refused': { found: string; expected: string }
  'position-unknown': { position: string; found: string; expected: string }
  'prediction-failed': { model: string; requestId: string; detail: string }
  'record-failed': { topic: string; partition: number; offset: number; reason: string }
  'expectation-failed': {
    topic: string
    partition: number
    offset: number
    subject: string
    expectation: string
    detail: string
  }
  'record-too-large': { topic: string; sizeBytes: number; limitBytes: number }
  'log-damaged': { path: string; position: number; detail: string }
  'log-locked': { path: string; holder: string }
  'log-newer-format': { path: string; found: number; supported: number }
  'log-disk': { path: string; operation: string; detail: string }
  'log-closed': { path: string }
  'log-read-only': { path: string; operation: string }
  'writer-fenced': { writer: string }
  'writer-untrusted': { writer: string; detail: string }
  'kafka-unavailable': { operation: string; detail: string }
  'kafka-refused': { operation: string; detail: string }
  'migration-refused': { target: string; detail: string }
  'kafka-batch-unreadable': { topic: string; partition: number; offset: number; detail: string }
  'store-locked': { path: string; holder: string }
  'store-newer-format': { path: string; found: number; supported: number }
  'store-failed': { path: string; operation: string; detail: string }
  'swap-refused': { app: string; detail: string }
  'store-ahead': { store: string; at: string; log: string }
  'call-failed': {
    call: string
    topic: string
    partition: number
    offset: number
    attempts: number
    reason: string
  }
  'suppress-full': { operator: string; limit: number }
  'snapshot-unusable': { learner: string; reason: string }
}

const listed = (names: readonly string[]): string => (names.length > 0 ? names.join(', ') : 'none')

export type ErrorCode = keyof ErrorContexts

interface ErrorRow<Context> {
  /** True when the same call may succeed later without anyone changing anything. */
  readonly retriable: boolean
  /** What was found, what was expected and, where an operator must act, what to do. */
  readonly message: (context: Context) => string
}

const table: { readonly [Code in ErrorCode]: ErrorRow<ErrorContexts[Code]> } = {
  'record-undecodable': {
    retriable: false,
    message: ({ topic, reason }) => `a record of "${topic}" cannot be decoded: ${reason}`,
  },
  'contract-violation': {
    retriable: false,
    message: ({ contract, field, found, expected }) =>
      `${contract}: field "${field}" is ${found}, expected ${expected}`,
  },
  'contract-incompatible': {
    retriable: false,
    message: ({ subject, mode, rule, field, detail }) =>
      `${subject}: not ${mode} compatible; field "${field}" breaks the rule "${rule}": ${detail}`,
  },
  'schema-unknown': {
    retriable: true,
    message: ({ id }) => `schema id ${id} is not in the registry`,
  },
  'schema-invalid': {
    retriable: false,
    message: ({ subject, reason }) => `${subject}: not a valid Avro schema: ${reason}`,
  },
  'subject-unknown': {
    retriable: false,
    message: ({ subject }) => `subject "${subject}" has no registered schema`,
  },
  'registry-unavailable': {
    retriable: true,
    message: ({ url, operation, detail }) =>
      `the schema registry at ${url} does not answer while ${operation}: ${detail}; known schemas still work, start it for new ones`,
  },
  'registry-refused': {
    retriable: false,
    message: ({ url, operation, status, detail }) =>
      `the schema registry at ${url} refuses ${operation} with status ${status}: ${detail}; check the URL and the credentials`,
  },
  'topic-unknown': {
    retriable: false,
    message: ({ topic, known }) =>
      `topic "${topic}" does not exist; known topics: ${known.length > 0 ? known.join(', ') : 'none'}`,
  },
  'topic-mismatch': {
    retriable: false,
    message: ({ topic, what, found, expected, advice }) =>
      advice === undefined
        ? `topic "${topic}" has ${what} ${found}, the topology declares ${expected}; declare ${found}, or use another topic or data folder`
        : `topic "${topic}" has ${what} ${found}, wanted is ${expected}; ${advice}`,
  },
  'offset-out-of-range': {
    retriable: false,
    message: ({ topic, partition, offset, start, end }) =>
      `${topic}[${partition}] does not hold offset ${offset}; it holds ${start} up to, not including, ${end}`,
  },
  'engine-stopping': {
    retriable: true,
    message: () => 'the engine is stopping; ask again when it is back',
  },
  'port-in-use': {
    retriable: true,
    message: ({ host, port }) =>
      `port ${port} of ${host} is in use; stop what uses it, or choose another with --port (0 takes a free one)`,
  },
  'address-unusable': {
    retriable: false,
    message: ({ host, port, detail }) =>
      `cannot serve on port ${port} of ${host}: ${detail}; choose an address of this machine with --host and a port that you may use with --port`,
  },
  'door-unguarded': {
    retriable: false,
    message: ({ host }) =>
      `serving on ${host} lets other machines in; set a token that callers must send (--token, HEADWATER_TOKEN), or say --open to let anyone in`,
  },
  'request-repeated': {
    retriable: false,
    message: ({ model, requestId }) =>
      `model "${model}" is answering request "${requestId}" already; a request id names one request`,
  },
  'feature-view-unknown': {
    retriable: false,
    message: ({ view, known }) => `feature view "${view}" does not exist; known views: ${listed(known)}`,
  },
  'feature-meaning-changed': {
    retriable: false,
    message: ({ view, version, changes, raiseTo }) =>
      `version ${version} of feature view "${view}" is on the log with another meaning: ${changes.join('; ')}; declare it with version: ${raiseTo}, or, where nobody relies on the old one, start with --accept-feature-changes`,
  },
  'entity-key-mismatch': {
    retriable: false,
    message: ({ view, found, expected }) =>
      `view "${view}" takes a key of ${expected.length} (${expected.join(', ')}), got ${found}`,
  },
  'model-unknown': {
    retriable: false,
    message: ({ model, known }) => `model "${model}" does not exist; known models: ${listed(known)}`,
  },
  'event-unknown': {
    retriable: false,
    message: ({ event, known }) => `event "${event}" does not exist; known events: ${listed(known)}`,
  },
  'dead-letter-unknown': {
    retriable: false,
    message: ({ number, count }) =>
      `there is no dead letter ${number}; ${count === 0 ? 'there are none' : `they are numbered 0 to ${count - 1}`}`,
  },
  'event-time-refused': {
    retriable: false,
    message: ({ contract, field, at, latest }) =>
      `${contract}: event time "${field}" is ${at}, expected milliseconds from 0 to ${latest}; is it in another unit?`,
  },
  'off-policy-deterministic': {
    retriable: false,
    message: ({ choices, certain, otherwise }) =>
      choices === 0
        ? 'the log holds no choice with a label to estimate from; serve the model first, wait for labels, or widen the range'
        : `${certain} of the ${choices} logged choices were made with propensity 1, and the policy in question would do otherwise there with probability ${otherwise.toPrecision(3)}: such a log supports nothing but the policy that ran; declare "decide" of the model with "explore", as epsilonGreedy(0.05), serve with it, and estimate from what is logged then`,
  },
  'off-policy-unsupported': {
    retriable: false,
    message: ({ effective, least, count }) =>
      `the ${count} logged choices are worth ${effective.toFixed(1)} of the policy in question, at least ${least} are needed; log more exploration, or ask for a policy nearer to the one that ran`,
  },
  'table-unreadable': {
    retriable: false,
    message: ({ path, found, expected }) => `${path} cannot be read: ${found}; expected ${expected}`,
  },
  'table-unwritable': {
    retriable: false,
    message: ({ path, operation, detail }) =>
      `${path} could not be ${operation}: ${detail}; nothing is under that name that was not there before, make room or name another place and run it again`,
  },
  'position-unknown': {
    retriable: false,
    message: ({ position, found, expected }) =>
      `${position} is no position of this log: ${found}; ${expected}`,
  },
  'training-set-refused': {
    retriable: false,
    message: ({ found, expected }) => `no training set was written: ${found}; ${expected}`,
  },
  'prediction-unknown': {
    retriable: false,
    message: ({ model, requestId }) =>
      `the log holds no prediction of model "${model}" for request "${requestId}"; check the request id and the model`,
  },
  'prediction-failed': {
    retriable: false,
    message: ({ model, requestId, detail }) =>
      `model "${model}" gave no answer to request "${requestId}": ${detail}; the request is among the dead letters, mend the function and re-inject it`,
  },
  'task-plan-changed': {
    retriable: false,
    message: ({ app, found, expected }) =>
      `"${app}" began as ${found} tasks on this cluster, and its declaration now makes ${expected}; what it keeps and how far it has come are held by task. Run the changed declaration under another name, or keep its streams, views and partitions as they were`,
  },
  'task-unknown': {
    retriable: false,
    message: ({ task, known }) => `there is no task "${task}" on this log; there are: ${listed(known)}`,
  },
  'record-failed': {
    retriable: false,
    message: ({ topic, partition, offset, reason }) =>
      `processing stopped at ${topic}[${partition}] offset ${offset}: ${reason}; mend what it names and start again, nothing before it is lost`,
  },
  'expectation-failed': {
    retriable: false,
    message: ({ topic, partition, offset, subject, expectation, detail }) =>
      `processing stopped at ${topic}[${partition}] offset ${offset}: expectation "${expectation}" of ${subject} is not met: ${detail}; mend the source, or declare quarantine or warn and start again, nothing before it is lost`,
  },
  'record-too-large': {
    retriable: false,
    message: ({ topic, sizeBytes, limitBytes }) =>
      `a record for "${topic}" has ${sizeBytes} bytes, the limit is ${limitBytes}; split it or raise maxRecordBytes`,
  },
  'log-damaged': {
    retriable: false,
    message: ({ path, position, detail }) =>
      `${path} is damaged at byte ${position}: ${detail}; restore the file from a copy, nothing after it was read`,
  },
  'log-locked': {
    retriable: true,
    message: ({ path, holder }) =>
      `the log at ${path} is open in ${holder}; stop that process or choose another data folder`,
  },
  'log-newer-format': {
    retriable: false,
    message: ({ path, found, supported }) =>
      `${path} has format ${found}, this version reads up to ${supported}; use a newer headwater`,
  },
  'log-disk': {
    retriable: true,
    message: ({ path, operation, detail }) =>
      `${operation} on ${path} failed: ${detail}; free space or mend the disk, nothing acknowledged was lost`,
  },
  'log-read-only': {
    retriable: false,
    message: ({ path, operation }) => `the log at ${path} is open to read only, it cannot ${operation}`,
  },
  'log-closed': { retriable: false, message: ({ path }) => `the log at ${path} is closed` },
  'writer-fenced': {
    retriable: false,
    message: ({ writer }) =>
      `writer "${writer}" was ended by a newer writer of the same id; stop using this one`,
  },
  'writer-untrusted': {
    retriable: false,
    message: ({ writer, detail }) =>
      `Kafka did not say whether the last commit of writer "${writer}" is on the log: ${detail}; open a new writer of the same id, which settles it, and go on from the positions on the log`,
  },
  'kafka-unavailable': {
    retriable: true,
    message: ({ operation, detail }) =>
      `Kafka does not answer while ${operation}: ${detail}; check the brokers, nothing was written by this call`,
  },
  'kafka-refused': {
    retriable: false,
    message: ({ operation, detail }) =>
      `Kafka refuses ${operation}: ${detail}; check the credentials, the access rights and the topic's settings`,
  },
  'migration-refused': {
    retriable: false,
    message: ({ target, detail }) =>
      `cannot migrate into ${target}: ${detail}; take another topicPrefix in --kafka-config, or delete those topics and migrate again`,
  },
  'kafka-batch-unreadable': {
    retriable: false,
    message: ({ topic, partition, offset, detail }) =>
      `${topic}[${partition}] cannot be read at offset ${offset}: ${detail}`,
  },
  'store-locked': {
    retriable: true,
    message: ({ path, holder }) =>
      `the state store at ${path} is open in ${holder}; stop that process or choose another data folder`,
  },
  'store-newer-format': {
    retriable: false,
    message: ({ path, found, supported }) =>
      `the state store at ${path} has format ${found}, this version reads ${supported}; use the version that wrote it, or remove the folder: the state is folded again from the log`,
  },
  'store-failed': {
    retriable: false,
    message: ({ path, operation, detail }) =>
      `${operation} on the state store at ${path} failed: ${detail}; mend the cause and start again, the state is rolled forward from the log`,
  },
  'swap-refused': {
    retriable: false,
    message: ({ app, detail }) => `the running "${app}" is not swapped: ${detail}`,
  },
  'store-ahead': {
    retriable: false,
    message: ({ store, at, log }) =>
      `store "${store}" stands at ${at}, past the log's end ${log}; it belongs to another log: run replay rebuild`,
  },
  'call-failed': {
    retriable: true,
    message: ({ call, topic, partition, offset, attempts, reason }) =>
      `call "${call}" failed ${attempts} times for ${topic}[${partition}] from offset ${offset}: ${reason}; start again when what it asks answers, nothing is lost, or declare another onFailure`,
  },
  'suppress-full': {
    retriable: false,
    message: ({ operator, limit }) =>
      `"${operator}" holds ${limit} results back and got one more; raise maxRecords, shorten the windows or their grace, or emit on close instead`,
  },
  'snapshot-unusable': {
    retriable: false,
    message: ({ learner, reason }) =>
      `the state given to the learner ${learner} cannot be used: ${reason}; use a snapshot of the same learner with the same parameters`,
  },
}

/** An operating error with a stable code. Programmer mistakes are RangeError or TypeError instead. */
export class EngineError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'EngineError'
  readonly code: Code
  readonly context: ErrorContexts[Code]

  constructor(code: Code, context: ErrorContexts[Code], options?: { cause: unknown }) {
    super(table[code].message(context), options)
    this.code = code
    this.context = context
  }

  get retriable(): boolean {
    return table[this.code].retriable
  }
}

export const isEngineError = <Code extends ErrorCode>(
  error: unknown,
  code: Code,
): error is EngineError<Code> => error instanceof EngineError && error.code === code
