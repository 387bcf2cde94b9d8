/** Random messages as they are on the wire, and ways to damage them. */
import * as fc from "fast-check"
import { METHODS } from "node:http"
import { chunkEnd, chunkHead, lastChunk } from "../../src/layers/wire/Chunks.ts"
import { formatRequest, formatResponse } from "../../src/layers/wire/Head.ts"
import type { FieldLines } from "../../src/services/Fields.ts"

const upTo = (count: number): { readonly maxLength: number; readonly size: "max" } => ({
  maxLength: count,
  size: "max"
})

const chars = (text: string): ReadonlyArray<string> => Array.from(text)
const range = (from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i))

const tokenChar = fc.constantFrom(
  ...range(0x30, 0x39),
  ...range(0x41, 0x5a),
  ...range(0x61, 0x7a),
  ...chars("!#$%&'*+-.^_`|~")
)
const token = fc.string({ unit: tokenChar, minLength: 1, maxLength: 12 })
const visible = fc.constantFrom(...range(0x21, 0x7e), ...range(0x80, 0xff))
const targetChar = fc.constantFrom(...range(0x21, 0x7e).filter((char) => char !== "#"))

/** Begins and ends with something else than white space, which would not be a part of it. */
const value = fc.oneof(
  fc.constant(""),
  fc.string({ unit: visible, ...upTo(30) }),
  fc.array(fc.string({ unit: visible, minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 })
    .chain((words) => fc.constantFrom(" ", "\t", "  ").map((blank) => words.join(blank)))
)

/** Names that mean something to the codec, or to Node, are made on purpose and not by chance. */
const special = /^(?:host|content-length|transfer-encoding|connection|upgrade|expect|proxy-connection|trailer)$/i
const name = fc.oneof(
  { weight: 4, arbitrary: token.filter((name) => !special.test(name)) },
  { weight: 1, arbitrary: fc.constantFrom("__proto__", "constructor", "hasOwnProperty", "Set-Cookie", "Cookie", "0") }
)

const fields: fc.Arbitrary<FieldLines> = fc.array(fc.tuple(name, value), upTo(6)).map((lines) => lines.flat())

const randomCase = (text: string): fc.Arbitrary<string> =>
  fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }).map((upper) =>
    Array.from(text, (char, i) => (upper[i] ? char.toUpperCase() : char)).join("")
  )

const data = fc.string({ unit: fc.constantFrom(...range(0, 0xff)), minLength: 1, maxLength: 20 })

const quoted = fc.string({ unit: visible, maxLength: 5 }).map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`)
const extension = fc.oneof(
  { weight: 4, arbitrary: fc.constant("") },
  { weight: 1, arbitrary: fc.tuple(token, fc.oneof(token, quoted)).map(([name, value]) => `;${name}=${value}`) },
  { weight: 1, arbitrary: fc.tuple(token, token).map(([one, two]) => `;${one};${two}`) }
)

export interface Body {
  readonly framing: FieldLines
  readonly wire: string
  readonly content: string
  readonly trailers: FieldLines
}

const bodiless: Body = { framing: [], wire: "", content: "", trailers: [] }

const counted: fc.Arbitrary<Body> = fc.tuple(randomCase("content-length"), fc.oneof(fc.constant(""), data)).map(
  ([name, content]) => ({ framing: [name, String(content.length)], wire: content, content, trailers: [] })
)

const chunked: fc.Arbitrary<Body> = fc.tuple(
  randomCase("transfer-encoding"),
  randomCase("chunked"),
  fc.array(fc.tuple(data, extension, fc.constantFrom("", "0", "000")), upTo(4)),
  extension,
  fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fields })
).map(([name, coding, chunks, lastExtension, trailers]) => ({
  framing: [name, coding],
  wire: chunks
    .map(([data, extension, zeros]) => {
      const head = chunkHead(data.length).replace("\r\n", () => `${extension}\r\n`)
      return zeros + head + data + chunkEnd
    })
    .join("") + lastChunk(trailers).replace("\r\n", () => `${lastExtension}\r\n`),
  content: chunks.map(([data]) => data).join(""),
  trailers
}))

export const body: fc.Arbitrary<Body> = fc.oneof(fc.constant(bodiless), counted, chunked)

/** A message, and what should be read from it. */
export interface Sample {
  readonly wire: string
  /** Method, target and version, or version, status and reason phrase. */
  readonly start: ReadonlyArray<string | number>
  readonly fields: FieldLines
  readonly content: string
  readonly trailers: FieldLines
}

const withLineAt = (fields: FieldLines, at: number, line: FieldLines): FieldLines => {
  const before = 2 * (at % (fields.length / 2 + 1))
  return [...fields.slice(0, before), ...line, ...fields.slice(before)]
}

const target = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: targetChar, ...upTo(20) }).map((path) => `/${path}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("http://example.com", "HTTP://a:80/x?y", "https://[::1]:8443/../%2F", "/", "//")
  }
)

export const host: fc.Arbitrary<string> = fc.constantFrom("example.com", "a:80", "[::1]:8080", "")

