/**
 * One request on its way through undici.
 *
 * Owns what the platform's client does not tell of it: whether anything can have been sent, the head of the response as
 * it came, and how much of the body.
 */
import type { Dispatcher } from "@effect/platform-node/Undici"
import { TransportFailure } from "../../services/Failure.ts"
import type { FieldLines } from "../../services/Fields.ts"
import type * as Message from "../../services/Message.ts"
import { RequestBody } from "./RequestBody.ts"

/** More than any backend has reason to send before its answer. */
const maxInterimResponses = 100

/** What was seen of the response is passed on to the handler. */
export class Transmission implements Dispatcher.DispatchHandler {
  readonly head: Message.SentHead | undefined
  readonly url: string
  /** Whether a connection was there and the request began to be written. Before that, nothing can have been sent. */
  started = false
  responseHead: { readonly statusText: string; readonly fields: FieldLines } | undefined
  /** Bytes of the body that have come. */
  received = 0
  private handler: Dispatcher.DispatchHandler = {}
  private interim = 0
  /** What the response says of the length of its body. */
  private length = NaN

  constructor(head: Message.SentHead | undefined, url: string) {
    this.head = head
    this.url = url
  }

  /** Whether all of it has gone to its connection, as far as is known: not of what has no body of ours. */
  get isSent(): boolean {
    return this.head?.body instanceof RequestBody && this.head.body.isSent
  }

  listen(handler: Dispatcher.DispatchHandler): this {
    this.handler = handler
    return this
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.started = true
    this.handler.onRequestStart?.(controller, context)
  }

  onRequestUpgrade(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onRequestUpgrade"]>>): void {
    this.handler.onRequestUpgrade?.(...args)
  }

  onResponseStart(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>): void {
    const [controller, status, headers, statusText] = args
    if (status < 200 && ++this.interim > maxInterimResponses) {
      // Each of them starts undici's timer anew.
      const message = "Interim responses without an end"
      return controller.abort(TransportFailure.make({ reason: "protocol_error", message }))
    }
    this.length = Number(headers["content-length"])
    const { rawHeaders } = controller
    if (Array.isArray(rawHeaders)) {
      const fields = rawHeaders.map((part) => (typeof part === "string" ? part : part.toString("latin1")))
      // undici decodes the phrase as UTF-8; heads hold bytes.
      this.responseHead = { statusText: Buffer.from(statusText ?? "").toString("latin1"), fields }
    }
    this.handler.onResponseStart?.(...args)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.received += chunk.length
    this.handler.onResponseData?.(controller, chunk)
    // Paused behind the last byte, undici takes the body for cut when the backend closes the connection.
    if (this.received === this.length) controller.resume()
  }

  onResponseEnd(...args: Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseEnd"]>>): void {
    this.handler.onResponseEnd?.(...args)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.handler.onResponseError?.(controller, error)
  }
}
