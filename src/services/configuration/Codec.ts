/**
 * How a codec of the configuration is made, and how it says what is wrong beyond that a value is not what was expected.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** What is wrong with a value. */
export interface Complaint {
  /** In place of what was expected in general. */
  readonly message?: string
  /** What was probably meant. */
  readonly suggestion?: string
}

/** Fails with it. */
export const invalid = (complaint: Complaint = {}): Effect.Effect<never, SchemaIssue.Issue> =>
  Effect.fail(new SchemaIssue.InvalidValue({ ...complaint }))

/** As flags and files have them: a number, or the same in digits, with a unit perhaps. */
export const NumberOrText = Schema.Union([Schema.Finite, Schema.String])

/** A value that is written in a notation of its own, which `read` understands and `write` chooses one of. */
export const notation = <Written, Input, Value, Decoded>(
  written: Schema.Codec<Written, Input>,
  value: Schema.Codec<Value, Decoded>,
  { read, write }: {
    readonly read: (written: Written) => Effect.Effect<Decoded, SchemaIssue.Issue>
    readonly write: (value: Decoded) => Written
  }
): Schema.Codec<Value, Input> =>
  written.pipe(
    Schema.decodeTo(
      value,
      SchemaTransformation.transformEffect({ decode: read, encode: (value) => Effect.succeed(write(value)) })
    )
  )
