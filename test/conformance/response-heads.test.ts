/**
 * The head of an answer (RFC 9112 §4-5): what is no head means 502 and nothing of it reaches the
 * client, and the rest stays.
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message } from "../e2e/support/Peer.ts"
import { answers, disbelieves, get, type SeenAnswer, seenAnswer } from "./support/Rules.ts"

type Refused = readonly [clause: string, name: string, bytes: string, differences?: Differences]

const withField = (line: string): string => message("HTTP/1.1 200 OK", line, "Content-Length: 0")

const dropped: Differences = { node: { fails: "the phrase is left out" } }

const refused: ReadonlyArray<Refused> = [
  ["RFC 9112 §4", "another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n"],
  ["RFC 9112 §4", "noise", "\x00\x01\x02\xff\xfe\r\n\r\n"],
  ["RFC 9112 §4", "a request", get()],
  ["RFC 9112 Appendix C.1", "HTTP/0.9", "<html>hello</html>"],
  ["RFC 9112 §2.2", "an empty line before the status line", `\r\n${message("HTTP/1.1 200 OK", "Content-Length: 0")}`, {
    node: { fails: "undici passes over it" }
  }],
  ["RFC 9112 §2.3", "a major version that there is not", message("HTTP/3.7 200 OK", "Content-Length: 0")],
  ["RFC 9112 §2.3", "HTTP/2.0 in a status line", message("HTTP/2.0 200 OK", "Content-Length: 0"), {
    node: { fails: "undici takes it" }
  }],
  ["RFC 9112 §2.3", "a version in small letters", message("http/1.1 200 OK", "Content-Length: 0")],
  ["RFC 9112 §4", "a status of two digits", message("HTTP/1.1 20 OK", "Content-Length: 0")],
  ["RFC 9112 §4", "a status of four digits", message("HTTP/1.1 2000 OK", "Content-Length: 0")],
  ["RFC 9112 §4", "a status of letters", message("HTTP/1.1 abc OK", "Content-Length: 0")],
  ["RFC 9112 §4", "no status", message("HTTP/1.1", "Content-Length: 0")],
  ["RFC 9110 §15", "the status 000", message("HTTP/1.1 000 OK", "Content-Length: 0")],
  ["RFC 9110 §15", "the status 099", message("HTTP/1.1 099 OK", "Content-Length: 0")],
  ["RFC 9112 §4", "two spaces before the status", message("HTTP/1.1  200 OK", "Content-Length: 0")],
  ["RFC 9112 §4", "a zero byte in the reason phrase", message("HTTP/1.1 200 a\0b", "Content-Length: 0"), dropped],
  [
    "RFC 9112 §4",
    "a control character in the reason phrase",
    message("HTTP/1.1 200 a\x01b", "Content-Length: 0"),
    dropped
  ],
  ["RFC 9112 §4", "a DEL in the reason phrase", message("HTTP/1.1 200 a\x7fb", "Content-Length: 0"), dropped],
  ["RFC 9112 §2.2", "a CR in the reason phrase", message("HTTP/1.1 200 a\rb", "Content-Length: 0")],
  ["RFC 9112 §5", "a field line without a colon", withField("nonsense")],
  ["RFC 9112 §5", "a field line without a name", withField(": 1")],
  ["RFC 9112 §5.1", "a space before the colon", withField("X : 1")],
  ["RFC 9112 §5.2", "a folded line", withField("X: 1\r\n 2")],
  ["RFC 9112 §5.2", "a folded line before the first field", message("HTTP/1.1 200 OK", " X: 1", "Content-Length: 0")],
  ["RFC 9110 §5.5", "a zero byte in a value", withField("X: a\0b")],
  ["RFC 9110 §5.5", "a CR in a value", withField("X: a\rSet-Cookie: b=c")],
  ["RFC 9110 §5.5", "a control character in a value", withField("X: a\x01b")],
  ["RFC 9110 §5.6.2", "a field name that is none", withField("X(y): a")],
  ["RFC 9110 §5.6.2", "a field name with a byte from 0x80", withField("X\xe9: a")],
  ["RFC 9112 §2.2", "lines that end with LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
  ["RFC 9112 §2.2", "a field line that ends with LF alone", "HTTP/1.1 200 OK\r\nX: 1\nContent-Length: 0\r\n\r\n"],
  ["RFC 9112 §2.2", "an end of the head with LF alone", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"]
]

type Answered = readonly [
  clause: string,
  name: string,
  bytes: string,
  expected: Partial<SeenAnswer>,
  differences?: Differences
]

const high = Array.from({ length: 0x80 }, (_, i) => String.fromCharCode(i + 0x80)).join("")

/** From all hundreds, but for those without a body, which are told apart elsewhere. */
const statuses = Array.from({ length: 800 }, (_, i) => 200 + i).filter((status) =>
  status !== 204 && status !== 304 && (status < 452 || status % 10 === 9)
)

