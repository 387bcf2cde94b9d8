/**
 * Reads from a client's connection up to the end of a request's head.
 *
 * Owns what a request is refused for before anybody works on it: a head that makes no sense, a body that is too long or
 * whose end nobody can tell, and an expectation that nobody meets.
 */
import { elementsOf, listOf } from "../../services/Fields.ts"
import * as Framing from "./Framing.ts"
import { Malformed } from "./Grammar.ts"
import { type Limits as HeadLimits, parseRequest, type RequestLine } from "./Head.ts"
import { HeadReader } from "./HeadReader.ts"
import { Refusal } from "./Refusal.ts"

/** Of a head and of the body behind it. */
export interface Limits extends HeadLimits {
  readonly bodyBytes: number
}

/** A head, how long the body behind it is, and where in the chunk the bytes after the head begin. */
export interface Request {
  readonly head: RequestLine
  readonly framing: Framing.Framing
  readonly rest: number
}

export class RequestReader {
  private readonly limits: Limits
  private readonly reader: HeadReader

  constructor(limits: Limits) {
    this.limits = limits
    this.reader = new HeadReader("request", limits)
  }

  /** Whether a head has begun and not ended. */
  get hasBegun(): boolean {
    return this.reader.hasBegun
  }

  /** Reads on from `at`. `undefined` means that the chunk is used up. */
  read(chunk: Buffer, at: number): Request | Refusal | undefined {
    const found = this.reader.read(chunk, at)
    if (found === undefined) return undefined
    if (found instanceof Malformed) return Refusal.of(found)
    const head = parseRequest(found.text, this.limits)
    if (head instanceof Malformed) return Refusal.of(head)
    const framing = this.framingOf(head)
    return framing instanceof Refusal ? framing : { head, framing, rest: found.rest }
  }

  private framingOf(head: RequestLine): Framing.Framing | Refusal {
    const framing = Framing.ofRequest(head.fields, head.version)
    if (framing instanceof Malformed) return Refusal.of(framing, head)
    // RFC 9110 §10.1.1: there is no other expectation.
    const expectations = listOf(head.fields, "expect")
    if (expectations !== undefined && elementsOf(expectations).some((one) => one !== "100-continue")) {
      return new Refusal("expectation_failed", head)
    }
    const isTooLong = framing._tag === "Length" && framing.length > this.limits.bodyBytes
    return isTooLong ? new Refusal("body_too_large", head) : framing
  }
}
