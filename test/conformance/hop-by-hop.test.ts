/**
 * Fields that are about one connection stay on it (RFC 9110 §7.6.1), and what a balancer says about a client
 * is said by nobody else.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, value, values } from "../e2e/support/Peer.ts"
import {
  answers,
  assertRequest,
  forwarded,
  forwards,
  get,
  post,
  type SeenAnswer,
  type SeenRequest
} from "./support/Rules.ts"

type Forwarded = readonly [
  clause: string,
  name: string,
  bytes: string,
  expected?: Partial<SeenRequest>,
  differences?: Differences
]

const noTrailers: Differences = { node: { fails: "it forwards no trailers, so it asks for none" } }

const inRequests: ReadonlyArray<Forwarded> = [
  ["RFC 9110 §7.6.1", "what Connection names is dropped", get("Connection: X-Secret", "X-Secret: 1", "X-Kept: 1"), {
    fields: ["X-Kept: 1"]
  }],
  ["RFC 9110 §7.6.1", "whatever the case", get("connection: x-SECRET", "X-Secret: 1")],
  ["RFC 9110 §7.6.1", "wherever it stands", get("X-Secret: 1", "Connection: X-Secret")],
  ["RFC 9110 §7.6.1", "every line of it", get("Connection: X-Secret", "X-Secret: 1", "x-secret: 2")],
  [
    "RFC 9110 §7.6.1",
    "in every line of Connection",
    get("Connection: X-A", "Connection: keep-alive, X-B", "X-A: 1", "X-B: 2")
  ],
  ["RFC 9110 §5.6.1", "Connection may have empty elements", get("Connection: ,, X-A ,\t, X-B ,", "X-A: 1", "X-B: 2")],
  ["RFC 9110 §7.6.1", "an option need not be a field", get("Connection: X-Unknown", "X-Kept: 1"), {
    fields: ["X-Kept: 1"]
  }],
  ["RFC 9110 §7.6.1", "an option that begins like a name is another", get("Connection: X-Se", "X-Secret: 1"), {
    fields: ["X-Secret: 1"]
  }],
  ["RFC 9110 §7.6.1", "Connection: close is about the client", get("Connection: close"), {}],
  ["RFC 9110 §7.6.1", "Keep-Alive", get("Keep-Alive: timeout=5, max=100")],
  ["RFC 9110 §7.6.1", "Proxy-Connection", get("Proxy-Connection: keep-alive")],
  ["RFC 9110 §10.1.4", "TE that Connection does not name", get("TE: trailers")],
  ["RFC 9110 §10.1.4", "TE with transfer codings", get("Connection: TE", "TE: gzip;q=0.5")],
  ["RFC 9110 §10.1.4", "TE: trailers goes on, as ours", get("Connection: TE", "TE: trailers"), {
    connection: "te",
    fields: ["TE: trailers"]
  }, noTrailers],
  ["RFC 9110 §10.1.4", "of TE only trailers goes on", get("Connection: TE", "TE: gzip;q=0.5, trailers, deflate"), {
    connection: "te",
    fields: ["TE: trailers"]
  }, noTrailers],
  ["RFC 9110 §7.8", "Upgrade that Connection does not name", get("Upgrade: websocket")],
  ["RFC 9110 §7.8", "an upgrade to nothing", get("Connection: upgrade")],
  ["RFC 9113 §3.1", "HTTP2-Settings", get("HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")],
  ["RFC 9110 §11.7.2", "Proxy-Authorization", get("Proxy-Authorization: Basic dTpw")],
  ["CVE-2016-5385", "Proxy, which is no field at all", get("Proxy: http://evil.example")],
  [
    "RFC 9110 §7.6.1",
    "Connection cannot take away Host or a length",
    `${post("Connection: Host, Content-Length", "Content-Length: 2")}ab`,
    { line: "POST / HTTP/1.1", framing: "2", body: "ab" }
  ],
  [
    "RFC 9110 §7.6.1",
    "nor the chunks",
    `${post("Connection: Transfer-Encoding", "Transfer-Encoding: chunked")}2\r\nab\r\n0\r\n\r\n`,
    { line: "POST / HTTP/1.1", framing: "chunked", body: "ab" }
  ]
]

const fine = (...fields: ReadonlyArray<string>): string =>
  message("HTTP/1.1 200 OK", ...fields, "X-Kept: 1", "Content-Length: 0")

const kept: Partial<SeenAnswer> = { framing: "0", fields: ["X-Kept: 1"] }

const inAnswers: ReadonlyArray<readonly [clause: string, name: string, bytes: string]> = [
  ["RFC 9110 §7.6.1", "what Connection names is dropped", fine("Connection: X-Secret", "X-Secret: 1")],
  ["RFC 9110 §7.6.1", "every line of it", fine("x-secret: 2", "Connection: keep-alive, X-Secret", "X-Secret: 1")],
  ["RFC 9110 §7.6.1", "Connection: close is about the backend", fine("Connection: close")],
  ["RFC 9110 §7.6.1", "Keep-Alive", fine("Connection: keep-alive", "Keep-Alive: timeout=99, max=1000")],
  ["RFC 9110 §7.6.1", "Proxy-Connection", fine("Proxy-Connection: keep-alive")],
  ["RFC 9110 §7.8", "an offer to upgrade", fine("Connection: upgrade", "Upgrade: h2c, websocket")],
  ["RFC 9110 §7.8", "also if Connection does not name it", fine("Upgrade: h2c")],
  ["RFC 9110 §11.7.1", "Proxy-Authenticate", fine("Proxy-Authenticate: Basic")],
  ["RFC 9110 §11.7.3", "Proxy-Authentication-Info", fine("Proxy-Authentication-Info: a=b")],
  ["RFC 9110 §7.6.1", "Connection cannot take away a length", fine("Connection: Content-Length")]
]

/** Claims about the client that only a trusted proxy may make. */
const claims = [
  "X-Forwarded-For: 6.6.6.6",
  "x-forwarded-for: 7.7.7.7",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: evil.example",
  "X-Forwarded-Port: 1",
  "X-Forwarded-Anything: 1",
  "X-Real-IP: 6.6.6.6",
  "Forwarded: for=6.6.6.6"
]

