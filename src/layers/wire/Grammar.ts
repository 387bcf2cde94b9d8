/**
 * The characters of HTTP/1.1 (RFC 9110 §5, RFC 9112 §2-3) and the one error of this codec.
 *
 * Owns the tables that say which bytes may stand where. Heads are scanned as latin1 text, so a character is a byte.
 */

/**
 * A message that RFC 9112 calls invalid, or that is over a limit: refused and never repaired. Where the next message
 * would begin is not known any more, so the connection has to be closed.
 */
export class Malformed {
  /** What a client is told; for a response from a backend it is 502 whatever stands here. */
  readonly status: 400 | 413 | 414 | 431 | 501 | 505
  /** What is wrong, for people. It quotes nothing of the message. */
  readonly detail: string
  constructor(status: Malformed["status"], detail: string) {
    this.status = status
    this.detail = detail
  }
}

const table = (allowed: (code: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, code) => (allowed(code) ? 1 : 0))

const tokenPunctuation = "!#$%&'*+-.^_`|~"

const isAlphanumeric = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)

/** tchar (RFC 9110 §5.6.2). */
const tokenChars = table((code) => isAlphanumeric(code) || tokenPunctuation.includes(String.fromCharCode(code)))

/** field-vchar, SP and HTAB (RFC 9110 §5.5): no other control character, obs-text included. */
const valueChars = table((code) => code === 0x09 || (code >= 0x20 && code !== 0x7f))

/**
 * What a request target may consist of: visible characters of ASCII. That is more than RFC 3986 allows, because real
 * clients send `"`, `<`, `|` and the like unescaped, and nobody misreads them. No obs-text, which Node and others
 * refuse, and no fragment, which is never sent (RFC 9112 §3.2), and servers disagree on what it hides.
 */
const targetChars = table((code) => code > 0x20 && code < 0x7f && code !== 0x23)

const all = (text: string, start: number, end: number, chars: Uint8Array): boolean => {
  for (let i = start; i < end; i++) if (chars[text.charCodeAt(i)] !== 1) return false
  return true
}

/** Whether the text from `start` to `end` is a token (RFC 9110 §5.6.2): a method or the name of a field. */
export const isToken = (text: string, start: number, end: number): boolean =>
  end > start && all(text, start, end, tokenChars)

/** Whether a byte may begin a token, and with it a request. */
export const isTokenChar = (code: number): boolean => tokenChars[code] === 1

/** Whether the text from `start` to `end` may be the value of a field or a reason phrase. */
export const isFieldValue = (text: string, start: number, end: number): boolean => all(text, start, end, valueChars)

/** Whether the text from `start` to `end` has only characters that may stand in a request target. */
export const isTarget = (text: string, start: number, end: number): boolean =>
  end > start && all(text, start, end, targetChars)

/** Lines end with CRLF and with nothing else (RFC 9112 §2.2). Peers that read LF alone as an end see other fields. */
export const bareLineEnd = new Malformed(400, "a line ends with a bare CR or LF")

/**
 * What was parsed from a text, or why it is refused. A bare CR or LF comes first, because it is also found while a head
 * is incomplete: so the answer does not depend on how the bytes were cut into packets.
 */
export const bareLineEndFirst = <A>(text: string, parsed: A | Malformed): A | Malformed =>
  parsed instanceof Malformed && /\r(?!\n)|(?<!\r)\n/.test(text) ? bareLineEnd : parsed
