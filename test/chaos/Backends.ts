/** What the backends of a plan do with requests, well or ill, and what they say, so that an answer can be judged. */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Struct from "effect/Struct"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"

/** Where a backend with this id may be: discovery moves it to and fro. */
export const originsOf = (id: string): readonly [string, string] => [`http://${id}`, `http://${id}:81`]

export const idOf = (origin: string): string => new URL(origin).hostname

export const targetOf = (number: number): string => `/${number}`

export const numberOf = (target: string): number => Number(target.slice(1))

const filler = "and so on, ".repeat(20)

/** What a backend says to a request with this body. */
export const said = (id: string, status: number, method: string, target: string, posted: string): string =>
  `${id} ${status} ${method} ${target} [${status === 200 ? posted : ""}] ${filler}and that is all`

const answers = (id: string, status: number, headers: Readonly<Record<string, string>> = {}): FakeBackends.Behaviour =>
  FakeBackends.handle(({ method, text, url }) =>
    Effect.map(text, (posted) => HttpServerResponse.text(said(id, status, method, url, posted), { status, headers }))
  )

/** Every way to be, each as bad as `extent` says, from 0 to below 1. */
const behaviours = (id: string, extent: number, well: FakeBackends.Behaviour) => {
  const { breaksOff, delayed, garbles, handle, hangs, refuses, resets, sometimes, stalls, trickles, unreachable } =
    FakeBackends
  const bytes = Math.floor(extent * 100)
  const retryAfter = { "retry-after": String(Math.floor(extent * 4)) }
  const slow = delayed(300 + extent * 3_000, well)
  return {
    well,
    "answers 429": answers(id, 429, retryAfter),
    "answers 500": answers(id, 500),
    "answers 503": delayed(bytes, answers(id, 503)),
    "answers 503, and says when to come back": answers(id, 503, retryAfter),
    "answers 503 without reading": handle(({ method, url }) =>
      Effect.succeed(HttpServerResponse.text(said(id, 503, method, url, ""), { status: 503 }))
    ),
    "answers 503 sometimes": sometimes(extent, answers(id, 503), well),
    "breaks off": breaksOff(bytes, well),
    garbles,
    hangs,
    "is slow": slow,
    "is slow sometimes": sometimes(extent, slow, well),
    refuses,
    "refuses sometimes": sometimes(extent, refuses, well),
    resets,
    "resets sometimes": sometimes(extent, resets, well),
    stalls: stalls(bytes, well),
    trickles: trickles(20, extent * 800, well),
    unreachable
  }
}

export const kinds = Struct.keys(behaviours("", 0, FakeBackends.refuses))

export interface Illness {
  readonly kind: typeof kinds[number]
  readonly extent: number
  /** Whether checks meet with it as well. */
  readonly showsInChecks: boolean
}

export const well: Illness = { kind: "well", extent: 0, showsInChecks: true }

/** A backend that is ill in this way. `note` is told of each head of an answer that may be kept for a better one. */
export const behaviourOf = (
  id: string,
  { extent, kind, showsInChecks }: Illness,
  workTime: number,
  note: (target: string) => void
): FakeBackends.Behaviour => {
  const behaviour = behaviours(id, extent, FakeBackends.delayed(workTime, answers(id, 200)))[kind]
  const noted: FakeBackends.Behaviour = (attempt) =>
    Effect.map(
      behaviour(attempt),
      Effect.tap(({ status }) => Effect.sync(() => status >= 400 && note(attempt.request.url)))
    )
  return showsInChecks ? noted : FakeBackends.onPath("/health", FakeBackends.respond("well"), noted)
}
