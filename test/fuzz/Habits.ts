/** What a backend does with a request: drawn for each time that one arrives anywhere, from the seed of the plan. */
import { dice } from "../Dice.ts"
import { longest, seedOf } from "./Bytes.ts"
import type { Leaving } from "./Plan.ts"

export interface Habit {
  /** Whether it acts at the head of a request, and does not wait for its body. */
  readonly isEarly: boolean
  /** How long it does nothing first, in milliseconds. */
  readonly wait: number
  readonly does: "answers" | "hangs" | "leaves" | "talks nonsense"
  /** Whether it reads nothing more from then on. */
  readonly isDeaf: boolean
  readonly interims: ReadonlyArray<number>
  readonly status: number
  readonly retryAfter: number | undefined
  readonly framing: "length" | "chunked" | "close"
  readonly length: number
  readonly trailers: ReadonlyArray<string>
  /** How much of the answer it holds back until it has the whole request. */
  readonly holds: "nothing" | "all but the head" | "the last byte"
  /** What share of the answer it sends before it leaves. */
  readonly cutAt: number | undefined
  /** Whether it sends an answer that nobody has asked for in the same packet. */
  readonly isTalkative: boolean
  readonly saysClose: boolean
  /** Keep-Alive: timeout=N. */
  readonly announces: number | undefined
  /** When it closes after the answer, in milliseconds, with or without having said so. */
  readonly closesAfter: number | undefined
  readonly leaving: Leaving
}

/** What is done the `nth` time that this request arrives. An early act is for requests with a body only. */
export const habitOf = (seed: number, number: number, nth: number, hasBody: boolean): Habit => {
  const { chance, int, next, pick } = dice(seedOf(seed, number, nth))
  const isEarly = hasBody && chance(0.3)
  const does = chance(0.07)
    ? "leaves"
    : chance(0.02)
    ? "hangs"
    : chance(0.02)
    ? "talks nonsense"
    : "answers"
  const status = isEarly
    ? pick(200, 413, 503, 503)
    : pick(200, 200, 200, 200, 200, 201, 204, 304, 404, 413, 500, 502, 503, 503)
  const framing = isEarly && chance(0.7)
    ? pick("length", "chunked")
    : pick("length", "length", "chunked", "chunked", "close")
  const length = pick(0, 1, 10, int(1, 2_000), int(1, 70_000), int(1, longest))
  const cutAt = chance(0.06) ? next() : undefined
  const saysClose = chance(0.08) || (isEarly && chance(0.15))
  const isLast = saysClose || framing === "close"
  // Who does not want the rest of a request does not get it.
  const isDeaf = isEarly && chance(0.2)
  const mayHold = isEarly && !isDeaf && !(isLast && status >= 400)
  return {
    isEarly,
    wait: chance(isEarly ? 0.15 : 0.3) ? int(1, 60) : 0,
    does,
    isDeaf,
    interims: chance(0.1) ? pick([103], [100], [102, 103], [100, 103]) : [],
    status,
    retryAfter: status === 503 && chance(0.4) ? pick(0, 0, 1, 1, 9) : undefined,
    framing,
    length,
    trailers: framing === "chunked" && chance(0.3) ? [`X-Sum: ${number}`] : [],
    holds: mayHold ? pick("nothing", "nothing", "all but the head", "the last byte") : "nothing",
    cutAt,
    isTalkative: chance(0.02),
    saysClose,
    announces: chance(0.1) ? pick(0, 1, 2) : undefined,
    closesAfter: isLast ? 0 : chance(0.08) ? pick(0, 0, 1, 5, 30) : undefined,
    leaving: pick("fin", "reset", "destroy")
  }
}
