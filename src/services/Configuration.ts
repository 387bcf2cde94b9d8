/**
 * The settings: one Schema for their types, decoding, help texts and defaults.
 *
 * A new setting is one entry in `schema`. Its flag, its environment variable, its place in a file, its line in the help and
 * its row in the documents all follow from where it stands and how it is annotated. Where values come from, and which source
 * wins, is the business of `layers/Configuration`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import {
  Backends,
  Bytes,
  Count,
  ErrorStatus,
  Listen,
  Method,
  Network,
  Percentage,
  PositiveDuration,
  UrlPath,
  WholeNumber
} from "./Notation.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

/** What an entry says about itself beyond its type. */
interface Entry {
  /** One or two sentences for the help. */
  readonly description: string
  /** What stands for a value in the help, such as `duration`. */
  readonly title: string
  /** Completes "expected ...". A choice between words needs none. */
  readonly expected?: string
}

const defaultKey = "evenkeel/default"

/** An entry with a default, given as it is written in a file. */
const entry = <T, E>(codec: Schema.Codec<T, E>, options: Entry & { readonly default: E }) => {
  const { default: value, ...annotations } = options
  return codec.annotate({ ...annotations, [defaultKey]: value }).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(value))
  )
}

const durationExpected = { title: "duration", expected: "a duration such as 5s or 500ms" } as const

const duration = (value: string, description: string) =>
  entry(PositiveDuration, { default: value, description, ...durationExpected })

const percentExpected = { title: "percent", expected: "a percentage from 0% to 100%" } as const

const count = (value: number, description: string) =>
  entry(Count, { default: value, description, title: "count", expected: "a whole number of 1 or more" })

const bytesExpected = { title: "bytes", expected: "a number of bytes such as 16KiB" } as const

const bytes = (value: string, description: string) => entry(Bytes, { default: value, description, ...bytesExpected })

/** A limit that there is not, unless somebody sets it. */
const noLimit = <T, E>(codec: Schema.Codec<T, E>, annotations: Entry) =>
  Schema.optional(codec).annotate({ ...annotations, [defaultKey]: "none" })

