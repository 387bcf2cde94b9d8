/** How a codec of the configuration says what is wrong with a value, beyond that it is not what was expected. */
import * as Effect from "effect/Effect"
import * as SchemaIssue from "effect/SchemaIssue"

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
