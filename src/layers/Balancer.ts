/**
 * How the balancer balances: counts what is in flight, tells those who want to know, and has a line for those who wait.
 * Whom it chooses is in `balancer/Selection`, which limits there are in `balancer/Limits`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Balancer, checked, defaultOptions, NoBackend, type Options, Overloaded } from "../services/Balancer.ts"
import { Ejection } from "../services/Ejection.ts"
import * as Load from "../services/Load.ts"
import * as Occasionally from "../services/Occasionally.ts"
import type { Outcome } from "../services/Outcome.ts"
import { memberOf, Pool } from "../services/Pool.ts"
import { type PickContext, Strategy } from "../services/Strategy.ts"
import { Idle } from "./balancer/Idle.ts"
import { Limits } from "./balancer/Limits.ts"
import { PoolView } from "./balancer/PoolView.ts"
import { hasRoom, Selection } from "./balancer/Selection.ts"
import { type Waiter, WaitingLine } from "./balancer/WaitingLine.ts"

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  return Cause.hasInterruptsOnly(exit.cause) ? "aborted" : "failure"
}

/** Milliseconds between two lines about the same bug. */
const reportEvery = 10_000

const overloaded = Effect.fail(Overloaded.make({}))

const noBackend = Effect.fail(NoBackend.make({}))

