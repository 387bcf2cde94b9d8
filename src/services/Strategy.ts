/**
 * The seam for choosing a backend.
 *
 * Owns the two interfaces of a strategy and no strategy: those are in `layers/strategies`, one file each. A strategy
 * only proposes. Excluding endpoints that were tried, and whatever limits there are, is the work of `Balancer`,
 * and so are pins: an exchange that is pinned to a backend goes there before a strategy is asked.
 */
import * as Context from "effect/Context"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Endpoint } from "./Load.ts"
import type { Outcome } from "./Outcome.ts"

/** What a strategy may know about the exchange that it picks for. Every part can be missing: it must cope. */
export interface PickContext {
  /** 0 for the first try of an exchange, 1 for the second, and so on. */
  readonly attempt: number
  /** The value that hash strategies hash, such as a client address. */
  key(): string | undefined
  /** The request, where the exchange is HTTP. */
  readonly request: HttpServerRequest | undefined
  /**
   * The id of the backend that the exchange belongs to, such as that of its session. Strategies need not look at it:
   * they are not asked as long as that backend may be used.
   */
  readonly pinned?: string | undefined
  /** Whether it becomes a tunnel if the backend agrees. One that drains takes none, not even of those pinned to it. */
  readonly isUpgrade?: boolean | undefined
}

/** A context that says nothing: the first try of an anonymous exchange. */
export const anonymous: PickContext = { attempt: 0, key: () => undefined, request: undefined }

/** Whether an endpoint can be taken. */
export type Accepts = (endpoint: Endpoint) => boolean

/**
 * Picks from the one list of endpoints that it was made for.
 *
 * `pick` is synchronous and total and allocates nothing. It should cost the same for 3 endpoints as for 3,000; of the
 * strategies here only a ring (logarithmic) and rendezvous (linear) do not. It returns `undefined` only for an empty
 * list.
 */
export interface Picker {
  pick(context: PickContext): Endpoint | undefined
  /**
   * The best endpoint of those for which `accepts` holds, or `undefined` if there is none. Endpoints that were tried are
   * refused by `accepts`, so `attempt` does not matter here. `accepts` may be asked several times for the same endpoint.
   *
   * This is for strategies that rank the endpoints, such as for each key: when the picked one was tried or is full, the
   * next in the ranking is taken, so that one key goes to the same few places. Without it, `searchFor` asks `pick` again.
   */
  pickWhere?(context: PickContext, accepts: Accepts): Endpoint | undefined
  /**
   * Told of each try as soon as its latency is known: at the head of a good answer, or else at its end. A try that fails
   * after its head is told twice.
   */
  observe?(endpoint: Endpoint, outcome: Outcome, latencyMs: number): void
  /** Told of each try that has ended, so that it is not in flight any more. */
  ended?(endpoint: Endpoint): void
}

/**
 * A way of choosing. `make` is called with the eligible endpoints of one tier in the order of the configuration, or with
 * a part of them where zones or a subset are set: at the first pick, and at the first one after that list has changed.
 * Effects, such as reading `Random`, belong in the layer that builds the strategy.
 */
export class Strategy extends Context.Service<Strategy, {
  readonly name: string
  /**
   * Set by a strategy that gives every backend the same share; giving weights to it is then a mistake worth a warning.
   */
  readonly ignoresWeights?: boolean | undefined
  /** Set by a strategy that sends the same key to the same backend. */
  readonly usesKey?: boolean | undefined
  readonly make: (endpoints: ReadonlyArray<Endpoint>) => Picker
}>()("evenkeel/services/Strategy") {}

/** Finds an endpoint that is accepted, or nobody. */
export type Search = (context: PickContext, accepts: Accepts) => Endpoint | undefined

/**
 * How often a strategy that ranks nobody is asked for another proposal before its list is gone through in turn, which
 * knows no weights: often enough for an endpoint with three quarters of all weight, that cannot be taken, to come to 1 %.
 */
const proposals = 16

/**
 * Finds an endpoint that can be taken when the picked one cannot: the next in the picker's ranking, or, where it has
 * none, one of its next few picks, and in the end any endpoint.
 */
export const searchFor = (picker: Picker, endpoints: ReadonlyArray<Endpoint>): Search => {
  const n = endpoints.length
  let cursor = 0
  return (context, accepts) => {
    if (picker.pickWhere !== undefined) {
      const endpoint = picker.pickWhere(context, accepts)
      if (endpoint !== undefined) return endpoint
    } else {
      for (let i = 0; i < proposals; i++) {
        const endpoint = picker.pick(context)
        if (endpoint === undefined) break
        if (accepts(endpoint)) return endpoint
      }
    }
    // A decorator, such as a subset, may have left out the only endpoint that can be taken.
    for (let i = 0; i < n; i++) {
      cursor = cursor + 1 < n ? cursor + 1 : 0
      const endpoint = endpoints[cursor]!
      if (accepts(endpoint)) return endpoint
    }
    return undefined
  }
}
