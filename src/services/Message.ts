/**
 * What a message keeps of the wire on its way through the platform's interfaces.
 *
 * The platform's requests and responses have record-shaped headers and a parsed URL, which lose the order, case and
 * repetition of field lines and the exact request target. An engine (a pair of `HttpServer` and `HttpClient` layers)
 * that knows better attaches the head as it was, under one of three symbols; an engine that does not is served from the
 * records. So the forwarder is one program for all engines, and what is attached is for whoever understands it.
 *
 * Owns heads and these attachments. The conversions to and from the platform's types are in `PlatformRequest` and
 * `PlatformResponse`, the rules for what may be forwarded in `HeaderFields`.
 */
import type * as Stream from "effect/Stream"
import type { FieldLines } from "./Fields.ts"
import type { Reason } from "./Reason.ts"

/** The body of a request as its engine has it. It may have no bytes. */
export interface RequestBody {
  /** Before it is first sent: keeps what is sent of it, up to so many bytes, so that it can be sent again. */
  keep(maxBytes: number): void
  /** Whether all of it can be sent, once more or for the first time. */
  readonly isWhole: boolean
  /** Whether the client is waited for: more has to come, and the receiver is ready for it. */
  readonly isAwaited: boolean
  /** Calls `done` when the last byte has come from the client, or at once if it has come already. */
  whenComplete(done: () => void): void
  /** It will not be sent again. */
  settle(): void
  /**
   * Why the client has not got all of the response, for an engine that writes it behind the platform's back: where there
   * is a middleware, the scope of such a request closes as after a success.
   */
  readonly brokenBy?: Reason | undefined
}

/** Decides whether a request that was lost with a reused connection may be sent once more. */
export interface Resending {
  readonly mayResend: boolean
  /** Told before a lost request is sent again to the same backend on a new connection. Whether the budget allows it. */
  resend(origin: string): boolean
}

/** The head of a request. */
export interface RequestHead {
  readonly method: string
  /** The request target, byte for byte (RFC 9112 §3.2). */
  readonly target: string
  readonly fields: FieldLines
  /** What the client speaks to us, if the engine says so. */
  readonly protocol?: "http" | "https" | undefined
  /** The engine's own handle on the body, meaningful to that engine's client only. */
  readonly body: RequestBody | undefined
  /** The protocol to go on with, if both sides agree (RFC 9110 §7.8), on an engine that can. */
  readonly upgrade?: string | undefined
  /** Whether the client asked for trailers, with `TE` (RFC 9110 §10.1.4), on an engine that forwards them. */
  readonly acceptsTrailers?: boolean | undefined
  /** Whether a program has changed the target, a field or the address, which may be none that can be sent. */
  readonly isAltered?: boolean | undefined
}

/** The head of a request on its way to a backend. */
export interface SentHead extends RequestHead {
  readonly origin: string
  /** Without it, idempotent requests may be sent once more. */
  readonly resending?: Resending | undefined
}

/** An engine's own handle on the body of a response, meaningful to that engine's server only. */
export interface ResponseBody {
  /** A count that grows whenever bytes of it come; only that it grows can be relied on. */
  readonly received: number
  /** Whether it has broken off before its end. */
  readonly isBroken: boolean
  /** Lets go of what has not been read. Harmless when all has been. */
  release(): void
}

/** The head of a response. */
export interface ResponseHead {
  readonly status: number
  /** The reason phrase (RFC 9112 §4); empty where there is none. */
  readonly statusText: string
  readonly fields: FieldLines
  readonly body: ResponseBody | undefined
  /** The protocol that the connection goes on with after a 101, or could go on with (RFC 9110 §7.8). */
  readonly upgrade?: string | undefined
}

/** A body as the platform has it, made only when somebody asks for it. */
export type LazyBody = () => Stream.Stream<Uint8Array, unknown>

/** The key of the head of a request that was received. */
export const requestHead: unique symbol = Symbol.for("evenkeel/services/Message/requestHead")

/** The key of the head of a request that is to be sent. */
export const sentHead: unique symbol = Symbol.for("evenkeel/services/Message/sentHead")

/** The key of a response's attached head. */
export const responseHead: unique symbol = Symbol.for("evenkeel/services/Message/responseHead")

/** A message with the head of a request attached. */
export interface WithRequestHead {
  readonly [requestHead]: RequestHead
}

/** A request that is to be sent with this head, exactly. */
export interface WithSentHead {
  readonly [sentHead]: SentHead
}

/** Marks clients for which `releasesBodies` holds. */
export const releases: unique symbol = Symbol.for("evenkeel/services/Message/releases")

/** Whether the client's responses to requests with `sentHead` are let go by `ResponseBody.release`, and need no scope. */
export const releasesBodies = (client: object): boolean => releases in client

/** A message with the head of a response attached. */
export interface WithResponseHead {
  readonly [responseHead]: ResponseHead
}

/** Whether an engine attached the head of a request. */
export const hasRequestHead = (message: object): message is WithRequestHead => requestHead in message

/** Whether the head to be sent is attached. */
export const hasSentHead = (message: object): message is WithSentHead => sentHead in message

/** Whether an engine attached the head of a response. */
export const hasResponseHead = (message: object): message is WithResponseHead => responseHead in message

/** Attaches the head of a request to a platform object, which stays what it is. */
export const attachRequestHead = <A extends object>(message: A, head: RequestHead): A & WithRequestHead =>
  Object.assign(message, { [requestHead]: head })

/** Attaches the head of a response to a platform object, which stays what it is. */
export const attachResponseHead = <A extends object>(message: A, head: ResponseHead): A & WithResponseHead =>
  Object.assign(message, { [responseHead]: head })
