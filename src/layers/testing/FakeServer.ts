/**
 * A server without a socket, for tests: an `HttpServer` whose clients are the test itself.
 *
 * ```ts
 * const reply = yield* FakeServer.request("/hello")
 * ```
 *
 * It does to an application what the engine's server does: runs each request in a fiber of its own, which a client that
 * leaves interrupts, and closes the request's scope after the last byte of the body. `FakeBackends` is the other end.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServer from "effect/http/HttpServer"
import { ClientAbort, HttpServerError, ResponseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { originForm } from "../../services/Target.ts"
import { bodyOf } from "./Behaviour.ts"
import { headersOf } from "./Received.ts"

/** What a client got. */
export interface Reply {
  readonly status: number
  /** Without `Set-Cookie`, which a record cannot hold. */
  readonly headers: Headers.Headers
  /** The values of `Set-Cookie`, one for each line. */
  readonly setCookie: ReadonlyArray<string>
  readonly text: string
}

/** The connection broke off before the end of the response. */
export class Truncated extends Schema.TaggedError<Truncated>()("Truncated", {
  status: Schema.Finite,
  /** What had come of the body. */
  text: Schema.String
}) {
  override readonly message = "the response broke off before its end"
}

/** Who sends a request. */
export interface Options {
  /** The client's address: 127.0.0.1, unless it is given. */
  readonly from?: string | undefined
}

type Request = (
  request: string | HttpClientRequest.HttpClientRequest,
  options?: Options
) => Effect.Effect<Reply, Truncated>

/** The clients' end of the server. */
export class FakeServer extends Context.Service<FakeServer, {
  /** See `request`. */
  readonly request: Request
}>()("evenkeel/layers/testing/FakeServer") {}

/**
 * Sends a request to the application that is served, and reads the whole response. A string is the target of a GET,
 * such as `/search?q=1`. Interrupting it is what a client does that leaves.
 */
export const request = (...args: Parameters<Request>): Effect.Effect<Reply, Truncated, FakeServer> =>
  Effect.flatMap(FakeServer, (server) => server.request(...args))

/** The request as a server sees it. */
const received = (
  input: string | HttpClientRequest.HttpClientRequest,
  options: Options | undefined
): HttpServerRequest.HttpServerRequest => {
  const { body, hash, headers, method, url, urlParams } = typeof input === "string"
    ? HttpClientRequest.get(input)
    : input
  const absolute = url.startsWith("/") ? `http://localhost${url}` : url
  const query = UrlParams.toString(urlParams)
  const whole = query === "" ? absolute : `${absolute}${absolute.includes("?") ? "&" : "?"}${query}`
  if (!URL.canParse(whole)) throw new Error(`${url} is no target of a request, such as /search?q=1`)
  const { host } = new URL(whole)
  const sent = HttpClientRequest.makeWith(method, whole, UrlParams.empty, hash, headers, body)
  return HttpServerRequest.fromClientRequest(sent).modify({
    url: originForm(method, whole),
    headers: headersOf(sent, host),
    remoteAddress: Option.some(options?.from ?? "127.0.0.1")
  })
}

/** What the client has got until now. */
class Transcript {
  reply: Effect.Effect<Reply, Truncated> = Effect.die(new Error("the server sent no response"))
  private readonly decoder = new TextDecoder()
  private text = ""
  private bytes = 0

  /** Writes the response to the client. Succeeds after the last byte. */
  write(
    request: HttpServerRequest.HttpServerRequest,
    response: HttpServerResponse.HttpServerResponse
  ): Effect.Effect<void, HttpServerError> {
    const { cookies, headers, status } = response
    // A copy, because what an engine keeps in them would fill the output of a test that fails.
    const head = { status, headers: Headers.fromInput(headers), setCookie: Cookies.toSetCookieHeaders(cookies) }
    const complete = Effect.sync(() => {
      this.reply = Effect.succeed({ ...head, text: this.text })
    })
    if (HttpServerResponse.omitsBody(response, request.method === "HEAD")) return complete
    this.reply = Effect.suspend(() => Truncated.make({ status, text: this.text }))
    const failed = (cause: unknown) => new HttpServerError({ reason: new ResponseError({ request, response, cause }) })
    const read = Stream.runForEach(bodyOf(response), (chunk) =>
      Effect.sync(() => {
        this.bytes += chunk.length
        this.text += this.decoder.decode(chunk, { stream: true })
      }))
    // A body that is there already is sent, whoever interrupts: that is how a 503 gets out of a server that stops.
    return (response.body._tag === "Stream" ? Effect.interruptible(read) : read).pipe(
      Effect.mapError(failed),
      // A client counts.
      Effect.filterOrFail(
        () => headers["content-length"] === undefined || Number(headers["content-length"]) === this.bytes,
        () => failed(new Error("the body is not as long as Content-Length says"))
      ),
      Effect.andThen(complete)
    )
  }
}

/** A server that serves one application at a time. Its clients are in `FakeServer`. */
export const layer: Layer.Layer<FakeServer | HttpServer.HttpServer> = Layer.effectContext(Effect.gen(function*() {
  const scope = yield* Effect.scope
  let serve: ((transcript: Transcript) => Effect.Effect<void, never, HttpServerRequest.HttpServerRequest>) | undefined

  const server = HttpServer.make({
    address: NetAddress.inetAddressUnsafe(NetAddress.ipv4Loopback, 80),
    serve: (app, middleware) =>
      Effect.contextWith((context: Context.Context<Scope.Scope>) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            serve = (transcript) =>
              HttpEffect.toHandled(
                // The platform runs applications uninterruptibly; a client that leaves must stop its exchange at once.
                Effect.interruptible(app),
                (request, response) => transcript.write(request, response),
                middleware
              ).pipe(Effect.provideContext(context))
          }),
          () => Effect.sync(() => void (serve = undefined))
        )
      )
  })

  const fakeServer = FakeServer.of({
    request: (input, options) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          if (serve === undefined) {
            return yield* Effect.die(new Error("there is no application: nothing was served yet"))
          }
          const transcript = new Transcript()
          const exchange = Effect.provideService(
            serve(transcript),
            HttpServerRequest.HttpServerRequest,
            received(input, options)
          )
          const fiber = yield* Effect.forkIn(exchange, scope, { startImmediately: true })
          yield* restore(Fiber.await(fiber)).pipe(Effect.onInterrupt(() => {
            fiber.interruptUnsafe(undefined, ClientAbort.annotation)
            return Fiber.await(fiber)
          }))
          return yield* transcript.reply
        })
      )
  })

  return Context.make(HttpServer.HttpServer, server).pipe(Context.add(FakeServer, fakeServer))
}))
