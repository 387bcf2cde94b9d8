/**
 * The settings: one Schema for their types, decoding, help texts and defaults.
 *
 * A new setting is one entry in `schema`. Its flag, its environment variable, its place in a file, its line in the help
 * and its row in the documents all follow from where it stands and how it is annotated: see `configuration/Setting`.
 * Where values come from, and which source wins, is decided by `layers/Configuration`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { expected, Zone } from "./Backend.ts"
import { Backends } from "./configuration/BackendNotation.ts"
import { expected as hashKeys, HashKeyNotation } from "./configuration/HashKeyNotation.ts"
import { ejection, health } from "./configuration/HealthSettings.ts"
import { Listen } from "./configuration/ListenAddress.ts"
import {
  BalanceFactor,
  Bytes,
  Count,
  Factor,
  Network,
  PositiveDuration,
  SomePercent,
  WholeNumber
} from "./configuration/Notation.ts"
import { hedge, retry } from "./configuration/RetrySettings.ts"
import {
  bytes,
  bytesExpected,
  count,
  countExpected,
  duration,
  durationExpected,
  entry,
  optional,
  unset
} from "./configuration/Setting.ts"
import { sticky } from "./configuration/StickySettings.ts"

/**
 * The Schema of the settings, for the strategies of these names. The default one may depend on what a text explains.
 */
