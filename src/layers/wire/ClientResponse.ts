/**
 * A response as the platform's `HttpClientResponse`, with its head attached as it was on the wire.
 *
 * Owns the derivation of everything that programs other than a forwarder ask for.
 */
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import { DecodeError, HttpClientError, StatusCodeError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Option from "effect/Option"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { isNamed } from "../../services/Fields.ts"
import { connectionOptions } from "../../services/HeaderFields.ts"
import * as Message from "../../services/Message.ts"
import type { ClientExchange } from "./ClientExchange.ts"
import type { StatusLine } from "./Head.ts"
import { IncomingMessage, ReceivedBody } from "./IncomingMessage.ts"
import * as Persistence from "./Persistence.ts"

/** Brings modules that no forwarded response needs. */
const loadUpgrade = Effect.promise(() => import("./Upgrade.ts"))

export class ClientResponse extends IncomingMessage<HttpClientError>
  implements HttpClientResponse.HttpClientResponse, Pipeable, Message.WithResponseHead
{
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly [Message.responseHead]: Message.ResponseHead
  readonly request: HttpClientRequest.HttpClientRequest
  readonly status: number
  private readonly exchange: ClientExchange
  private cookieSet: Cookies.Cookies | undefined
  private form: Effect.Effect<FormData, HttpClientError> | undefined

  constructor(request: HttpClientRequest.HttpClientRequest, exchange: ClientExchange, head: StatusLine) {
    const { fields, status, statusText, version } = head
    super(fields, new ReceivedBody(exchange.body), undefined)
    this.request = request
    this.exchange = exchange
    this.status = status
    const upgrade = Persistence.upgradeOf(connectionOptions(fields), fields, version)
    this[Message.responseHead] = { status, statusText, fields, body: exchange, upgrade }
  }

  protected override failure(cause: unknown): HttpClientError {
    return new HttpClientError({ reason: new DecodeError({ request: this.request, response: this, cause }) })
  }

  get url(): string {
    const url = HttpClientRequest.toUrl(this.request)
    if (Option.isNone(url)) return ""
    url.value.hash = ""
    return url.value.href
  }

  get remoteAddress(): Option.Option<string> {
    return Option.fromUndefinedOr(this.exchange.connection?.remoteAddress)
  }

  get cookies(): Cookies.Cookies {
    if (this.cookieSet !== undefined) return this.cookieSet
    const lines = this.fields.filter((_, i) => i % 2 === 1 && isNamed(this.fields[i - 1]!, "set-cookie"))
    return this.cookieSet = Cookies.fromSetCookie(lines)
  }

  /** Who stops before the end does not want the rest, which ends the connection. */
  override get stream(): Stream.Stream<Uint8Array, HttpClientError> {
    return Stream.ensuring(super.stream, Effect.sync(() => this.content.cancel()))
  }

  /** It is read once, and then the same for everybody. */
  get formData(): Effect.Effect<FormData, HttpClientError> {
    return Effect.suspend(() => {
      if (this.form !== undefined) return this.form
      return Effect.flatMap(Effect.cached(this.readForm()), (form) => this.form ??= form)
    })
  }

  private readForm(): Effect.Effect<FormData, HttpClientError> {
    return Effect.flatMap(this.arrayBuffer, (bytes) =>
      Effect.tryPromise({
        try: () => new Response(bytes, { headers: { "content-type": this.headers["content-type"] ?? "" } }).formData(),
        catch: (cause) => this.failure(cause)
      }))
  }

  get upgrade(): Effect.Effect<Socket.Socket, HttpClientError> {
    const { connection } = this.exchange
    if (this.status === 101 && connection !== undefined) {
      return Effect.flatMap(loadUpgrade, ({ ofClient }) => ofClient(connection))
    }
    const description = "expected 101 Switching Protocols"
    return Effect.fail(
      new HttpClientError({ reason: new StatusCodeError({ request: this.request, response: this, description }) })
    )
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  pipe() {
    return pipeArguments(this, arguments)
  }
}
