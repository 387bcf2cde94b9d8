/**
 * How the balancer balances: it counts what is in flight and tells limits, strategy and ejection of each begin and end.
 *
 * Owns the order in which they are told. Which endpoint is chosen is in `balancer/Selection`, how many tries it may have
 * in `balancer/Limits`, and how exchanges wait for room in `balancer/Waiting`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Balancer, checked, defaultOptions, type Options } from "../services/Balancer.ts"
import { Ejection } from "../services/Ejection.ts"
import * as Load from "../services/Load.ts"
import * as Monotonic from "../services/Monotonic.ts"
import * as Occasionally from "../services/Occasionally.ts"
import { memberOf, Pool } from "../services/Pool.ts"
import { type PickContext, Strategy } from "../services/Strategy.ts"
import { Idle } from "./balancer/Idle.ts"
import { Limits } from "./balancer/Limits.ts"
import { PoolView } from "./balancer/PoolView.ts"
import { hasRoom, Selection } from "./balancer/Selection.ts"
import * as Use from "./balancer/Use.ts"
import * as Waiting from "./balancer/Waiting.ts"
import { WaitingLine } from "./balancer/WaitingLine.ts"

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
      const occasionally = yield* Occasionally.runner
      const report = (defect: unknown) =>
        occasionally(Effect.logError("The strategy or its key has a bug, so that anybody is taken", defect))
      const spilling = yield* Occasionally.runner
      const onSpill = () => spilling(Effect.logWarning("Backups get requests: nobody before them has room"))
      const limits = new Limits(options, random)
      const view = new PoolView(pool, clock, limits, options.slowStart)
      const { slowStart } = options
      const selection = new Selection({ pool: view, limits, strategy, slowStart, clock, random, report, onSpill })
      const line = new WaitingLine(options.queue)
      const idle = new Idle()
      let totalInFlight = 0
      /** Whether those who wait have to, whatever room there is. */
      let isHeld = false

      const isFull = (): boolean => totalInFlight >= options.maxTotalInFlight

      const select = (context: PickContext, tried: ReadonlyArray<Load.Endpoint> = []): Load.Endpoint | undefined =>
        isFull() ? undefined : selection.select(context, tried)

      const advance = (): void => {
        if (!isHeld && !line.isEmpty) line.advance(({ context, tried }) => select(context, tried))
      }

      const beforeOthers: Balancer["Service"]["beforeOthers"] = (f) => {
        isHeld = true
        try {
          return f()
        } finally {
          isHeld = false
          advance()
        }
      }

      const begin = (endpoint: Load.Endpoint, isAgain = false): void => {
        totalInFlight++
        Load.begin(endpoint.load, isAgain)
        if (isAgain) limits.resume(endpoint.load)
      }

      const answered = (endpoint: Load.Endpoint, millis: number, at: number, stage: Load.Stage): void => {
        // Others may time their tries by the time of day, and the logarithm of a negative latency would spoil an adaptive
        // limit for good.
        const latencyMs = Math.max(0, millis)
        Load.answered(endpoint.load, latencyMs, at, stage)
        limits.answered(endpoint.load, latencyMs, at)
        selection.pickerOf(endpoint)?.observe?.(endpoint, "success", latencyMs)
        if (stage === "tunnel") proven(endpoint, latencyMs)
        if (options.adaptive) advance()
      }

      const proven = (endpoint: Load.Endpoint, millis: number): void =>
        ejection.observe(endpoint, "success", millis, undefined)

      const end: Balancer["Service"]["end"] = (endpoint, outcome, latencyMs, why, stage = "sent", took = latencyMs) => {
        totalInFlight--
        const millis = Math.max(0, latencyMs)
        const now = Monotonic.millisUnsafe(clock)
        Load.end(endpoint.load, outcome, millis, now, stage, now - took)
        limits.end(endpoint.load, outcome, millis, stage, now - took, now)
        if (stage === "sent" || outcome === "failure") {
          selection.pickerOf(endpoint)?.observe?.(endpoint, outcome, millis)
        }
        selection.pickerOf(endpoint)?.ended?.(endpoint)
        ejection.observe(endpoint, outcome, took, why)
        advance()
        if (endpoint.load.inFlight === 0) idle.notify(endpoint.load)
      }

      const bypass = ({ load }: Load.Endpoint, millis: number): void => {
        const now = Monotonic.millisUnsafe(clock)
        limits.bypass(load, now - millis, now)
        advance()
      }

      const isHopeless: Balancer["Service"]["isHopeless"] = (context, tried) => selection.isHopeless(context, tried)

      const wait = Waiting.make({ line, selection, isFull, select, timeout: options.queue.timeout })

      if (options.adaptive) {
        yield* Effect.sync(() => {
          limits.expire(view.current().members, Monotonic.millisUnsafe(clock))
          advance()
        }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
      }

      // An endpoint may have come back for those who wait, or have left although they waited for it.
      yield* pool.changes.pipe(
        Stream.runForEach(() =>
          Effect.sync(() => {
            view.current()
            advance()
            line.dismiss(({ context, tried }) => isHopeless(context, tried))
          })
        ),
        Effect.forkScoped
      )

      return Balancer.of({
        select,
        wait,
        isHopeless,
        canTake: (endpoint) => !isFull() && hasRoom(endpoint) && view.current().eligible.includes(endpoint),
        begin,
        answered,
        proven,
        bypass,
        end,
        beforeOthers,
        untilIdle: (id) =>
          Effect.suspend(() => {
            const member = memberOf(view.current(), id)
            return member === undefined ? Effect.void : idle.wait(member.endpoint.load)
          }),
        swap: (next) => Effect.sync(() => selection.swap(next)),
        use: Use.make({ select, wait, begin, bypass, end }, clock)
      })
    })
  )
}
