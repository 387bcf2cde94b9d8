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
  readonly isUpgrade?: boolean
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
   * Of the endpoints for which `accepts` holds, the one that the strategy likes best, or `undefined` if there
   * is none. Who was tried is for `accepts` to say: the attempt does not count here. It may be asked several times for
   * the same endpoint.
   *
   * A strategy has it that ranks the endpoints, such as for each key. Whoever cannot take what was picked, because it
   * was tried or is full, finds the next one of the ranking with it, so that keys that go elsewhere go to the same
   * place. For a strategy that has none see `searchFor`.
   */
  pickWhere?(context: PickContext, accepts: Accepts): Endpoint | undefined
  /**
   * Told of each try as soon as its latency is known: at the head of a good answer, or at its end. So it hears twice of
   * one that fails behind its head.
   */
  observe?(endpoint: Endpoint, outcome: Outcome, latencyMs: number): void
  /** Told of each try that has ended, so that it is not in flight any more. */
  ended?(endpoint: Endpoint): void
}

/**
 * A way of choosing. `make` is called with the eligible endpoints of one tier, or with those of them that are near where
 * zones or a subset are set, in the order of the configuration: at the first pick, and again at the first one after that
 * list has changed. Effects, such as reading `Random`, belong in the layer
 * that builds the strategy.
 */
export class Strategy extends Context.Service<Strategy, {
  readonly name: string
  /**
   * Set by a strategy that gives every backend the same share; giving weights to it is then a mistake worth a warning.
   */
  readonly ignoresWeights?: boolean
  /** Set by a strategy that sends the same key to the same backend. */
  readonly usesKey?: boolean
  readonly make: (endpoints: ReadonlyArray<Endpoint>) => Picker
}>()("evenkeel/services/Strategy") {}

/** Finds an endpoint that is accepted, or nobody. */
export type Search = (context: PickContext, accepts: Accepts) => Endpoint | undefined

/** How often a strategy that ranks nobody is asked for another proposal before its list is gone through. */
const proposals = 3

/**
 * Finds somebody who can be taken among the endpoints of a picker, when what it has picked cannot: the next one of its
 * ranking, or, where it has none, what else it proposes, and in the end anybody.
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
    // A decorator may have left somebody out for reasons of its own.
    for (let i = 0; i < n; i++) {
      cursor = cursor + 1 < n ? cursor + 1 : 0
      const endpoint = endpoints[cursor]!
      if (accepts(endpoint)) return endpoint
    }
    return undefined
  }
}
