/**
 * A request as the platform's `HttpServerRequest`, with its head attached as it was on the wire.
 *
 * Owns the derivation of everything that applications other than a forwarder ask for.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import { HttpServerError, RequestParseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Multipart from "effect/http/Multipart"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type { ReadonlyRecord } from "effect/Record"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Message from "../../services/Message.ts"
import * as Target from "../../services/Target.ts"
import { BodyTooLarge } from "./BodyReader.ts"
import { Body, IncomingMessage } from "./IncomingMessage.ts"
import * as Persistence from "./Persistence.ts"
import type { ServerExchange } from "./ServerExchange.ts"

/** What a view of a request may have otherwise than the request. */
type View = Parameters<HttpServerRequest.HttpServerRequest["modify"]>[0]

export class ServerRequest extends IncomingMessage<HttpServerError>
  implements HttpServerRequest.HttpServerRequest, Message.WithRequestHead
{
  readonly [HttpServerRequest.TypeId]: typeof HttpServerRequest.TypeId = HttpServerRequest.TypeId
  readonly [Message.requestHead]: Message.RequestHead
  readonly source: ServerExchange
  private readonly view: View
  private cookieRecord: ReadonlyRecord<string, string> | undefined

  constructor(source: ServerExchange, content: Body = new Body(source.body), view: View = {}) {
    const { fields, method, target, version } = source.request
    super(fields, content, view.headers)
    this.source = source
    this.view = view
    this[Message.requestHead] = {
      method,
      target,
      fields,
      body: source,
      upgrade: Persistence.upgradeOf(source.options, fields, version),
      acceptsTrailers: Persistence.acceptsTrailers(source.options, fields)
    }
  }

  protected override failure(cause: unknown): HttpServerError {
    const reason = cause instanceof BodyTooLarge ? "BodyTooLarge" : "Parse"
    return new HttpServerError({ reason: new RequestParseError({ request: this, reason, cause }) })
  }

  get method(): string {
    return this.source.request.method.toUpperCase()
  }

  get url(): string {
    return this.view.url ?? Target.originForm(this.method, this.source.request.target)
  }

  get originalUrl(): string {
    const { fields, target } = this.source.request
    const host = Persistence.valueOf(fields, "host")
    return target.startsWith("/") && host !== undefined ? `http://${host}${target}` : target
  }

  get protocol(): "http" | "https" | undefined {
    return this.view.protocol
  }

  get remoteAddress(): Option.Option<string> {
    return this.view.remoteAddress ?? Option.fromUndefinedOr(this.source.connection.remoteAddress)
  }

  get peerAddress(): Option.Option<string> {
    return this.view.peerAddress ?? this.remoteAddress
  }

  /** RFC 9112 §3.2.2: the authority of the target takes precedence over `Host`. */
  override get headers(): Headers.Headers {
    const headers = super.headers
    const authority = Target.authorityOf(this.source.request.target)
    return this.view.headers !== undefined || authority === undefined
      ? headers
      : Headers.set(headers, "host", authority)
  }

  get cookies(): ReadonlyRecord<string, string> {
    return this.cookieRecord ??= Cookies.parseHeader(this.headers["cookie"] ?? "")
  }

  modify(view: View): HttpServerRequest.HttpServerRequest {
    return new ServerRequest(this.source, this.content, { ...this.view, ...view })
  }

  get multipartStream(): Stream.Stream<Multipart.Part, Multipart.MultipartError> {
    return Stream.pipeThroughChannel(
      Stream.mapError(this.stream, (cause) => Multipart.MultipartError.fromReason("InternalError", cause)),
      Multipart.makeChannel(this.headers)
    )
  }

  get multipart(): Effect.Effect<
    Multipart.Persisted,
    Multipart.MultipartError,
    Scope.Scope | FileSystem.FileSystem | Path.Path
  > {
    return Multipart.toPersisted(this.multipartStream)
  }

  get upgrade(): Effect.Effect<Socket.Socket, HttpServerError> {
    return this.upgradeWith({})
  }

  upgradeWith(_options: { readonly headers?: Headers.Input | undefined }): Effect.Effect<
    Socket.Socket,
    HttpServerError
  > {
    const description = "not an upgradeable ServerRequest"
    return Effect.fail(new HttpServerError({ reason: new RequestParseError({ request: this, description }) }))
  }

  override toString(): string {
    return `ServerRequest(${this.method} ${UrlParams.redactUrl(this.url)})`
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpServerRequest",
      method: this.method,
      url: UrlParams.redactUrl(this.originalUrl)
    })
  }
}
