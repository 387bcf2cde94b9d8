/** How the balancer balances: a picker for the current list of eligible endpoints, limits, and counting in `Load`. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Balancer, defaultOptions, NoBackend, type Options, Overloaded } from "../services/Balancer.ts"
import { Ejection } from "../services/Ejection.ts"
import * as Load from "../services/Load.ts"
import { empty, memberOf, Pool, type PoolState } from "../services/Pool.ts"
import * as SlowStart from "../services/SlowStart.ts"
import { inTiers, type PickContext, type Picker, Strategy } from "../services/Strategy.ts"
import { follow } from "./balancer/Follow.ts"
import { Idle } from "./balancer/Idle.ts"
import * as Limits from "./balancer/Limits.ts"
import { Pins } from "./balancer/Pins.ts"
import { type Waiter, WaitingLine } from "./balancer/WaitingLine.ts"

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Load.Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  return Cause.hasInterruptsOnly(exit.cause) ? "aborted" : "failure"
}

/** Compares ids, because a backend whose weight has changed meanwhile is another endpoint. */
const isAmong = (tried: ReadonlyArray<Load.Endpoint>, { backend: { id } }: Load.Endpoint): boolean =>
  tried.some((endpoint) => endpoint.backend.id === id)

const overloaded = Effect.fail(Overloaded.make({}))

const noBackend = Effect.fail(NoBackend.make({}))

const isWarm = ({ load }: Load.Endpoint): boolean => Number.isNaN(load.warmingSince)

/** Backups come last, and before them those that are still warming. */
const isBetter = (a: Load.Endpoint, b: Load.Endpoint | undefined): boolean =>
  b === undefined || a.backend.tier < b.backend.tier || (a.backend.tier === b.backend.tier && isWarm(a) && !isWarm(b))

const hasRoom = ({ load }: Load.Endpoint): boolean => load.inFlight < load.limit

const isFreeBut = (tried: ReadonlyArray<Load.Endpoint>) => (endpoint: Load.Endpoint): boolean =>
  hasRoom(endpoint) && isWarm(endpoint) && !isAmong(tried, endpoint)