/** The Schema of the settings, for the strategies of these names. */
export const schema = <const Name extends string>(names: ReadonlyArray<Name>, defaultName: NoInfer<Name>) =>
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
      description: "A backend. Strategies that honour weights give it N times the traffic of one with weight 1.",
      title: "URL[,weight=N]",
      expected: "an http:// or https:// URL without a path, such as http://localhost:3001, or unix:/path/of/a.sock"
    }),
    strategy: entry(Schema.Literals(names), {
      default: defaultName,
      description: "How a backend is chosen for each request.",
      title: "name"
    }),
    health: Schema.Struct({
      path: entry(UrlPath, {
        default: "/",
        description: "What a health check asks a backend for. A status from 200 to 399 passes.",
        title: "path",
        expected: "a path that begins with a slash, such as /healthz"
      }),
      interval: duration(
        "5s",
        "From one check of a healthy backend to the next. A failing one is checked every second."
      ),
      timeout: duration("2s", "How long a check may take."),
      rise: count(2, "Passed checks in a row that bring a failing backend back."),
      fall: count(1, "Failed checks in a row that take a backend out.")
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    timeout: Schema.Struct({
      connect: duration("2s", "How long a connection to a backend may take."),
      response: duration("15s", "How long a backend may take from the end of a request to the head of its response."),
      try: noLimit(PositiveDuration, {
        description: "How long a try may take from its begin to the head of the response, with the connection.",
        ...durationExpected
      }),
      exchange: noLimit(PositiveDuration, {
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
      shutdown: duration("30s", "How long requests in flight may take when the program is told to stop.")
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    retry: Schema.Struct({
      tries: count(2, "How many backends may get to see a request. Tries in which nothing was sent do not count."),
      on: entry(Schema.Array(Schema.Literals(RetryPolicy.reasons)), {
        default: [...RetryPolicy.reasons],
        description: "A failure after which another backend is tried, if the request was not sent or can be repeated.",
        title: "reason",
        expected: `one of ${RetryPolicy.reasons.join(", ")}`
      }),
      statuses: entry(Schema.Array(ErrorStatus), {
        default: [...RetryPolicy.defaultPolicy.statuses],
        description: "A backend's status after which another backend is tried, if the request can be repeated.",
        title: "status",
        expected: "a status from 400 to 599"
      }),
      methods: entry(Schema.Array(Method), {
        default: [...RetryPolicy.defaultPolicy.methods],
        description: "A method whose requests can be repeated.",
        title: "method",
        expected: "a method such as GET"
      }),
      bodyLimit: bytes("64KiB", "The longest body that is kept so that it can be sent again."),
      backoff: duration("25ms", "The longest wait before the first retry; the next ones may wait twice as long each."),
      maxWait: duration("2s", "The longest Retry-After that is waited for, where there is no other backend."),
      budget: entry(Percentage, {
        default: "20%",
        description: "How many retries there may be for the requests of the last 10 s.",
        ...percentExpected
      }),
      minPerSecond: entry(WholeNumber, {
        default: 3,
        description: "How many retries a second there may be besides.",
        title: "count",
        expected: "a whole number"
      })
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    hedge: Schema.Struct({
      after: noLimit(Percentage, {
        description: "Asks a second backend when a request takes longer than this share of the others, such as 95%.",
        ...percentExpected
      }),
      budget: entry(Percentage, {
        default: "2%",
        description: "How many of the requests of the last 10 s may be sent to a second backend for that.",
        ...percentExpected
      })
    }).pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))),
    limit: Schema.Struct({
      head: bytes("16KiB", "The longest head of a request or a response."),
      fields: count(100, "The most field lines in a head. Only the wire engine limits them."),
      target: bytes("8KiB", "The longest request target. Only the wire engine limits it."),
      body: noLimit(Bytes, {
        description: "The longest body of a request. Only the wire engine limits it.",
        ...bytesExpected
      }),
      connections: noLimit(Count, {
        description: "The most connections of clients. More are closed at once.",
        title: "count",
        expected: "a whole number of 1 or more"
      }),
      connectionsPerClient: noLimit(Count, {
        description: "The most connections from one address. Only the wire engine limits them.",
        title: "count",
        expected: "a whole number of 1 or more"
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
    accessLog: Schema.optional(Schema.Literals(["pretty", "json", "off"])).annotate({
      description: "How the log is written; off leaves out the single requests.",
      title: "format",
      [defaultKey]: "pretty on a terminal, json otherwise"
    })
  })

/** The settings, decoded. */
export type Settings<Name extends string = string> = ReturnType<typeof schema<Name>>["Type"]

/** The settings as they are written in a file: everything may be left out. */
export type Input<Name extends string = string> = ReturnType<typeof schema<Name>>["Encoded"]

// -----------------------------------------------------------------------------
// The same settings as a list
// -----------------------------------------------------------------------------

/** What the names of environment variables begin with. */
export const variablePrefix = "EVENKEEL"

/** One setting and its names. */
export interface Option {
  /** Where it stands, such as `["health", "interval"]`. */
  readonly path: ReadonlyArray<string>
  /** In a file and in code: `health.interval`. */
  readonly key: string
  /** On the command line, without the dashes: `health-interval`. */
  readonly flag: string
  /** In the environment: `EVENKEEL_HEALTH_INTERVAL`. */
  readonly variable: string
  readonly description: string
  /** What stands for a value, such as `duration`. */
  readonly placeholder: string
  /** Completes "expected ..."; for a list, what one item is. */
  readonly expected: string
  /** The words to choose from, if it is such a setting. */
  readonly choices: ReadonlyArray<string>
  readonly defaultText: string
  readonly isList: boolean
  /** Decodes this setting alone. */
  readonly codec: Schema.Codec<unknown>
}

const choicesOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  if (SchemaAST.isUnion(ast)) return ast.types.flatMap(choicesOf)
  return SchemaAST.isLiteral(ast) && typeof ast.literal === "string" ? [ast.literal] : []
}

const textOf = (value: unknown): string => (Array.isArray(value) ? value.join(" ") || "none" : String(value))

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const option = (path: ReadonlyArray<string>, ast: SchemaAST.AST): Option => {
  const { description, expected, title, [defaultKey]: defaultValue } = SchemaAST.resolve(ast) ?? {}
  const choices = choicesOf(ast)
  const flag = path.map(kebab).join("-")
  return {
    path,
    key: path.join("."),
    flag,
    variable: `${variablePrefix}_${flag.replaceAll("-", "_").toUpperCase()}`,
    description: String(description),
    placeholder: String(title),
    expected: choices.length > 0 ? choices.map((choice) => `"${choice}"`).join(" | ") : String(expected),
    choices,
    defaultText: textOf(defaultValue),
    isList: SchemaAST.isArrays(ast),
    codec: Schema.make(ast)
  }
}

/** Every setting of a Schema, in the order of the Schema. */
export const optionsOf = (struct: Schema.Constraint): ReadonlyArray<Option> => {
  const walk = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<Option> => {
    // Only groups of settings are structs without a description of their own.
    const isGroup = SchemaAST.isObjects(ast) && SchemaAST.resolve(ast)?.["description"] === undefined
    if (!isGroup) return [option(path, ast)]
    return ast.propertySignatures.flatMap((field) => walk(field.type, [...path, String(field.name)]))
  }
  return walk(struct.ast, [])
}
