/** What a fake backend has seen of one request, and the request as it sees it. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Stream from "effect/Stream"
import * as Message from "../../services/Message.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import type { Outcome } from "../../services/Outcome.ts"

/** A request that a backend has received. */
export interface Received {
  readonly method: string
  /** The request target: path and query. */
  readonly target: string
  readonly headers: Headers.Headers
  /** What the backend has read of the body. */
  readonly body: string
  /** When it was sent, in milliseconds of `Monotonic`. */
  readonly at: number
  /** `undefined` as long as it is in flight. `aborted` means that the client let go before the end of the answer. */
  readonly outcome: Outcome | undefined
}

/** The head as a server sees it: with the `Host` and the framing that a client writes of its own accord. */
export const headersOf = (request: HttpClientRequest.HttpClientRequest, host: string): Headers.Headers => {
  const framed = request.body._tag === "Empty" || "content-length" in request.headers
  return Headers.fromInput({ host, ...(framed ? {} : { "transfer-encoding": "chunked" }), ...request.headers })
}

/** One request, from its connection to the end of its answer. */
export class Reception implements Received {
  readonly method: string
  readonly target: string
  readonly headers: Headers.Headers
  readonly at: number
  outcome: Outcome | undefined
  /** When something of the request was read last. */
  lastRead: number
  /** The request for a handler. */
  readonly request: HttpServerRequest.HttpServerRequest
  private readonly decoder = new TextDecoder()
  private text = ""

  constructor(request: HttpClientRequest.HttpClientRequest, url: URL, clock: Clock.Clock) {
    this.method = request.method
    this.target = Message.hasSentHead(request) ? request[Message.sentHead].target : url.pathname + url.search
    this.headers = headersOf(request, url.host)
    this.at = Monotonic.millisUnsafe(clock)
    this.lastRead = this.at
    const read = (chunk: Uint8Array) =>
      Effect.sync(() => {
        this.text += this.decoder.decode(chunk, { stream: true })
        this.lastRead = Monotonic.millisUnsafe(clock)
      })
    const { body, hash, urlParams } = request
    const { stream } = HttpServerRequest.fromClientRequest(request)
    const tapped = body._tag === "Empty" ? body : HttpBody.stream(Stream.tap(stream, read))
    const whole = HttpClientRequest.makeWith(request.method, request.url, urlParams, hash, this.headers, tapped)
    this.request = HttpServerRequest.fromClientRequest(whole).modify({ url: this.target })
  }

  get body(): string {
    return this.text
  }
}
