/**
 * The body of a request on its way from node:http to undici.
 *
 * Owns the hand-over, what is kept of a short body for another try, and `100 Continue`, which the client waits for. It
 * neither parses nor frames.
 */
import type * as Cause from "effect/Cause"
import type * as Http from "node:http"
import { Readable } from "node:stream"
import { fromCause, TransportFailure } from "../../services/Failure.ts"
import type * as Message from "../../services/Message.ts"
import type { Reason } from "../../services/Reason.ts"

/**
 * Not after the response, which says enough. Behind other responses node:http holds what is written, and puts the head
 * before it: the 100 would be the begin of the body.
 */
const sendContinue = (response: Http.ServerResponse): void => {
  if (response.headersSent) return
  if (response.socket === null) response.once("socket", () => sendContinue(response))
  else response.writeContinue()
}

/**
 * The body of a received request, which is read only when it is opened and only as fast as it is consumed.
 *
 * It stands between the client's connection and undici, which destroys the bodies of failed requests: that must not
 * close the connection that the error is still to be sent on.
 */
export class RequestBody implements Message.RequestBody {
  private readonly source: Http.IncomingMessage
  private readonly response: Http.ServerResponse
  /** All that was read, as long as it is not too much. */
  private kept: Array<Buffer> | undefined
  /** How many bytes may still be kept. */
  private room = 0
  private isRead = false
  private received = 0
  private current: Readable | undefined
  /** Why the client has not got all of the response, if it has begun. */
  private brokenOffBy: Reason | undefined

  constructor(source: Http.IncomingMessage, response: Http.ServerResponse) {
    this.source = source
    this.response = response
  }

  keep(maxBytes: number): void {
    if (Number(this.source.headers["content-length"] ?? 0) > maxBytes) return
    this.kept = []
    this.room = maxBytes
  }

  get isWhole(): boolean {
    return this.kept !== undefined || !this.isRead
  }

  get isAwaited(): boolean {
    return this.source.readableFlowing === true && !this.source.complete
  }

  whenComplete(done: () => void): void {
    if (this.source.readableEnded) done()
    else this.source.once("end", done)
  }

  /** How many bytes have not come yet, or wait to be read. None where the client has not said how many there are. */
  get left(): number {
    const { complete, headers } = this.source
    return complete ? 0 : Math.max(0, Number(headers["content-length"] ?? 0) - this.received)
  }

  /** Whether the last try has all of it, or wants none. */
  get isSent(): boolean {
    return this.current?.readableEnded ?? true
  }

  settle(): void {
    this.kept = undefined
  }

  /** The client has not got all of the response. */
  brokeOff(cause: Cause.Cause<unknown>): void {
    this.brokenOffBy = fromCause(cause)
  }

  get brokenBy(): Reason | undefined {
    return this.brokenOffBy ?? this.cutBy
  }

  /** Why its connection was closed before the end of the body, if it was not the client who did that. */
  private get cutBy(): Reason | undefined {
    const { complete, socket } = this.source
    if (complete || socket.errored === null) return undefined
    if (socket.errored instanceof TransportFailure) return socket.errored.reason
    // The parser takes the end that a client who leaves has sent for an error as well.
    const code = "code" in socket.errored ? String(socket.errored.code) : ""
    return code.startsWith("HPE_") && code !== "HPE_INVALID_EOF_STATE" ? "bad_request" : undefined
  }

  private keepPiece(chunk: Buffer): void {
    if (this.kept === undefined) return
    this.room -= chunk.length
    if (this.room >= 0) this.kept.push(chunk)
    else this.kept = undefined
  }

  /** A stream of the body for one try: what was kept, then the rest. */
  open(): Readable {
    const { response, source } = this
    // An answer that came early may be kept, and the request that it is to still be sent.
    this.current?.destroy()
    let started = false
    const onData = (chunk: Buffer) => {
      this.received += chunk.length
      this.keepPiece(chunk)
      if (!body.push(chunk)) source.pause()
    }
    const onEnd = () => void body.push(null)
    const body = new Readable({
      read: () => {
        if (!started) {
          started = true
          for (const chunk of this.kept ?? []) body.push(chunk)
          if (source.readableEnded) return void body.push(null)
          // RFC 9110 §10.1.1: the client waits until somebody wants the body, and only HTTP/1.1 has that.
          const waits = !this.isRead && source.headers.expect !== undefined && source.httpVersion === "1.1"
          if (waits) sendContinue(response)
          this.isRead = true
          source.on("data", onData).on("end", onEnd)
        }
        source.resume()
      },
      destroy(error, done) {
        source.off("data", onData).off("end", onEnd)
        // After the response the rest is thrown away, which must go on, or no other request would come.
        if (!response.writableFinished) source.pause()
        done(error)
      }
    })
    return this.current = body
  }
}