/** Balances over the pool with the strategy. */
export const layer = (
  options: Options = defaultOptions
): Layer.Layer<Balancer, never, Ejection | Pool | Strategy> =>
  Layer.effect(
    Balancer,
    Effect.gen(function*() {
      const pool = yield* Pool
      let strategy = inTiers(yield* Strategy)
      const ejection = yield* Ejection
      const clock = yield* Clock.Clock
      const random = yield* Random.Random
      const nextRandom = () => random.nextDoubleUnsafe()
      const line = new WaitingLine(options.queue)
      const idle = new Idle()
      const pins = new Pins()
      const starting = new WeakSet<Load.Load>()

      let known: PoolState = empty
      let list: ReadonlyArray<Load.Endpoint> = []
      let picker: Picker = strategy.make(list)
      let totalInFlight = 0
      /** Where the search begins when the strategy proposes nobody who can be taken. */
      let cursor = 0

      /** Takes notice of the pool as it is now. */
      const current = (): PoolState => {
        const state = Ref.getUnsafe(pool.state)
        if (state !== known) {
          follow(known, state, options, clock.currentTimeMillisUnsafe(), starting)
          known = state
        }
        return state
      }

      const refresh = (): void => {
        const { eligible } = current()
        if (eligible === list) return
        list = eligible
        picker = strategy.make(list)
      }

      /** Whether an endpoint that is warming gets the request that it is proposed for. */
      const mayWarm = ({ load }: Load.Endpoint): boolean => {
        const now = clock.currentTimeMillisUnsafe()
        // The clock may have been set back.
        if (now < load.warmingSince) load.warmingSince = now
        const factor = SlowStart.factor(now - load.warmingSince, options.slowStart)
        if (factor === 1) load.warmingSince = NaN
        return nextRandom() < factor
      }

      /** Where an exchange has to go, if it is pinned and its backend may be used and was not tried. */
      const pinnedTo = (
        { isUpgrade, pinned }: PickContext,
        tried: ReadonlyArray<Load.Endpoint>
      ): Load.Endpoint | undefined => {
        if (pinned === undefined) return undefined
        const endpoint = pins.endpointOf(current(), pinned, isUpgrade === true)
        return endpoint === undefined || isAmong(tried, endpoint) ? undefined : endpoint
      }

      const select = (context: PickContext, tried: ReadonlyArray<Load.Endpoint> = []): Load.Endpoint | undefined => {
        const pinned = pinnedTo(context, tried)
        if (pinned === undefined) return choose(context, tried)
        if (totalInFlight >= options.maxTotalInFlight) return undefined
        if (hasRoom(pinned)) return pinned
        // Only what has not failed yet has the time to wait.
        return tried.length === 0 ? undefined : choose(context, tried)
      }

      /** Without regard to pins. */
      const choose = (context: PickContext, tried: ReadonlyArray<Load.Endpoint>): Load.Endpoint | undefined => {
        refresh()
        if (totalInFlight >= options.maxTotalInFlight) return undefined
        // The strategy may propose one that cannot be taken; it gets one chance more than there are
        // such that were tried.
        let passedOver: Load.Endpoint | undefined
        if (tried.length > 0 && picker.pickWhere !== undefined) {
          // A number of tries says nothing to a strategy when one of those that were tried has left meanwhile.
          const next = picker.pickWhere(context, isFreeBut(tried))
          if (next !== undefined) return next
        }
        for (let i = 0; i <= tried.length + 1; i++) {
          const endpoint = picker.pick(context)
          if (endpoint === undefined) return undefined
          const canBeTaken = hasRoom(endpoint) && !isAmong(tried, endpoint) && endpoint !== passedOver
          if (canBeTaken && (isWarm(endpoint) || mayWarm(endpoint))) return endpoint
          if (canBeTaken) passedOver = endpoint
          if (picker.pickWhere !== undefined) {
            return picker.pickWhere(context, isFreeBut(tried)) ?? passedOver ?? firstWithRoom(tried)
          }
        }
        return firstWithRoom(tried, passedOver)
      }

      const firstWithRoom = (tried: ReadonlyArray<Load.Endpoint>, known?: Load.Endpoint): Load.Endpoint | undefined => {
        cursor = (cursor + 1) % list.length
        let best = known
        for (let i = 0; i < list.length; i++) {
          const endpoint = list[(cursor + i) % list.length]!
          if (hasRoom(endpoint) && !isAmong(tried, endpoint) && isBetter(endpoint, best)) best = endpoint
        }
        return best
      }

      const advance = (): void => line.advance(({ context, tried }) => select(context, tried))

      const begin = (endpoint: Load.Endpoint, isAgain = false): void => {
        totalInFlight++
        Load.begin(endpoint.load, isAgain)
      }

      const answered = (endpoint: Load.Endpoint, millis: number, at: number, stage: Load.Stage): void => {
        // The clock may have been set back, and the logarithm of less than nothing would be in the limits for good.
        const latencyMs = Math.max(0, millis)
        Load.answered(endpoint.load, latencyMs, at, stage)
        Limits.answered(endpoint.load, options, latencyMs, at, nextRandom)
        picker.observe?.(endpoint, "success", latencyMs)
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
        Limits.end(endpoint.load, options, outcome, millis, now, nextRandom, stage)
        if (stage === "sent" || outcome === "failure") picker.observe?.(endpoint, outcome, millis)
        picker.ended?.(endpoint)
        ejection.observe(endpoint, outcome, Math.max(0, took), why)
        if (!line.isEmpty) advance()
        if (endpoint.load.inFlight === 0) idle.notify(endpoint.load)
      }

      /** Whether there is nobody left whom it could get if there were room. */
      const isHopeless = ({ context, tried }: Pick<Waiter, "context" | "tried">): boolean =>
        current().eligible.every((endpoint) => isAmong(tried, endpoint)) && pinnedTo(context, tried) === undefined

      const wait = (
        context: PickContext,
        tried: ReadonlyArray<Load.Endpoint>,
        take: (endpoint: Load.Endpoint) => void
      ): Effect.Effect<Load.Endpoint, NoBackend | Overloaded> =>
        Effect.suspend((): Effect.Effect<Load.Endpoint, NoBackend | Overloaded> => {
          if (isHopeless({ context, tried })) return noBackend
          const isPinned = pinnedTo(context, tried) !== undefined
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
            const other = isPinned ? choose(context, tried) : undefined
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
          Limits.expire(current(), options, clock.currentTimeMillisUnsafe(), nextRandom)
          if (!line.isEmpty) advance()
        }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
      }

      // Somebody has come back, or has left while others waited for it.
      yield* pool.changes.pipe(
        Stream.runForEach(() =>
          Effect.sync(() => {
            current()
            if (line.isEmpty) return
            advance()
            line.dismiss(isHopeless)
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
        canTake: (endpoint) =>
          totalInFlight < options.maxTotalInFlight && hasRoom(endpoint) && current().eligible.includes(endpoint),
        begin,
        answered,
        proven,
        bypass: ({ load }) => {
          Limits.bypass(load, options)
          if (!line.isEmpty) advance()
        },
        end,
        untilIdle: (id) =>
          Effect.suspend(() => {
            const member = memberOf(current(), id)
            return member === undefined ? Effect.void : idle.wait(member.endpoint.load)
          }),
        swap: (next) =>
          Effect.sync(() => {
            strategy = inTiers(next)
            picker = strategy.make(list)
          }),
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
