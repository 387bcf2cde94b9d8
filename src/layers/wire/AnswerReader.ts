/**
 * Reads from a backend's connection up to the head that ends the waiting: of the final response, or a 101.
 *
 * Owns what comes before it: interim responses (RFC 9110 §15.2), which go to the exchange at once.
 */
import type { ClientExchange } from "./ClientExchange.ts"
import { Malformed } from "./Grammar.ts"
import { type Limits, parseResponse, type StatusLine } from "./Head.ts"
import { HeadReader } from "./HeadReader.ts"

/** More than any backend has reason to send before its answer. */
const maxInterim = 100

/** A head, and where in the chunk the bytes after it begin. */
interface Answer {
  readonly head: StatusLine
  readonly rest: number
}

export class AnswerReader {
  private readonly limits: Limits
  private readonly reader: HeadReader
  private interim = 0

  constructor(limits: Limits) {
    this.limits = limits
    this.reader = new HeadReader("response", limits)
  }

  /** Reads on from `at`. `undefined` means that the chunk is used up. */
  read(exchange: ClientExchange, chunk: Buffer, at: number): Answer | Malformed | undefined {
    const found = this.reader.read(chunk, at)
    if (found === undefined || found instanceof Malformed) return found
    const head = parseResponse(found.text, this.limits)
    if (head instanceof Malformed) return head
    if (head.status >= 200 || head.status === 101) {
      this.interim = 0
      return { head, rest: found.rest }
    }
    if (++this.interim > maxInterim) return new Malformed(400, "there are interim responses without an end")
    // We expect no 100 and answer whoever does (RFC 9110 §15.2.1).
    if (head.status !== 100) exchange.onInterim(head.status, head.statusText, head.fields)
    return this.read(exchange, chunk, found.rest)
  }
}
