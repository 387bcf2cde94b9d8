/**
 * How a command ends when it cannot do its work: with words for the user and an exit code, never with a stack trace.
 */
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** Exit codes: 1 when the program cannot run or had to stop, 2 when it was told something wrong. */
export const exitCodes = { failed: 1, misused: 2 } as const

/** The end of a command that failed. Each line is printed after `error: `; there are none when all was said already. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  lines: Schema.Array(Schema.String),
  exitCode: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = this.exitCode
}
