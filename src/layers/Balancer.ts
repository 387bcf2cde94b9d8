/** How the balancer balances: a picker for the current list of eligible endpoints, and counting in `Load`. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import { Balancer, NoBackend } from "../services/Balancer.ts"
import * as Load from "../services/Load.ts"
import { Pool } from "../services/Pool.ts"
import { type PickContext, type Picker, Strategy } from "../services/Strategy.ts"

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Load.Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  return Cause.hasInterruptsOnly(exit.cause) ? "aborted" : "failure"
}

/** Compares ids, because a backend whose weight has changed meanwhile is another endpoint. */
const isAmong = (tried: ReadonlyArray<Load.Endpoint>, { backend: { id } }: Load.Endpoint): boolean =>
  tried.some((endpoint) => endpoint.backend.id === id)

/** Balances over the pool with the strategy. */
export const layer: Layer.Layer<Balancer, never, Pool | Strategy> = Layer.effect(
  Balancer,
  Effect.gen(function*() {
    const pool = yield* Pool
    const strategy = yield* Strategy
    const clock = yield* Clock.Clock

    let list: ReadonlyArray<Load.Endpoint> = []
    let picker: Picker = strategy.make(list)
    const currentPicker = (): Picker => {
      const { eligible } = Ref.getUnsafe(pool.state)
      if (eligible !== list) {
        list = eligible
        picker = strategy.make(eligible)
      }
      return picker
    }

    const select = (context: PickContext, tried: ReadonlyArray<Load.Endpoint> = []): Load.Endpoint | undefined => {
      const current = currentPicker()
      if (tried.length > 0 && current.pickWhere !== undefined) {
        const next = current.pickWhere(context, (endpoint) => !isAmong(tried, endpoint))
        if (next !== undefined) return next
      }
      // The strategy may propose an endpoint that was tried; it gets as many chances as there are, then the first that
      // was not tried is taken.
      for (let i = 0; i <= tried.length; i++) {
        const endpoint = current.pick(context)
        if (endpoint === undefined || !isAmong(tried, endpoint)) return endpoint
      }
      return list.find((endpoint) => !isAmong(tried, endpoint))
    }

    const begin = (endpoint: Load.Endpoint): void => Load.begin(endpoint.load)

    const end = (endpoint: Load.Endpoint, outcome: Load.Outcome, latencyMs: number): void => {
      Load.end(endpoint.load, outcome, latencyMs, clock.currentTimeMillisUnsafe())
      picker.observe?.(endpoint, outcome, latencyMs)
    }

    return Balancer.of({
      select,
      begin,
      end,
      use: (context, f) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => {
            const endpoint = select(context)
            if (endpoint === undefined) return Effect.fail(NoBackend.make({}))
            begin(endpoint)
            return Effect.succeed({ endpoint, startedAt: clock.currentTimeMillisUnsafe() })
          }),
          ({ endpoint }) => f(endpoint),
          ({ endpoint, startedAt }, exit) =>
            Effect.sync(() => end(endpoint, outcomeOf(exit), clock.currentTimeMillisUnsafe() - startedAt))
        )
    })
  })
)
