/**
 * What Node's own HTTP makes of bytes: the second opinion on our codec. It sees them through a stream in this process.
 */
import type { EventEmitter } from "node:events"
import * as Http from "node:http"
import { Duplex } from "node:stream"
import { latin1 } from "../layers/wire/Codec.ts"

/** A message as far as Node has reported it. */
export interface Seen {
  /** A request's method, target and version, or a response's version, status and reason phrase. */
  readonly start: ReadonlyArray<string | number>
  readonly fields: ReadonlyArray<string>
  body: string
  trailers: ReadonlyArray<string>
  isComplete: boolean
}

export interface Opinion {
  readonly messages: Array<Seen>
  /** Why Node gave up, as a code of its parser. */
  error: string | undefined
}

/** A connection whose other side sends these bytes and then nothing more, and takes whatever comes. */
const connection = (): Duplex =>
  new Duplex({
    read: () => {},
    write: (_chunk, _encoding, done) => done()
  })

const closed = (emitter: EventEmitter): Promise<void> =>
  // What was read last is delivered after the stream itself has closed.
  new Promise((resolve) => emitter.once("close", () => setImmediate(resolve)))

const watch = (start: Seen["start"], message: Http.IncomingMessage): Seen => {
  const seen: Seen = { start, fields: message.rawHeaders, body: "", trailers: [], isComplete: false }
  message.on("data", (data: Buffer) => {
    seen.body += data.toString("latin1")
  })
  message.on("end", () => {
    seen.trailers = message.rawTrailers
    seen.isComplete = message.complete
  })
  message.on("error", () => {})
  return seen
}

const codeOf = (error: Error): string => ("code" in error ? String(error.code) : error.message)

/**
 * White space after a value may be a tab (RFC 9110 §5.6.3), of which Node's parser knows nothing where that
 * value is a coding: it refuses such a request and reads such a response to the end of the connection. That of Node 22
 * does not know it behind a length either. Found by this very comparison.
 */
const trailingTabs = Number.parseInt(process.versions.node) < 24
  ? /^(?:transfer-encoding:[^\r\n]*chunked|content-length:[ \t]*\d+)[ \t]+\r\n/gim
  : /^transfer-encoding:[^\r\n]*chunked[ \t]+\r\n/gim

const withoutTabs = (bytes: string): string => bytes.replace(trailingTabs, (text) => text.replaceAll("\t", " "))

const maxHeaderSize = 64 * 1024

/** The requests that `node:http` reads from these bytes. All are answered, as far as they come. */
export const requests = async (bytes: string): Promise<Opinion> => {
  const opinion: Opinion = { messages: [], error: undefined }
  const server = Http.createServer({ maxHeaderSize, keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
    opinion.messages.push(watch([request.method!, request.url!, request.httpVersion], request))
    response.on("error", () => {})
    request.on("end", () => response.end())
  })
  server.on("connect", (request, socket) => {
    opinion.messages.push({ ...watch([request.method!, request.url!, request.httpVersion], request), isComplete: true })
    socket.destroy()
  })
  server.on("clientError", (error, socket) => {
    opinion.error = codeOf(error)
    // First the messages before the error are delivered.
    setImmediate(() => socket.destroy())
  })
  const stream = connection()
  const end = closed(stream)
  server.emit("connection", stream)
  stream.push(latin1(withoutTabs(bytes)))
  stream.push(null)
  await end
  return opinion
}

/** The responses to one request, interim ones included, that `node:http` reads from these bytes. */
export const responses = async (method: string, bytes: string): Promise<Opinion> => {
  const opinion: Opinion = { messages: [], error: undefined }
  const stream = connection()
  const request = Http.request({ method, maxHeaderSize, createConnection: () => stream })
  const end = closed(request)
  request.on("information", ({ httpVersion, rawHeaders, statusCode, statusMessage }) => {
    const start = [httpVersion, statusCode, statusMessage]
    opinion.messages.push({ start, fields: rawHeaders, body: "", trailers: [], isComplete: true })
  })
  request.on("response", (response) => {
    const { httpVersion, statusCode, statusMessage } = response
    opinion.messages.push(watch([httpVersion, statusCode!, statusMessage!], response))
  })
  request.on("error", (error) => {
    opinion.error = codeOf(error)
  })
  request.end()
  await new Promise((resolve) => setImmediate(resolve))
  stream.push(latin1(withoutTabs(bytes)))
  stream.push(null)
  await end
  stream.destroy()
  return opinion
}
