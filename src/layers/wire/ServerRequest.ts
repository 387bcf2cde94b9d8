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
import { isNamed, linesWhere, valueOf } from "../../services/Fields.ts"
import { toFields } from "../../services/HeaderRecord.ts"
import * as Message from "../../services/Message.ts"
import * as Target from "../../services/Target.ts"
import { BodyTooLarge } from "./BodyReader.ts"
import { IncomingMessage, ReceivedBody } from "./IncomingMessage.ts"
import type { ServerExchange } from "./ServerExchange.ts"

/** What a view of a request may have otherwise than the request. */
interface View {
  readonly url: string | undefined
  readonly headers: Headers.Headers | undefined
  readonly remoteAddress: Option.Option<string> | undefined
  readonly peerAddress: Option.Option<string> | undefined
  readonly protocol: "http" | "https" | undefined
}

const asReceived: View = {
  url: undefined,
  headers: undefined,
  remoteAddress: undefined,
  peerAddress: undefined,
  protocol: undefined
}

/** A program may have made a record with names in any case. */
const isFraming = (name: string): boolean => isNamed(name, "content-length") || isNamed(name, "transfer-encoding")

/** Brings modules that no forwarded request needs. */
const loadUpgrade = Effect.promise(() => import("./Upgrade.ts"))

/** The forms that were read, by their bodies, which all views of a request share. */
const multiparts = new WeakMap<
  ReceivedBody,
  Effect.Effect<Multipart.Persisted, Multipart.MultipartError, Scope.Scope | FileSystem.FileSystem | Path.Path>
>()

export class ServerRequest extends IncomingMessage<HttpServerError>
  implements HttpServerRequest.HttpServerRequest, Message.WithRequestHead
{
  readonly [HttpServerRequest.TypeId]: typeof HttpServerRequest.TypeId = HttpServerRequest.TypeId
  readonly [Message.requestHead]: Message.RequestHead
  readonly source: ServerExchange
  private readonly view: View
  private cookieRecord: ReadonlyRecord<string, string> | undefined

  constructor(source: ServerExchange, content: ReceivedBody = new ReceivedBody(source.body), view: View = asReceived) {
    super(source.request.fields, content, view.headers)
    this.source = source
    this.view = view
    // The address is sent on as well.
    const isAltered = view.url !== undefined || view.headers !== undefined || view.remoteAddress !== undefined
    this[Message.requestHead] = isAltered ? { ...this.altered(), isAltered } : source[Message.requestHead]
  }

  /**
   * What a program has changed is forwarded as it says, but for the framing, which is that of the body as it comes. A
   * target with an authority leaves that as the `Host`, unless the program has said another one.
   */
  private altered(): Message.RequestHead {
    const { source, view: { headers, url } } = this
    const { fields, method, target } = source.request
    if (headers === undefined && (url === undefined || Target.authorityOf(target) === undefined)) {
      return source.headWith(url ?? target, fields)
    }
    const framing = linesWhere(fields, isFraming)
    // With `Connection`, a client could take away what the program has set (CVE-2022-31813).
    const isDropped = (name: string) => isFraming(name) || (headers !== undefined && isNamed(name, "connection"))
    const others = linesWhere(toFields(this.headers), (name) => !isDropped(name))
    return source.headWith(url ?? Target.originForm(method, target), [...others, ...framing])
  }

  protected override failure(cause: unknown): HttpServerError {
    const reason = cause instanceof BodyTooLarge ? "BodyTooLarge" : "Parse"
    return new HttpServerError({ reason: new RequestParseError({ request: this, reason, cause }) })
  }

  get method(): string {
    return this.source.request.method.toUpperCase()
  }

  get url(): string {
    if (this.view.url !== undefined) return this.view.url
    const { target } = this.source.request
    if (Target.authorityOf(target) === undefined || !URL.canParse(target)) return target
    const { pathname, search } = new URL(target)
    return pathname + search
  }

  get originalUrl(): string {
    const { fields, target } = this.source.request
    const host = valueOf(fields, "host")
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

  modify(
    changes: Parameters<HttpServerRequest.HttpServerRequest["modify"]>[0]
  ): HttpServerRequest.HttpServerRequest {
    const { headers, peerAddress, protocol, remoteAddress, url } = this.view
    return new ServerRequest(this.source, this.content, {
      url: changes.url ?? url,
      headers: changes.headers ?? headers,
      remoteAddress: changes.remoteAddress ?? remoteAddress,
      peerAddress: changes.peerAddress ?? peerAddress,
      protocol: changes.protocol ?? protocol
    })
  }

  get multipartStream(): Stream.Stream<Multipart.Part, Multipart.MultipartError> {
    return Stream.pipeThroughChannel(
      Stream.mapError(this.stream, (cause) => Multipart.MultipartError.fromReason("InternalError", cause)),
      Multipart.makeChannel(this.headers)
    )
  }

  /** It is read once, and the files are kept as long as the scope of whoever asked first. */
  get multipart(): Effect.Effect<
    Multipart.Persisted,
    Multipart.MultipartError,
    Scope.Scope | FileSystem.FileSystem | Path.Path
  > {
    return Effect.suspend(() => {
      const known = multiparts.get(this.content)
      if (known !== undefined) return known
      return Effect.flatMap(Effect.cached(Multipart.toPersisted(this.multipartStream)), (multipart) => {
        multiparts.set(this.content, multipart)
        return multipart
      })
    })
  }

  get upgrade(): Effect.Effect<Socket.Socket, HttpServerError> {
    return this.upgradeWith({})
  }

  upgradeWith(options: { readonly headers?: Headers.Input | undefined }): Effect.Effect<
    Socket.Socket,
    HttpServerError
  > {
    // What the client has asked for, whatever the program has made of the headers.
    const { upgrade } = this.source[Message.requestHead]
    if (upgrade === undefined) {
      const description = "not an upgradeable ServerRequest"
      return Effect.fail(new HttpServerError({ reason: new RequestParseError({ request: this, description }) }))
    }
    const of = { request: this, exchange: this.source, content: this.content }
    return Effect.flatMap(loadUpgrade, ({ ofServer }) => ofServer(of, upgrade, options.headers))
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
