/**
 * Reads HTTP/1.1 messages as strictly as one can, for either end: whatever is not exactly as the balancer should write
 * it is bad. It looks at nothing but one connection; what a message should have been is for `Requests` and `Answers`.
 */
export interface Message {
  /** The request line or the status line. */
  readonly start: string
  /** By name in lower case; several lines of one name are one, with commas. */
  readonly fields: ReadonlyMap<string, string>
  readonly framing: "none" | "length" | "chunked" | "close"
  body: Buffer
  trailers: ReadonlyArray<string>
}

export interface Events {
  /** The first line of a message is there. */
  readonly onStart?: (line: string) => void
  readonly onHead: (message: Message) => void
  readonly onWhole: (message: Message) => void
  readonly onBad: (why: string) => void
}

const requestLine = /^[A-Z]+ \/[!-~]* HTTP\/1\.1$/
const statusLine = /^HTTP\/1\.1 [1-5]\d\d [\t -~]*$/
const fieldLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)?$/
const chunkLine = /^(?:0|[1-9a-f][0-9a-f]*)$/i

const lineEnd = "\r\n"

export class Reader {
  /** Whether something of a message has come, and not all of it. */
  isInside = false
  private rest: Buffer = Buffer.alloc(0)
  private message: Message | undefined
  private isStarted = false
  private parts: Array<Buffer> = []
  /** Bytes of the body, or of its chunk, that are still to come. */
  private left = 0
  private phase: "head" | "body" | "size" | "chunk" | "chunk end" | "trailers" | "bad" = "head"
  private readonly kind: "request" | "answer"
  private readonly events: Events
  private readonly methodOf: () => string

  /** `methodOf` is the method that the next answer is to. */
  constructor(kind: "request" | "answer", events: Events, methodOf: () => string = () => "") {
    this.kind = kind
    this.events = events
    this.methodOf = methodOf
  }

  read(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    while (this.step());
    if (this.phase === "head") this.isInside = this.rest.length > 0
  }

  /** The connection has ended, cleanly or not. */
  end(isClean: boolean): void {
    if (isClean && this.message?.framing === "close" && this.phase === "body") this.finish([])
  }

  private bad(why: string): false {
    this.phase = "bad"
    this.events.onBad(`${why}, before ${JSON.stringify(this.rest.toString("latin1", 0, 80))}`)
    return false
  }

  private take(length: number): Buffer {
    const taken = this.rest.subarray(0, length)
    this.rest = this.rest.subarray(length)
    return taken
  }

  /** What is before this text, once it is there. */
  private until(text: string): string | undefined {
    const at = this.rest.indexOf(text)
    if (at === -1) return undefined
    return this.take(at + text.length).toString("latin1", 0, at)
  }

  /** Whether there may be another step to take now. */
  private step(): boolean {
    switch (this.phase) {
      case "head":
        return this.readHead()
      case "body":
      case "chunk":
        return this.readBytes()
      case "size":
        return this.readSize()
      case "chunk end":
        if (this.rest.length < 2) return false
        if (this.take(2).toString("latin1") !== lineEnd) return this.bad("a chunk is longer than its size")
        this.phase = "size"
        return true
      case "trailers":
        return this.readTrailers()
      case "bad":
        return false
    }
  }

  private readHead(): boolean {
    const { kind } = this
    if (!this.isStarted) {
      const at = this.rest.indexOf(lineEnd)
      if (at === -1) return false
      const line = this.rest.toString("latin1", 0, at)
      if (!(kind === "request" ? requestLine : statusLine).test(line)) return this.bad("a bad first line")
      this.isStarted = true
      this.events.onStart?.(line)
    }
    const head = this.until(lineEnd + lineEnd)
    if (head === undefined) return false
    const [start = "", ...lines] = head.split(lineEnd)
    const fields = new Map<string, string>()
    for (const line of lines) {
      const match = fieldLine.exec(line)
      if (match === null) return this.bad(`a bad field line ${JSON.stringify(line)}`)
      const [, name = "", value = ""] = match
      const before = fields.get(name.toLowerCase())
      fields.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`)
    }
    const framing = this.framingOf(start, fields)
    if (framing === undefined) return this.bad("a body that may end in two places")
    const message: Message = { start, fields, framing, body: Buffer.alloc(0), trailers: [] }
    this.message = message
    this.isInside = true
    this.left = framing === "length" ? Number(fields.get("content-length")) : framing === "close" ? Infinity : 0
    this.phase = framing === "chunked" ? "size" : "body"
    this.events.onHead(message)
    if (framing === "none" || (framing === "length" && this.left === 0)) this.finish([])
    return true
  }

  private framingOf(start: string, fields: Message["fields"]): Message["framing"] | undefined {
    const status = this.kind === "answer" ? Number(start.slice(9, 12)) : undefined
    const coding = fields.get("transfer-encoding")
    const length = fields.get("content-length")
    if (coding !== undefined && (length !== undefined || coding !== "chunked")) return undefined
    if (length !== undefined && !/^\d+$/.test(length)) return undefined
    if (status !== undefined && (status < 200 || status === 204)) return coding ?? length ? undefined : "none"
    if (status === 304 || (status !== undefined && this.methodOf() === "HEAD")) return "none"
    if (coding !== undefined) return "chunked"
    return length !== undefined ? "length" : status === undefined ? "none" : "close"
  }

  private readBytes(): boolean {
    if (this.rest.length === 0) return false
    const part = this.take(Math.min(this.left, this.rest.length))
    this.parts.push(part)
    this.left -= part.length
    if (this.left > 0) return false
    if (this.phase === "chunk") this.phase = "chunk end"
    else this.finish([])
    return true
  }

  private readSize(): boolean {
    const line = this.until(lineEnd)
    if (line === undefined) return this.rest.length > 20 ? this.bad("a chunk without a size") : false
    if (!chunkLine.test(line)) return this.bad(`a bad chunk size ${JSON.stringify(line)}`)
    this.left = Number.parseInt(line, 16)
    this.phase = this.left === 0 ? "trailers" : "chunk"
    return true
  }

  private readTrailers(): boolean {
    const lines: Array<string> = []
    const isEmpty = this.rest.toString("latin1", 0, 2) === lineEnd
    const text = isEmpty ? this.until(lineEnd) : this.until(lineEnd + lineEnd)
    if (text === undefined) return false
    if (text !== "") lines.push(...text.split(lineEnd))
    const wrong = lines.find((line) => !fieldLine.test(line))
    if (wrong !== undefined) return this.bad(`a bad trailer ${JSON.stringify(wrong)}`)
    this.finish(lines)
    return true
  }

  private finish(trailers: ReadonlyArray<string>): void {
    const { message } = this
    this.message = undefined
    this.isStarted = this.isInside = false
    this.phase = "head"
    if (message === undefined) return
    message.body = Buffer.concat(this.parts)
    message.trailers = trailers
    this.parts = []
    this.events.onWhole(message)
  }
}
