/**
 * The head of a request (RFC 9112 §2-3, §5): what is no head is refused and never repaired, and what
 * is one stays as it was.
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { onEachEngine } from "../e2e/support/Lab.ts"
import { host, message } from "../e2e/support/Peer.ts"
import { forwards, get, refuses, type SeenRequest } from "./support/Rules.ts"

type Refused = readonly [
  clause: string,
  name: string,
  bytes: string,
  status: number,
  differences?: Differences
]

const says400: Differences = { node: { fails: "node:http says 400" } }

const refused: ReadonlyArray<Refused> = [
  ["RFC 9112 §5.1", "a space before a colon", get("X-A : 1"), 400],
  ["RFC 9112 §5.1", "a tab before a colon", get("X-A\t: 1"), 400],
  ["RFC 9112 §5.2", "a folded line", get("X-A: 1\r\n 2"), 400],
  ["RFC 9112 §5.2", "a line that is folded with a tab", get("X-A: 1\r\n\t2"), 400],
  ["RFC 9112 §5.2", "a folded line of white space only", get("X-A: 1\r\n "), 400],
  ["RFC 9112 §2.2", "a space before the first field line", message("GET / HTTP/1.1", ` ${host}`, "X-A: 1"), 400],
  ["RFC 9112 §5", "a field line without a colon", get("X-A"), 400],
  ["RFC 9112 §5", "a field line without a name", get(": 1"), 400],
  ["RFC 9110 §5.6.2", "a field name with a delimiter", get("X(A): 1"), 400],
  ["RFC 9110 §5.6.2", "a field name with a space", get("X A: 1"), 400],
  ["RFC 9110 §5.6.2", "a field name in quotes", get("\"X-A\": 1"), 400],
  ["RFC 9110 §5.6.2", "a field name with a zero byte", get("X-A\0: 1"), 400],
  ["RFC 9110 §5.6.2", "a field name with a byte from 0x80", get("X-\xe9: 1"), 400],
  ["RFC 9110 §5.5", "a zero byte in a value", get("X-A: a\0b"), 400],
  ["RFC 9110 §5.5", "a CR in a value", get("X-A: a\rX-B: b"), 400],
  ["RFC 9110 §5.5", "a LF in a value", get("X-A: a\nX-B: b"), 400],
  ["RFC 9110 §5.5", "a control character in a value", get("X-A: a\x01b"), 400],
  ["RFC 9110 §5.5", "an escape in a value", get("X-A: \x1b[2J"), 400],
  ["RFC 9110 §5.5", "a DEL in a value", get("X-A: a\x7fb"), 400],
  ["RFC 9112 §2.2", "lines that end with LF alone", `GET / HTTP/1.1\n${host}\n\n`, 400],
  ["RFC 9112 §2.2", "lines that end with CR alone", `GET / HTTP/1.1\r${host}\r\r\n\r\n`, 400],
  ["RFC 9112 §2.2", "a request line that ends with LF alone", `GET / HTTP/1.1\n${host}\r\n\r\n`, 400],
  ["RFC 9112 §2.2", "a field line that ends with LF alone", `GET / HTTP/1.1\r\n${host}\nX-A: 1\r\n\r\n`, 400],
  ["RFC 9112 §2.2", "an end of the head with LF alone", `GET / HTTP/1.1\r\n${host}\r\n\n`, 400],
  ["RFC 9112 §2.2", "two CR before the LF", `GET / HTTP/1.1\r\r\n${host}\r\n\r\n`, 400],
  ["RFC 9112 §3", "a tab in the request line", message("GET\t/\tHTTP/1.1", host), 400],
  ["RFC 9112 §3", "two spaces before the target", message("GET  / HTTP/1.1", host), 400, {
    node: { fails: "node:http reads them as one" }
  }],
  ["RFC 9112 §3", "two spaces after the target", message("GET /  HTTP/1.1", host), 400, {
    node: { fails: "node:http reads them as one" }
  }],
  ["RFC 9112 §3", "a space after the version", message("GET / HTTP/1.1 ", host), 400],
  ["RFC 9112 §3", "a space before the method", message(" GET / HTTP/1.1", host), 400],
  ["RFC 9112 §3", "no method", message("/ HTTP/1.1", host), 400],
  ["RFC 9112 §3.1", "a method with a delimiter", message("GE(T / HTTP/1.1", host), 400],
  ["RFC 9112 §3.1", "a method with a byte from 0x80", message("G\xcbT / HTTP/1.1", host), 400],
  ["RFC 9112 §3.2", "no target", message("GET HTTP/1.1", host), 400],
  ["RFC 9112 §2.3", "a version in small letters", message("GET / http/1.1", host), 400],
  ["RFC 9112 §2.3", "a version of two digits", message("GET / HTTP/1.10", host), 400],
  ["RFC 9112 §2.3", "a version without a minor one", message("GET / HTTP/1", host), 400],
  ["RFC 9112 §2.3", "a version with a zero before it", message("GET / HTTP/01.1", host), 400],
  ["RFC 9112 §2.3", "another protocol", message("GET / ICY/1.1", host), 400],
  ["RFC 9112 Appendix C.1", "HTTP/0.9", "GET /\r\n\r\n", 400, { node: { fails: "node:http answers it" } }],
  ["RFC 9110 §15.6.6", "a minor version that there is not", message("GET / HTTP/1.2", host), 505, says400],
  ["RFC 9110 §15.6.6", "HTTP/2.0 in a request line", message("GET / HTTP/2.0", host), 505, {
    node: { fails: "node:http answers it" }
  }],
  ["RFC 9110 §15.6.6", "HTTP/3.0 in a request line", message("GET / HTTP/3.0", host), 505, says400],
  ["RFC 9110 §15.6.6", "HTTP/0.9 in a request line", message("GET / HTTP/0.9", host), 505, says400],
  ["RFC 9113 §3.4", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, says400],
  ["RFC 9112 §3", "a TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["RFC 9112 §3", "noise", "\xff\xfe\x00\x01noise\r\n\r\n", 400],
  ["RFC 9112 §3", "the answer of a server", message("HTTP/1.1 200 OK", "Content-Length: 0"), 400],
  ["RFC 9112 §3", "the PROXY protocol, where nobody asked for it", `PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n${get()}`, 400]
]

type Forwarded = readonly [
  clause: string,
  name: string,
  bytes: string,
  expected: Partial<SeenRequest>,
  differences?: Differences
]

const everyToken = "!#$%&'*+-.^_`|~09AZaz"

const visible = Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(i + 0x21)).join("")

const high = Array.from({ length: 0x80 }, (_, i) => String.fromCharCode(i + 0x80)).join("")

const accepted: ReadonlyArray<Forwarded> = [
  ["RFC 9112 §2.2", "an empty line before the request line is passed over", `\r\n${get()}`, {}],
  ["RFC 9112 §2.2", "so are several", `\r\n\r\n\r\n${get()}`, {}],
  ["RFC 9112 §5.1", "white space around a value is none of it", get("X-A: \t 1 \t "), { fields: ["X-A: 1"] }],
  ["RFC 9112 §5.1", "there need not be any", get("X-A:1"), { fields: ["X-A: 1"] }],
  ["RFC 9110 §5.5", "white space within a value stays", get("X-A: a  \t b"), { fields: ["X-A: a  \t b"] }],
  ["RFC 9110 §5.5", "a value may be empty", get("X-A:", "X-B: "), { fields: ["X-A: ", "X-B: "] }],
  ["RFC 9110 §5.5", "a value may have any visible character", get(`X-A: ${visible}`), { fields: [`X-A: ${visible}`] }],
  ["RFC 9110 §5.5", "and any byte from 0x80", get(`X-A: ${high}`), { fields: [`X-A: ${high}`] }],
  ["RFC 9110 §5.6.2", "a name may have any character of a token", get(`${everyToken}: 1`), {
    fields: [`${everyToken}: 1`]
  }],
  ["RFC 9110 §5.2", "a field may occur several times", get("X-A: 1", "x-a: 2", "X-B: 3", "X-A: 1"), {
    fields: ["X-A: 1", "x-a: 2", "X-B: 3", "X-A: 1"]
  }],
  ["RFC 9110 §5.3", "lists keep their commas", get("Accept: a,b ,,  c,"), { fields: ["Accept: a,b ,,  c,"] }],
  ["RFC 6265 §5.4", "cookies stay apart", get("Cookie: a=1; b=2", "Cookie: c=3"), {
    fields: ["Cookie: a=1; b=2", "Cookie: c=3"]
  }],
  ["RFC 9110 §5.1", "a value may have colons", get("X-A: b: c:d", "X-B::"), { fields: ["X-A: b: c:d", "X-B: :"] }],
  ["RFC 9112 §2.3", "an HTTP/1.0 request is sent as HTTP/1.1", message("GET / HTTP/1.0", host), {}],
  ...["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT", "QUERY", "PURGE", "TRACE"].map(
    (method): Forwarded => ["RFC 9110 §9.1", `${method} goes through`, message(`${method} /m HTTP/1.1`, host), {
      line: `${method} /m HTTP/1.1`
    }]
  ),
  ...["MADEUP", "x-y_z", "get", "!#$%&'*+-.^_`|~", "G"].map(
    (method): Forwarded => [
      "RFC 9110 §9.1",
      `the method ${method}, which nobody knows, goes through`,
      message(`${method} / HTTP/1.1`, host),
      { line: `${method} / HTTP/1.1` },
      { node: { fails: "node:http refuses methods that it does not know" } }
    ]
  )
]

onEachEngine("heads of requests", (test) => {
  for (const [clause, name, bytes, status, differences = {}] of refused) {
    refuses(test, { clause, name, differences }, bytes, status)
  }
  for (const [clause, name, bytes, expected, differences = {}] of accepted) {
    forwards(test, { clause, name, differences }, bytes, expected)
  }
})