const accepted: ReadonlyArray<Answered> = [
  ["RFC 9112 §4", "a reason phrase may be empty", message("HTTP/1.1 200 ", "Content-Length: 0"), {
    line: "HTTP/1.1 200 ",
    framing: "0"
  }],
  [
    "RFC 9112 §4",
    "the space before an empty phrase may be missing, and is sent",
    message("HTTP/1.1 200", "Content-Length: 0"),
    { line: "HTTP/1.1 200 ", framing: "0" }
  ],
  [
    "RFC 9112 §4",
    "a reason phrase may have tabs and bytes from 0x80",
    message("HTTP/1.1 404 \t~ caf\xc3\xa9 \xe2\x82\xac", "Content-Length: 0"),
    { line: "HTTP/1.1 404 \t~ caf\xc3\xa9 \xe2\x82\xac", framing: "0" }
  ],
  ["RFC 9112 §4", "also where they are no UTF-8", message("HTTP/1.1 200 caf\xe9", "Content-Length: 0"), {
    line: "HTTP/1.1 200 caf\xe9",
    framing: "0"
  }, { node: { fails: "undici reads it as UTF-8" } }],
  [
    "RFC 9112 §2.3",
    "an HTTP/1.0 answer is sent as HTTP/1.1",
    message("HTTP/1.0 200 Fine", "Content-Length: 0"),
    { line: "HTTP/1.1 200 Fine", framing: "0" }
  ],
  [
    "RFC 9110 §5.3",
    "lines keep their order, case and repetition",
    message(
      "HTTP/1.1 200 OK",
      "X-Zeta: 1",
      "link: </a>; rel=preload",
      "Link: </b>; rel=preload",
      "WARNING: 199 - a",
      "Warning: 199 - b",
      "Content-Length: 0",
      "Vary: a",
      "vary: b"
    ),
    {
      framing: "0",
      fields: [
        "X-Zeta: 1",
        "link: </a>; rel=preload",
        "Link: </b>; rel=preload",
        "WARNING: 199 - a",
        "Warning: 199 - b",
        "Vary: a",
        "vary: b"
      ]
    }
  ],
  ["RFC 9110 §5.5", "a value may be empty", withField("X-A:"), { framing: "0", fields: ["X-A: "] }],
  ["RFC 9110 §5.5", "a value may have any byte from 0x80", withField(`X-A: ${high}`), {
    framing: "0",
    fields: [`X-A: ${high}`]
  }],
  [
    "RFC 6265 §4.1",
    "a cookie may have anything in it",
    withField("set-cookie: =; ;; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    {
      framing: "0",
      fields: ["set-cookie: =; ;; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    }
  ]
]

onEachEngine("heads of answers", (test) => {
  for (const [clause, name, bytes, differences = {}] of refused) {
    disbelieves(test, { clause, name, differences }, bytes)
  }

  for (const [clause, name, bytes, expected, differences = {}] of accepted) {
    answers(test, { clause, name, differences }, bytes, expected)
  }

  test("every final status goes through with its phrase, also those that nobody knows (RFC 9110 §15)", async (lab) => {
    const backend = await lab.answering((request) =>
      message(`HTTP/1.1 ${request.target.slice(1)} As You Like It`, "Content-Length: 0")
    )
    const client = await lab.connect(await lab.balancer([backend]))
    for (const status of statuses) {
      const answer = await client.exchange(message(`GET /${status} HTTP/1.1`, host))
      assert.strictEqual(seenAnswer(answer).line, `HTTP/1.1 ${status} As You Like It`)
    }
  })

  test("an answer without a Date gets one, and one that it has stays (RFC 9110 §6.6.1)", async (lab) => {
    const date = "Date: Mon, 01 Jan 2024 00:00:00 GMT"
    const backend = await lab.answering(({ target }) => target === "/" ? withField("X-A: 1") : withField(date))
    const client = await lab.connect(await lab.balancer([backend]))
    const dates = (fields: ReadonlyArray<readonly [string, string]>) =>
      fields.filter(([name]) => name.toLowerCase() === "date").map(([, value]) => value)
    const [added] = dates((await client.exchange(get())).fields)
    assert.match(added ?? "", /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/)
    const kept = dates((await client.exchange(message("GET /dated HTTP/1.1", host))).fields)
    assert.deepStrictEqual(kept, [date.slice(6)])
  })
})
