/**
 * A plan of the fuzzer: the settings, how many backends there are, and what clients send on which connections. A seed
 * gives a plan, the same one each time. What a backend does with a request is in `Habits`.
 *
 * Pure data. Who plays a plan is `Fuzz`.
 */
import * as Struct from "effect/Struct"
import { strategies, type StrategyName } from "../../src/layers/strategies/index.ts"
import type { Input } from "../../src/services/Configuration.ts"
import { type DrawnSettings, drawSettings } from "../chaos/DrawnSettings.ts"
import { type Dice, dice } from "../Dice.ts"
import type { EngineName } from "../e2e/support/Engines.ts"
import { longest } from "./Bytes.ts"

/** How a connection is left. */
export type Leaving = "fin" | "reset" | "destroy"

export interface Request {
  /** Its target, and what it is told by. */
  readonly number: number
  readonly method: "DELETE" | "GET" | "HEAD" | "PATCH" | "POST" | "PUT"
  readonly version: 0 | 1
  readonly framing: "none" | "length" | "chunked"
  readonly length: number
  readonly trailers: ReadonlyArray<string>
  /** What a client that expects a 100 does without one: waits for ever, waits for so many milliseconds, or sends on. */
  readonly expects: "waits" | number | undefined
  /** Whether it says that it is the last one of its connection. */
  readonly isLast: boolean
  /** What share of it is sent before the client leaves. */
  readonly cutAt: number | undefined
  /** Whether its chunks are no chunks from some byte on. */
  readonly isSpoilt: boolean
}

export interface Visit {
  /** When it begins, in milliseconds. */
  readonly at: number
  readonly requests: ReadonlyArray<Request>
  /** Whether a request waits for the answer to the one before. */
  readonly isPolite: boolean
  /** How long it waits before it reads on, each time, in milliseconds. */
  readonly slowness: number
  /** After how many bytes of answers the client leaves. */
  readonly leavesAfter: number
  readonly leaving: Leaving
  /** Whether it stays for the answers. */
  readonly stays: boolean
}

export interface Plan extends DrawnSettings {
  readonly seed: number
  readonly backends: number
  /** Whether there is one more, which does not listen. */
  readonly hasAbsent: boolean
  readonly visits: ReadonlyArray<Visit>
}

const names = Struct.keys(strategies)

/** Settings that may contradict each other. Limits are tight, and times short. */
const inputOf = ({ chance, int, maybe, pick }: Dice): Input<StrategyName> => ({
  strategy: names[int(0, names.length - 1)] ?? "first",
  sticky: chance(0.2) ? { cookie: "lb", keys: ["a-key-for-fuzzing-only"] } : {},
  health: { kind: pick("off", "off", "off", "tcp"), interval: "1s" },
  ejection: chance(0.2) ? { failures: 3, time: "200ms" } : { maxShare: "0%" },
  queue: { size: pick(0, 4, 128), timeout: pick("50ms", "300ms"), order: pick("oldest", "newest") },
  timeout: {
    ...maybe(0.8, { connect: "140ms" }),
    response: pick("200ms", "400ms"),
    ...maybe(0.2, { try: pick("150ms", "400ms") }),
    ...maybe(0.2, { exchange: pick("300ms", "900ms") }),
    idle: pick("300ms", "600ms"),
    // Clients that send byte by byte on a busy machine must not meet with it: where a head does not end, nobody knows
    // what it asked for.
    head: "10s",
    backendKeepAlive: pick("50ms", "4s"),
    ...maybe(0.2, { backendLifetime: "100ms" }),
    shutdown: "2s"
  },
  retry: {
    tries: pick(1, 2, 2, 3, 4),
    statuses: pick([502, 503, 504], [502, 503, 504], [413, 500, 503], []),
    bodyLimit: pick("0", "1KiB", "4KiB", "16KiB", "64KiB", "1MiB"),
    backoff: pick("1ms", "25ms", "100ms"),
    ...maybe(0.3, { maxWait: pick("500ms", "1s") }),
    budget: pick("0%", "100%", "100%"),
    minPerSecond: pick(0, 3, 1_000)
  },
  hedge: chance(0.3) ? { after: pick("30%", "80%"), budget: "100%" } : {},
  limit: {
    ...maybe(0.1, { body: "100KiB" }),
    ...maybe(0.1, { inFlight: int(4, 16) }),
    ...maybe(0.3, { inFlightPerBackend: int(1, 6) }),
    ...maybe(0.3, { connectionsPerBackend: int(2, 6) }),
    adaptive: pick("off", "off", "gradient")
  }
})

const requestOf = (
  { chance, int, next, pick }: Dice,
  number: number,
  engine: EngineName,
  uploads: boolean
): Request => {
  const method = uploads
    ? pick("PUT", "PUT", "PUT", "POST", "GET")
    : pick("GET", "GET", "GET", "HEAD", "DELETE", "PATCH", "POST", "POST", "PUT", "PUT", "PUT")
  const mayHaveBody = method === "PATCH" || method === "POST" || method === "PUT" || chance(0.05)
  const version = chance(0.03) ? 0 : 1
  const framing = !mayHaveBody
    ? "none"
    : version === 0
    ? "length"
    : pick("length", "chunked", uploads ? "chunked" : "length")
  const length = framing === "none" ? 0 : pick(0, 1, 20, int(1, 3_000), int(1, 100_000), 65_536, int(1, longest))
  const isChunked = framing === "chunked"
  return {
    number,
    method,
    version,
    framing,
    length,
    trailers: isChunked && chance(0.3) ? [`X-Sum: ${number}`] : [],
    expects: version === 1 && chance(0.25) && (isChunked || length > 0)
      ? pick<"waits" | number>("waits", 0, int(1, 30))
      : undefined,
    isLast: chance(0.05),
    cutAt: chance(0.06) ? next() : undefined,
    isSpoilt: isChunked && length > 0 && chance(0.03) && engine === "wire"
  }
}

/** The plan of a seed. Node's server does not let anybody know of what it cannot read, so it gets no such thing. */
export const make = (seed: number, engine: EngineName): Plan => {
  const random = dice(seed)
  const { chance, int, pick } = random
  const settings = drawSettings(() => inputOf(random))
  const length = pick(50, 300, 600)
  const uploads = chance(0.4)
  let requests = 0
  const visits = Array.from({ length: int(20, 60) }, (): Visit => ({
    at: int(0, length),
    requests: Array.from({ length: int(1, 5) }, () => requestOf(random, ++requests, engine, uploads)),
    isPolite: chance(0.5),
    slowness: chance(0.1) ? int(1, 20) : 0,
    leavesAfter: chance(0.05) ? int(1, pick(200, 200_000)) : Infinity,
    leaving: pick("fin", "reset", "destroy"),
    stays: chance(0.9)
  }))
  return { seed, ...settings, backends: pick(1, 1, 2, 3), hasAbsent: chance(0.15), visits }
}
