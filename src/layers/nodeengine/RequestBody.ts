/**
 * The body of a request on its way from node:http to undici.
 *
 * Owns the hand-over and `100 Continue`, which the client waits for. It neither parses nor frames.
 */
import type * as Http from "node:http"
import { Readable } from "node:stream"

/**
 * The body of a received request, which is read only when it is opened and only as fast as it is consumed.
 *
 * It stands between the client's connection and undici, which destroys the bodies of failed requests: that must not close
 * the connection that the error is still to be sent on.
 */
export class RequestBody {
  private readonly source: Http.IncomingMessage
  private readonly response: Http.ServerResponse

  constructor(source: Http.IncomingMessage, response: Http.ServerResponse) {
    this.source = source
    this.response = response
  }

  /** A stream of the body for one try. */
  open(): Readable {
    const { response, source } = this
    let started = false
    const onData = (chunk: Buffer) => {
      if (!body.push(chunk)) source.pause()
    }
    const onEnd = () => body.push(null)
    const body = new Readable({
      read() {
        if (!started) {
          started = true
          // RFC 9110 §10.1.1: the client waits until somebody wants the body, and only HTTP/1.1 has that.
          const waits = source.headers.expect !== undefined && source.httpVersion === "1.1"
          if (waits && !response.headersSent) response.writeContinue()
          source.on("data", onData).on("end", onEnd)
        }
        source.resume()
      },
      destroy(error, done) {
        source.off("data", onData).off("end", onEnd).pause()
        done(error)
      }
    })
    return body
  }
}
