/**
 * An Avro schema as parsed JSON (Apache Avro 1.12 specification, "Schema
 * Declaration"). One attribute is ours: `jsType: 'bigint'` on a long says that
 * the value is a bigint in TypeScript; other implementations ignore it.
 */
export type AvroSchema = string | AvroTypeObject | readonly AvroSchema[]

export interface AvroTypeObject {
  readonly type: AvroSchema
  readonly name?: string
  readonly namespace?: string
  readonly doc?: string
  readonly aliases?: readonly string[]
  readonly fields?: readonly AvroField[]
  readonly symbols?: readonly string[]
  /** Of an enum: the symbol read in place of one that the reader does not know. */
  readonly default?: unknown
  readonly items?: AvroSchema
  readonly values?: AvroSchema
  readonly size?: number
  readonly logicalType?: string
  readonly precision?: number
  readonly scale?: number
  readonly jsType?: 'bigint'
}

export interface AvroField {
  readonly name: string
  readonly type: AvroSchema
  readonly doc?: string
  readonly default?: unknown
  readonly aliases?: readonly string[]
}