export const schema = <const Name extends string>(
  names: ReadonlyArray<Name>,
  defaultName: NoInfer<Name>,
  defaultText: string = defaultName
) =>
  Schema.Struct({
    listen: entry(Listen, {
      default: ":3000",
      description:
        "The port to listen on, or the address and the port; 0 is any free port. The variable PORT is honoured as well.",
      title: "address",
      expected: "an address such as :3000, 127.0.0.1:3000, localhost:3000 or [::1]:3000"
    }),
    to: entry(Backends, {
      default: ["http://localhost:3001", "http://localhost:3002", "http://localhost:3003"],
      description: "A backend. Strategies that honour weights give it N times the traffic of one with weight 1. " +
        "A backup gets requests that no other backend can take.",
      title: "URL[,weight=N][,zone=NAME][,backup][,tier=N]",
      expected: "an http:// or https:// URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock"
    }),
    strategy: entry(Schema.Literals(names), {
      default: defaultName,
      defaultText,
      description: "How a backend is chosen for each request.",
      title: "name"
    }),
    zone: optional(Zone, {
      description: "Where this balancer is. Backends of the same zone are preferred, as long as they are enough.",
      title: "name",
      expected: expected.zone
    }),
    hash: Schema.Struct({
      key: entry(HashKeyNotation, {
        default: "client",
        description: "What hash strategies hash. Where a request has no such value, it is the client's address.",
        title: "key",
        expected: hashKeys
      }),
      balanceFactor: optional(BalanceFactor, {
        description:
          "The most that a backend may have in flight, in percent of its fair share; what is beyond goes to others.",
        title: "percent",
        expected: "a percentage of more than 100, such as 125"
      })
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    sticky,
    subset: Schema.Struct({
      size: optional(Count, {
        description: "How many backends this balancer uses, where many balancers share many of them.",
        ...countExpected
      }),
      id: entry(Schema.NonEmptyString, {
        default: "evenkeel",
        description: "What the subset is drawn by: something else for each balancer.",
        title: "name",
        expected: "a name"
      })
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    health,
    ejection,
    slowStart: Schema.Struct({
      duration: optional(PositiveDuration, {
        description: "How long a backend that has come back or joined takes to its whole share.",
        title: "duration",
        expected: "a duration such as 30s"
      }),
      from: entry(SomePercent, {
        default: "10%",
        description: "The share that it begins with.",
        title: "percent",
        expected: "a share above 0%, such as 10%"
      }),
      aggression: entry(Factor, {
        default: 1,
        description: "1 is a share that grows evenly; above, it grows faster at first, below, slower.",
        title: "number",
        expected: "a number from 0.1 to 10"
      })
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    queue: Schema.Struct({
      size: entry(WholeNumber, {
        default: 128,
        description: "Requests that may wait while every backend is at its limit; 0 is no queue.",
        title: "count",
        expected: "a whole number of 0 or more"
      }),
      timeout: duration("1s", "How long a request waits. Unless it is set, at most half of timeout.exchange."),
      order: entry(Schema.Literals(["oldest", "newest"]), {
        default: "oldest",
        description: "Who is next when a backend has room.",
        title: "word"
      })
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    timeout: Schema.Struct({
      connect: duration(
        "2s",
        "How long a connection to a backend may take. Unless it is set, at most half of timeout.try or timeout.exchange."
      ),
      response: duration("15s", "How long a backend may take from the end of a request to the head of its response."),
      try: optional(PositiveDuration, {
        description: "How long a try may take from its begin to the head of the response, with the connection.",
        ...durationExpected
      }),
      exchange: optional(PositiveDuration, {
        description: "How long a request may take to the head of its response, with all tries.",
        ...durationExpected
      }),
      idle: duration("60s", "How long a body may stand still, in either direction."),
      head: duration("10s", "How long the head of a request may take, from its first byte."),
      keepAlive: duration("75s", "How long a client's connection may be open between two requests."),
      backendKeepAlive: duration(
        "4s",
        "How long a backend's connection may be unused. Node's own servers close after 5s, and a request must not run into that."
      ),
      backendLifetime: duration(
        "1h",
        "How old a backend's connection may become, so that a name that has moved is followed. It ends with an answer."
      ),
      drain: duration("30s", "How long tunnels may go on when their backend is drained."),
      shutdown: duration("30s", "How long requests in flight may take when the program is told to stop.")
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    retry,
    hedge,
    limit: Schema.Struct({
      head: bytes("16KiB", "The longest head of a request or a response."),
      fields: count(100, "The most field lines in a head. Only the wire engine limits them."),
      target: bytes("8KiB", "The longest request target. Only the wire engine limits it."),
      body: optional(Bytes, {
        description: "The longest body of a request. Only the wire engine limits it.",
        ...bytesExpected
      }),
      connections: optional(Count, {
        description: "The most connections of clients. More are closed at once.",
        ...countExpected
      }),
      connectionsPerClient: optional(Count, {
        description: "The most connections from one address. Only the wire engine limits them.",
        ...countExpected
      }),
      inFlight: optional(Count, {
        description: "The most requests in flight, on all backends together.",
        ...countExpected
      }),
      inFlightPerBackend: count(1024, "The most requests in flight on one backend."),
      adaptive: entry(Schema.Literals(["off", "gradient"]), {
        default: "off",
        description:
          "Whether a backend gets fewer requests at once while its latency says that more would only wait there.",
        title: "word"
      }),
      connectionsPerBackend: count(
        1024,
        "The most connections to a backend. Requests beyond it wait for one, as long as for a connection."
      )
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    engine: entry(Schema.Literals(["wire", "node"]), {
      default: "wire",
      description: "What moves the messages: our own HTTP/1.1, or Node's, which loses trailers, 1xx and upgrades.",
      title: "name"
    }),
    hostHeader: entry(Schema.Literals(["preserve", "backend"]), {
      default: "preserve",
      description: "The Host that backends see: the client's own, or the backend's.",
      title: "whose"
    }),
    trustedProxies: entry(Schema.Array(Network), {
      default: [],
      description: "A network of proxies whose X-Forwarded fields are believed.",
      title: "network",
      expected: "a network such as 10.0.0.0/8, or an address"
    }),
    accessLog: unset("pretty on a terminal, json otherwise", Schema.Literals(["pretty", "json", "off"]), {
      description: "How the log is written; off leaves out the single requests.",
      title: "format"
    })
  })

/** The settings, decoded. */
export type Settings<Name extends string = string> = ReturnType<typeof schema<Name>>["Type"]

/** The same, but what may be left out may also be undefined. */
type Lenient<T> = T extends ReadonlyArray<unknown> ? T
  : T extends object ? { readonly [K in keyof T]: Lenient<T[K]> | undefined }
  : T

/** The settings as they are written in a file: everything may be left out. */
export type Input<Name extends string = string> = Lenient<ReturnType<typeof schema<Name>>["Encoded"]>
