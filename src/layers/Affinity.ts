/**
 * How cookies are read and set for the backends of the pool: tokens are made when a request finds that
 * the pool has changed.
 *
 * Owns the tokens of the members. What a cookie looks like is in `services/Affinity`, and what a pin is worth is decided
 * by `balancer/Pins`.
 */
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Semaphore from "effect/Semaphore"
import { Affinity, isUnder, noTokens, type Pin, type Policy, setCookie, tokensOf } from "../services/Affinity.ts"
import * as Cookie from "../services/Cookie.ts"
import { type Client, clientProtocol } from "../services/HeaderFields.ts"
import type { RequestHead } from "../services/Message.ts"
import { empty, Pool } from "../services/Pool.ts"
import { gatewayErrors } from "../services/Reason.ts"

const encoder = new TextEncoder()

/** Clients are pinned by this cookie. Without a key, one is made up, which nobody else knows and a restart forgets. */
export const layer = (policy: Policy): Layer.Layer<never, never, Pool> =>
  Layer.effect(
    Affinity,
    Effect.gen(function*() {
      const pool = yield* Pool
      const mac = yield* Mac.Mac
      const keys = policy.keys.length === 0
        ? [yield* mac.generateKey(Mac.hmacSha256)]
        : yield* Effect.forEach(policy.keys, (key) => Mac.key(Mac.hmacSha256, encoder.encode(Redacted.value(key))))

      let known = empty.positions
      let tokens = noTokens
      const lock = yield* Semaphore.make(1)
      const makeTokens = Effect.gen(function*() {
        const state = Ref.getUnsafe(pool.state)
        if (state.positions === known) return
        tokens = yield* tokensOf(keys, state.members.map(({ endpoint }) => endpoint.backend.id), tokens)
        known = state.positions
      }).pipe(
        Semaphore.withPermit(lock),
        Effect.provideService(Mac.Mac, mac),
        // Web Crypto always has HMAC, and keys are not empty.
        Effect.orDie
      )
      const upToDate = Effect.suspend(() => (Ref.getUnsafe(pool.state).positions === known ? Effect.void : makeTokens))

      const pinOf = ({ fields }: RequestHead, client: Client): Pin => {
        // There may be an older one of another path, that nobody knows any more.
        const value = Cookie.valueOf(fields, policy.cookie, (value) => tokens.ids.has(value)) ??
          Cookie.valueOf(fields, policy.cookie)
        return {
          id: value === undefined ? undefined : tokens.ids.get(value),
          fields: value === undefined ? fields : Cookie.without(fields, policy.cookie),
          withoutRivals: (fields) => Cookie.withoutSet(fields, policy.cookie),
          stamp: (id, status) => {
            // A backend that could not do its work is no place to stay.
            if (id === undefined || gatewayErrors.has(status)) return Effect.undefined
            // Somebody may have joined while the exchange was under way.
            return Effect.map(upToDate, () => {
              const token = tokens.byId.get(id)?.[0]
              if (token === undefined || token === value) return undefined
              return setCookie(policy, token, clientProtocol(fields, client) === "https")
            })
          }
        }
      }

      return {
        read: (head: RequestHead, client: Client) =>
          isUnder(policy.path, head) ? Effect.map(upToDate, () => pinOf(head, client)) : Effect.undefined
      }
    }).pipe(Effect.orDie)
  ).pipe(Layer.provide(Mac.layerWebCrypto), Layer.provide(SecureRandom.layerWebCrypto))
