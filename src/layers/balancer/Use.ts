/**
 * `use` of the balancer, made of its other steps: `select` or `wait`, `begin`, and `end` however the work has ended.
 *
 * Owns what an end of any effect means for an endpoint, and when a trial that has none is passed by. An exchange of HTTP
 * knows more about its end, and so takes the steps itself.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Balancer, NoBackend, Overloaded } from "../../services/Balancer.ts"
import type { Endpoint } from "../../services/Load.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import type { Outcome } from "../../services/Outcome.ts"
import type { PickContext } from "../../services/Strategy.ts"

type Steps = Pick<Balancer["Service"], "select" | "wait" | "begin" | "bypass" | "end">

/**
 * A trial that goes on for so long, such as a stream, shows nothing and does not keep the backend from the work of
 * others: as long as for an answer over HTTP that has fallen silent.
 */
const patience = "15 seconds"

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  return Cause.hasInterruptsOnly(exit.cause) ? "aborted" : "failure"
}

/** An endpoint with a try begun on it. */
const acquire = (
  { begin, end, select, wait }: Steps,
  context: PickContext
): Effect.Effect<Endpoint, NoBackend | Overloaded> =>
  Effect.suspend(() => {
    const endpoint = select(context)
    if (endpoint !== undefined) {
      begin(endpoint)
      return Effect.succeed(endpoint)
    }
    let taken: Endpoint | undefined
    return wait(context, [], (endpoint) => begin(taken = endpoint)).pipe(
      Effect.interruptible,
      Effect.onError(() => Effect.sync(() => taken === undefined ? undefined : end(taken, "aborted", 0)))
    )
  })

/** `use`, timed by the clock. */
export const make = (steps: Steps, clock: Clock.Clock): Balancer["Service"]["use"] => (context, f) =>
  Effect.acquireUseRelease(
    Effect.map(acquire(steps, context), (endpoint) => ({ endpoint, startedAt: Monotonic.millisUnsafe(clock) })),
    ({ endpoint, startedAt }) => {
      if (!endpoint.load.isOnTrial) return f(endpoint)
      const bypass = Effect.sync(() => steps.bypass(endpoint, Monotonic.millisUnsafe(clock) - startedAt))
      return Effect.acquireUseRelease(
        Effect.forkChild(Effect.delay(bypass, patience)),
        () => f(endpoint),
        (fiber) => Fiber.interrupt(fiber)
      )
    },
    ({ endpoint, startedAt }, exit) =>
      Effect.sync(() => steps.end(endpoint, outcomeOf(exit), Monotonic.millisUnsafe(clock) - startedAt))
  )
