/** Runs the program as a process: signals in, exit code out. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"

const signals = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * tsx, and other wrappers like it, pass on a signal that the terminal has sent to the whole process group already,
 * unless the program is quick to tell them: what comes within this many milliseconds is the same signal again.
 * Nobody presses so fast.
 */
const echo = 200

const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return 0
  return Runtime.getErrorExitCode(Cause.squash(exit.cause))
}

/**
 * Runs an effect that says itself what goes wrong. The first SIGINT or SIGTERM interrupts it, and an end that was asked
 * for is a success: exit code 0. A second signal exits at once, with 128 and the signal's number.
 */
export const runMain = Runtime.makeRunMain(({ fiber }) => {
  let interruptedAt: number | undefined
  const handlers = Object.entries(signals).map(([signal, exitCode]) => {
    const handler = () => {
      if (interruptedAt === undefined) {
        interruptedAt = performance.now()
        fiber.interruptUnsafe(fiber.id)
      } else if (performance.now() - interruptedAt > echo) {
        process.exit(exitCode)
      }
    }
    process.on(signal, handler)
    return () => process.off(signal, handler)
  })
  fiber.addObserver((exit) => {
    for (const remove of handlers) remove()
    const exitCode = exitCodeOf(exit)
    // Without a signal, what is still being written to a pipe gets its time.
    if (interruptedAt !== undefined || exitCode !== 0) process.exit(exitCode)
  })
})
