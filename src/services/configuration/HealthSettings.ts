/**
 * The settings of health checks and of ejection, as groups of `Configuration`. What they mean is in `Health`,
 * `Probe` and `Ejection`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Authority, HeaderField, HostName, Port, Statuses } from "./CheckNotation.ts"
import { UrlPath } from "./Notation.ts"
import { count, duration, entry, percent, unset } from "./Setting.ts"

/** How backends are checked, and what follows from it. */
export const health = Schema.Struct({
  kind: entry(Schema.Literals(["http", "tcp", "off"]), {
    default: "http",
    description: "What a health check is: a request, a connection that is closed at once, or nothing.",
    title: "what"
  }),
  path: entry(UrlPath, {
    default: "/",
    description: "What a health check asks a backend for.",
    title: "path",
    expected: "a path that begins with a slash, such as /healthz"
  }),
  method: entry(Schema.Literals(["GET", "HEAD", "OPTIONS", "POST"]), {
    default: "GET",
    description: "The method of a health check.",
    title: "method"
  }),
  headers: entry(Schema.Array(HeaderField), {
    default: [],
    description: "A header field that health checks have besides.",
    title: "field",
    expected: "a header field such as \"X-Check: deep\"",
    separator: "line break",
    secret: "hidden"
  }),
  host: unset("where the checks go", Authority, {
    description: "The Host field of health checks.",
    title: "host",
    expected: "a host such as example.com, or a host and a port"
  }),
  status: entry(Statuses, {
    default: "200-399",
    description: "The statuses with which a health check passes.",
    title: "statuses",
    expected: "statuses from 200 to 599, such as 200-399,401"
  }),
  body: unset("any", Schema.NonEmptyString, {
    description: "A text that must be in the first 64 KiB of the answer to a health check.",
    title: "text",
    expected: "a text that is not empty"
  }),
  address: unset("the backend's own", HostName, {
    description: "Where health checks connect to instead of the backend's own host.",
    title: "host",
    expected: "a host name or an address, without a port"
  }),
  port: unset("the backend's own", Port, {
    description: "The port that health checks connect to instead of the backend's own.",
    title: "port",
    expected: "a port from 1 to 65535"
  }),
  interval: duration(
    "5s",
    "From one check of a healthy backend to the next. A failing one is checked every second, and every 30s in the end."
  ),
  timeout: duration("2s", "How long a check may take."),
  rise: count(2, "Passed checks in a row that bring a failing backend back."),
  fall: count(1, "Failed checks in a row that take a backend out."),
  initial: entry(Schema.Literals(["up", "checking", "down"]), {
    default: "checking",
    description:
      "What a new backend gets before its first check: requests (up), requests until as many others have passed theirs (checking), none (down).",
    title: "state"
  }),
  panic: percent(
    "50%",
    "When a smaller share of the backends is well, all that answer their checks get traffic, but for the ejected; 0% is never."
  )
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))

/** When the failures of real traffic take a backend out. */
export const ejection = Schema.Struct({
  failures: count(5, "Requests in a row that have to fail before a backend is ejected."),
  successRate: percent(
    "80%",
    "A backend with a smaller share of successes in the last 30s is ejected; 0% is never."
  ),
  volume: count(20, "Requests in the last 30s before the share of successes means anything."),
  time: duration("10s", "The length of an ejection; each further one in a row is twice as long."),
  maxTime: duration("300s", "No ejection is longer, but for a quarter of jitter."),
  maxShare: percent(
    "50%",
    "The share of the backends that may be ejected at once, unless checks fail as well or a backup is well; 0% turns ejection off."
  )
}).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