/** Methods of requests that node:http takes; the others are ours only. */
const knownMethod = fc.constantFrom(...METHODS.filter((method) => method !== "CONNECT"))

export const request = (method: fc.Arbitrary<string> = knownMethod): fc.Arbitrary<Sample> =>
  fc.tuple(method, target, fields, host, body, fc.nat(), fc.nat()).map(
    ([method, target, plain, host, body, at1, at2]) => {
      const fields = withLineAt(withLineAt(plain, at1, ["Host", host]), at2, body.framing)
      const wire = formatRequest(method, target, fields) + body.wire
      return { wire, start: [method, target, "1.1"], fields, content: body.content, trailers: body.trailers }
    }
  )

export const anyMethod: fc.Arbitrary<string> = token.filter((method) => method !== "CONNECT")

export const response: fc.Arbitrary<Sample> = fc.tuple(
  fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
  value,
  fields,
  // Without framing it would go on to the end of the connection.
  fc.oneof(counted, chunked),
  fc.nat()
).map(([status, reason, plain, body, at]) => {
  const fields = withLineAt(plain, at, body.framing)
  const wire = formatResponse(status, reason, fields) + body.wire
  return { wire, start: ["1.1", status, reason], fields, content: body.content, trailers: body.trailers }
})

/** Responses of all kinds, with what they should not have, for the comparison with Node. */
export const oddResponse: fc.Arbitrary<string> = fc.tuple(
  fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"),
  fc.constantFrom(100, 102, 103, 200, 201, 204, 206, 301, 304, 404, 413, 500, 599, 999),
  value,
  fields,
  fc.oneof(body, fc.constant(bodiless)),
  fc.oneof(fc.constant(""), data)
).map(([version, status, reason, plain, body, rest]) =>
  `${formatResponse(status, reason, [...plain, ...body.framing]).replace("HTTP/1.1", version)}${body.wire}${rest}`
)

/** Where two readers may differ. */
const dictionary = [
  "\r\n",
  "\r",
  "\n",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  "\x0b",
  "\x7f",
  "\xa0",
  "\x85",
  ":",
  ";",
  ",",
  "=",
  "\"",
  "\\",
  "#",
  "/",
  "*",
  "-",
  "+",
  "_",
  "0",
  "1",
  "5",
  "a",
  "f",
  "x",
  "0x",
  "00000000000",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/1.2",
  "HTTP/0.9",
  "HTTP/2.0",
  "http://",
  "@",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "content-length:",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip\r\n",
  "Transfer-Encoding:",
  "chunked",
  ", chunked",
  "identity",
  "gzip, ",
  "Host: b\r\n",
  "Connection: close\r\n",
  "Connection: keep-alive\r\n",
  "0\r\n\r\n",
  "5\r\nhello\r\n",
  ";a=b",
  ";a=\"b\"",
  "GET / HTTP/1.1\r\nHost: c\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\n",
  " : ",
  ":\r\n",
  "\r\n "
]

/** Evenly spread, which doubles of fast-check are not: most of them are next to 0. */
const fraction = fc.noBias(fc.integer({ min: 0, max: 10_000 })).map((n) => n / 10_000)

interface Mutation {
  /**
   * A fraction of the whole length, from where on the next `anchor` is looked for, to damage what
   * comes before or after it.
   */
  readonly at: number
  readonly anchor: string
  readonly isAfter: boolean
  readonly length: number
  readonly text: string
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fraction,
  anchor: fc.constantFrom("", "", "\r\n", "\r\n", "\r\n", " ", ":", "HTTP", "Host", ";", "=", "chunked"),
  isAfter: fc.boolean(),
  length: fc.constantFrom(0, 0, 0, 0, 1, 1, 2, 5, 20, 1_000),
  text: fc.oneof(
    fc.constant(""),
    { weight: 3, arbitrary: fc.constantFrom(...dictionary) },
    fc.string({ unit: fc.constantFrom(...range(0, 0xff)), minLength: 1, maxLength: 2 })
  )
})

const mutate = (text: string, mutations: ReadonlyArray<Mutation>): string =>
  mutations.reduce((text, { anchor, at, isAfter, length, text: inserted }) => {
    const from = Math.floor(at * text.length)
    const found = text.indexOf(anchor, from)
    const start = found === -1 ? from : found + (isAfter ? anchor.length : 0)
    return text.slice(0, start) + inserted + text.slice(start + length)
  }, text)

/** A little damage: most of it should still be read in the same way by everybody. */
export const mutated = (wire: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(wire, fc.array(mutation, { minLength: 1, maxLength: 3, size: "max" })).map(([text, all]) =>
    mutate(text, all)
  )

/** No message at all, but made of the parts of one. */
export const noise: fc.Arbitrary<string> = fc.array(fc.constantFrom(...dictionary, "GET ", "POST ", "/ "), upTo(20))
  .map((parts) => parts.join(""))

/** Where to cut, as fractions of the length. */
export const cuts: fc.Arbitrary<ReadonlyArray<number>> = fc.array(fraction, upTo(8))