/** Balances over the pool with the strategy. */
export const layer = (
  given: Options = defaultOptions
): Layer.Layer<Balancer, never, Ejection | Pool | Strategy> => {
  const options = checked(given)
  return Layer.effect(
    Balancer,
    Effect.gen(function*() {
      const pool = yield* Pool
      const ejection = yield* Ejection
      const clock = yield* Clock.Clock
      const source = yield* Random.Random
      const random = () => source.nextDoubleUnsafe()
      const strategy = yield* Strategy
      const occasionally = yield* Occasionally.runner(reportEvery)
      const report = (defect: unknown) =>
        occasionally(Effect.logError("The strategy or its key has a bug, so that anybody is taken", defect))
      const limits = new Limits(options, random)
      const view = new PoolView(pool, clock, limits, options.slowStart)
      const selection = new Selection({ pool: view, strategy, slowStart: options.slowStart, clock, random, report })
      const line = new WaitingLine(options.queue)
      const idle = new Idle()
      let totalInFlight = 0

      const isFull = (): boolean => totalInFlight >= options.maxTotalInFlight

      const select = (context: PickContext, tried: ReadonlyArray<Load.Endpoint> = []): Load.Endpoint | undefined =>
        isFull() ? undefined : selection.select(context, tried)

      const advance = (): void => line.advance(({ context, tried }) => select(context, tried))

      const begin = (endpoint: Load.Endpoint, isAgain = false): void => {
        totalInFlight++
        Load.begin(endpoint.load, isAgain)
        if (isAgain) limits.resume(endpoint.load)
      }

      const answered = (endpoint: Load.Endpoint, millis: number, at: number, stage: Load.Stage): void => {
        // The clock may have been set back, and the logarithm of less than nothing would be in the limits for good.
        const latencyMs = Math.max(0, millis)
        Load.answered(endpoint.load, latencyMs, at, stage)
        limits.answered(endpoint.load, latencyMs, at)
        selection.pickerOf(endpoint)?.observe?.(endpoint, "success", latencyMs)
        if (stage === "tunnel") proven(endpoint, latencyMs)
        if (options.adaptive !== undefined && !line.isEmpty) advance()
      }

      const proven = (endpoint: Load.Endpoint, millis: number): void =>
        ejection.observe(endpoint, "success", Math.max(0, millis), undefined)

      const end: Balancer["Service"]["end"] = (endpoint, outcome, latencyMs, why, stage = "sent", took = latencyMs) => {
        totalInFlight--
        const millis = Math.max(0, latencyMs)
        const now = clock.currentTimeMillisUnsafe()
        Load.end(endpoint.load, outcome, millis, now, stage)
        limits.end(endpoint.load, outcome, millis, stage, now - took, now)
        if (stage === "sent" || outcome === "failure") {
          selection.pickerOf(endpoint)?.observe?.(endpoint, outcome, millis)
        }
        selection.pickerOf(endpoint)?.ended?.(endpoint)
        ejection.observe(endpoint, outcome, Math.max(0, took), why)
        if (!line.isEmpty) advance()
        if (endpoint.load.inFlight === 0) idle.notify(endpoint.load)
      }

      const wait = (
        context: PickContext,
        tried: ReadonlyArray<Load.Endpoint>,
        take: (endpoint: Load.Endpoint) => void
      ): Effect.Effect<Load.Endpoint, NoBackend | Overloaded> =>
        Effect.suspend((): Effect.Effect<Load.Endpoint, NoBackend | Overloaded> => {
          if (selection.isHopeless(context, tried)) return noBackend
          let taken: Load.Endpoint | undefined
          const done = Deferred.makeUnsafe<Load.Endpoint, NoBackend | Overloaded>()
          const waiter: Waiter = {
            context,
            tried,
            admit: (endpoint) => {
              take(taken = endpoint)
              Deferred.doneUnsafe(done, Effect.succeed(endpoint))
            },
            turnAway: () => Deferred.doneUnsafe(done, elsewhere),
            giveUp: () => Deferred.doneUnsafe(done, noBackend)
          }
          /** Who is pinned may go elsewhere when there is no room in time. */
          const elsewhere = Effect.suspend(() => {
            line.leave(waiter)
            if (taken !== undefined) return Effect.succeed(taken)
            const other = context.pinned !== undefined && !isFull() ? selection.choose(context, tried) : undefined
            if (other === undefined) return overloaded
            take(taken = other)
            return Effect.succeed(other)
          })
          if (!line.join(waiter)) return elsewhere
          return Deferred.await(done).pipe(
            Effect.timeoutOrElse({ duration: options.queue.timeout, orElse: () => elsewhere }),
            // From here on nobody is admitted whom nobody waits for.
            Effect.ensuring(Effect.sync(() => line.leave(waiter)))
          )
        })

      if (options.adaptive !== undefined) {
        yield* Effect.sync(() => {
          limits.expire(view.current().members, clock.currentTimeMillisUnsafe())
          if (!line.isEmpty) advance()
        }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
      }

      // Somebody has come back, or has left while others waited for it.
      yield* pool.changes.pipe(
        Stream.runForEach(() =>
          Effect.sync(() => {
            view.current()
            if (line.isEmpty) return
            advance()
            line.dismiss(({ context, tried }) => selection.isHopeless(context, tried))
          })
        ),
        Effect.forkScoped
      )

      const acquire = (context: PickContext) =>
        Effect.suspend(() => {
          const endpoint = select(context)
          if (endpoint !== undefined) {
            begin(endpoint)
            return Effect.succeed(endpoint)
          }
          let taken: Load.Endpoint | undefined
          return wait(context, [], (endpoint) => begin(taken = endpoint)).pipe(
            Effect.interruptible,
            Effect.onError(() => Effect.sync(() => taken === undefined ? undefined : end(taken, "aborted", 0)))
          )
        })

      return Balancer.of({
        select,
        wait,
        canTake: (endpoint) => !isFull() && hasRoom(endpoint) && view.current().eligible.includes(endpoint),
        begin,
        answered,
        proven,
        bypass: ({ load }) => {
          limits.bypass(load, clock.currentTimeMillisUnsafe())
          if (!line.isEmpty) advance()
        },
        end,
        untilIdle: (id) =>
          Effect.suspend(() => {
            const member = memberOf(view.current(), id)
            return member === undefined ? Effect.void : idle.wait(member.endpoint.load)
          }),
        swap: (next) => Effect.sync(() => selection.swap(next)),
        use: (context, f) =>
          Effect.acquireUseRelease(
            Effect.map(acquire(context), (endpoint) => ({ endpoint, startedAt: clock.currentTimeMillisUnsafe() })),
            ({ endpoint }) => f(endpoint),
            ({ endpoint, startedAt }, exit) =>
              Effect.sync(() => end(endpoint, outcomeOf(exit), clock.currentTimeMillisUnsafe() - startedAt))
          )
      })
    })
  )
}
