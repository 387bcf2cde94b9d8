/** What clients of the platform do of their own accord, and must not with messages that are not theirs. */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"

/** Sends without the fields of a trace, and brings a redirect as the answer that it is, which fetch would follow. */
export const unaltered = <A, E, R>(
  sending: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, FetchHttpClient.RequestInit>> =>
  Effect.flatMap(Effect.serviceOption(FetchHttpClient.RequestInit), (init) =>
    sending.pipe(
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.provideService(FetchHttpClient.RequestInit, { ...Option.getOrUndefined(init), redirect: "manual" })
    ))