/** Names that backends may take for the same (CGI, WSGI, PHP). */
const aliases = [
  "X_Forwarded_For: 6.6.6.6",
  "X.Forwarded.For: 6.6.6.6",
  "x-forwarded_for: 6.6.6.6",
  "X_Forwarded-Proto: https",
  "X_Real_IP: 6.6.6.6"
]

const network = (text: string): IpNetwork.IpNetwork => Result.getOrThrow(IpNetwork.fromString(text))
const trusting = { trustedProxies: [network("127.0.0.0/8")] }

onEachEngine("fields about one connection", (test) => {
  for (const [clause, name, bytes, expected = {}, differences = {}] of inRequests) {
    forwards(test, { clause, name: `in requests: ${name}`, differences }, bytes, expected)
  }

  for (const [clause, name, bytes] of inAnswers) answers(test, { clause, name: `in answers: ${name}` }, bytes, kept)

  test("a Keep-Alive of ours says our time and not the backend's (RFC 9110 §7.6.1)", async (lab) => {
    const backend = await lab.answering(fine("Connection: keep-alive", "Keep-Alive: timeout=99"))
    const client = await lab.connect(await lab.balancer([backend]))
    assert.notInclude(value(await client.exchange(get()), "keep-alive") ?? "", "99")
  })

  for (const claim of [...claims, ...aliases]) {
    test(`a stranger cannot say ${claim} (Caddy GHSA-f59h-q822-g45g, Traefik CVE-2026-39858)`, async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend]))
      await client.exchange(get(claim, "X-Kept: 1"))
      assertRequest(backend.requests[0], { fields: ["X-Kept: 1"] })
      assert.deepStrictEqual(forwarded(backend.requests[0]!), ["127.0.0.1", "http", "example.com"])
    })
  }

  test("a trusted proxy's claims are believed, and its address is appended (RFC 7239 §7.1)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend], trusting))
    await client.exchange(get(
      "X-Forwarded-For: 6.6.6.6",
      "x-forwarded-for: 7.7.7.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: public.example",
      "Forwarded: for=6.6.6.6"
    ))
    assert.deepStrictEqual(
      forwarded(backend.requests[0]!),
      ["6.6.6.6, 7.7.7.7, 127.0.0.1", "https", "public.example"]
    )
    assertRequest(backend.requests[0], { fields: ["Forwarded: for=6.6.6.6"] })
  })

  for (const alias of aliases) {
    test(`nor does a trusted proxy say ${alias} (Traefik CVE-2026-39858)`, async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend], trusting))
      await client.exchange(get(alias))
      assertRequest(backend.requests[0], {})
    })
  }

  for (const [name, wishes] of [["a stranger", {}], ["a trusted proxy", trusting]] as const) {
    test(`${name} cannot take away with Connection what we say (Apache CVE-2022-31813, Traefik CVE-2024-45410)`, async (lab) => {
      const backend = await lab.answering(ok)
      const client = await lab.connect(await lab.balancer([backend], wishes))
      await client.exchange(get("Connection: X-Forwarded-For, x-forwarded-host, X-Forwarded-Proto, X-Real-IP"))
      assert.deepStrictEqual(forwarded(backend.requests[0]!), ["127.0.0.1", "http", "example.com"])
    })
  }

  test("nor with Connection what a trusted proxy says (Apache CVE-2022-31813, Traefik CVE-2024-45410)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend], trusting))
    await client.exchange(get(
      "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-IP",
      "X-Forwarded-For: 6.6.6.6",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: public.example",
      "X-Real-IP: 6.6.6.6"
    ))
    const request = backend.requests[0]!
    assert.deepStrictEqual(forwarded(request), ["6.6.6.6, 127.0.0.1", "https", "public.example"])
    assert.deepStrictEqual(values(request, "x-real-ip"), ["6.6.6.6"])
  })

  test("an HTTP/1.0 request says the same about its client (RFC 9112 §2.3)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(message("GET / HTTP/1.0", host, "X-Forwarded-For: 6.6.6.6"))
    assert.deepStrictEqual(forwarded(backend.requests[0]!), ["127.0.0.1", "http", "example.com"])
  })
})
