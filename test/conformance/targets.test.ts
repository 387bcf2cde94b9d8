/**
 * What a request is for: its target and its Host (RFC 9112 §3.2). The target that a backend sees is the client's, byte
 * for byte, and no target chooses another host than the one that it names.
 */
import type { Differences } from "../e2e/support/Engines.ts"
import { assert, onEachEngine } from "../e2e/support/Lab.ts"
import { host, message, ok, values } from "../e2e/support/Peer.ts"
import { assertRequest, assertUnseen, forwarded, forwards, refuses } from "./support/Rules.ts"

/** Paths and queries that somebody has read in another way than somebody else. */
const paths: ReadonlyArray<readonly [clause: string, target: string]> = [
  ["RFC 9112 §3.2.1", "/"],
  ["RFC 9112 §3.2.1; `new URL` takes it for a host", "//"],
  ["RFC 9112 §3.2.1; `new URL` takes it for a host", "//evil.example/x"],
  ["RFC 9112 §3.2.1", "///"],
  ["RFC 3986 §5.2.4", "/a//b/./c/../d"],
  ["RFC 3986 §5.2.4", "/.."],
  ["RFC 3986 §5.2.4", "/../../etc/passwd"],
  ["RFC 3986 §6.2.2", "/%2F"],
  ["RFC 3986 §6.2.2; Traefik Path and RawPath", "/%2f..%2F"],
  ["RFC 3986 §6.2.2; fastify GHSA-2q7r", "/%2e%2e/%2E%2E/x"],
  ["RFC 3986 §7.3", "/%00"],
  ["RFC 3986 §7.3", "/%0d%0aX-A:%201"],
  ["RFC 3986 §3.4", "/?"],
  ["RFC 3986 §3.4", "/??"],
  ["RFC 3986 §3.4", "/?x"],
  ["RFC 3986 §3.4", "/?x="],
  ["RFC 3986 §3.4", "/?y=%20&y=+&y"],
  ["RFC 3986 §2.1", "/?bad=%"],
  ["RFC 3986 §2.1", "/%zz%"],
  ["RFC 3986 §3.3", "/;v=1/a;b"],
  ["RFC 3986 §3.2.1", "/@evil.example/"],
  ["RFC 3986 §3.2.1", "/x@evil.example:80"],
  ["RFC 3986 §3.3", "/\\evil.example\\.."],
  ["RFC 3986 §3.3", "/a:b@c"],
  ["RFC 3986 §2.4", "/{curly}|pipe^`'\"<>[]"],
  ["RFC 9112 §3.2.1", "/http://evil.example/"],
  ["RFC 9112 §3.2.1", "/*"],
  ["RFC 9112 §3.2.1", "/HTTP/1.1"]
]

const absolute: ReadonlyArray<readonly [name: string, target: string, path: string, host: string]> = [
  ["a path with all that paths have", "http://other.example/a//b/../%2F?y=%20", "/a//b/../%2F?y=%20", "other.example"],
  ["a port and no path", "http://other.example:8080", "/", "other.example:8080"],
  ["a query and no path", "http://other.example?x", "/?x", "other.example"],
  ["capitals", "HTTP://Other.Example/", "/", "Other.Example"],
  [
    "https and another URL in the path",
    "https://other.example/http://third.example/",
    "/http://third.example/",
    "other.example"
  ],
  ["an address of IPv6", "http://[::1]:8080/x", "/x", "[::1]:8080"],
  ["a path that begins like an authority", "http://other.example//third.example/", "//third.example/", "other.example"],
  ["an @ behind the authority", "http://other.example/@third.example", "/@third.example", "other.example"]
]

type Refused = readonly [clause: string, name: string, line: string, status?: number, differences?: Differences]

const unread: Differences = { node: { fails: "it says 501 to every CONNECT" } }

const badTargets: ReadonlyArray<Refused> = [
  ["RFC 9112 §3.2.4", "* for another method than OPTIONS", "GET * HTTP/1.1"],
  ["RFC 9112 §3.2.4", "* with something after it", "OPTIONS */ HTTP/1.1"],
  ["RFC 9112 §3.2", "a path without a slash", "GET evil.example HTTP/1.1"],
  ["RFC 9112 §3.2.3", "an authority for another method than CONNECT", "GET evil.example:80 HTTP/1.1"],
  ["RFC 9112 §3.2", "a query only", "GET ?x HTTP/1.1"],
  ["RFC 9112 §3.2.2", "another scheme", "GET ftp://example.com/ HTTP/1.1"],
  ["RFC 9112 §3.2.2", "the scheme of scripts", "GET javascript:alert(1) HTTP/1.1"],
  ["RFC 9110 §4.2.1", "a URL without a host", "GET http:///x HTTP/1.1"],
  ["RFC 9110 §4.2.1", "a URL with a port only", "GET http://:80/ HTTP/1.1"],
  ["RFC 9110 §4.2.4", "a URL with credentials", "GET http://user:pass@example.com/ HTTP/1.1"],
  ["RFC 9110 §4.2.4", "a URL with a user", "GET http://example.com@evil.example/ HTTP/1.1"],
  ["RFC 9112 §3.2", "a URL with a backslash in the host", "GET http://example.com\\@evil.example/ HTTP/1.1"],
  ["RFC 9112 §3.2", "one slash after the scheme", "GET http:/example.com/ HTTP/1.1"],
  ["RFC 9112 §3.2; HAProxy CVE-2023-45539", "a fragment", "GET /a#b HTTP/1.1"],
  ["RFC 9112 §3.2; HAProxy CVE-2023-45539", "a fragment in a URL", "GET http://example.com/#@evil.example/ HTTP/1.1"],
  ["RFC 9112 §3.2", "a fragment in place of a path", "GET http://example.com#/x HTTP/1.1"],
  ["RFC 9112 §3.2", "a space in the target", "GET /a b HTTP/1.1"],
  ["RFC 3986 §2.1", "a zero byte in the target", "GET /a\0b HTTP/1.1"],
  ["RFC 3986 §2.1", "a control character in the target", "GET /a\x01b HTTP/1.1"],
  ["RFC 3986 §2.1", "a tab in the target", "GET /a\tb HTTP/1.1"],
  ["RFC 3986 §2.1", "a CR in the target", "GET /a\rb HTTP/1.1"],
  ["RFC 3986 §2.1", "a DEL in the target", "GET /a\x7fb HTTP/1.1"],
  ["RFC 3986 §2.1", "a byte from 0x80 in the path", "GET /caf\xe9 HTTP/1.1"],
  ["RFC 3986 §2.1", "UTF-8 in the query", "GET /?caf\xc3\xa9 HTTP/1.1"],
  ["RFC 9112 §3.2.3", "CONNECT to a path", "CONNECT / HTTP/1.1", 400, unread],
  ["RFC 9112 §3.2.3", "CONNECT without a port", "CONNECT example.com HTTP/1.1", 400, unread],
  ["RFC 9112 §3.2.3", "CONNECT to a URL", "CONNECT http://example.com:80/ HTTP/1.1", 400, unread]
]

const badHosts: ReadonlyArray<
  readonly [clause: string, name: string, hosts: ReadonlyArray<string>, differences?: Differences]
> = [
  ["RFC 9112 §3.2", "no Host", [], { node: { fails: "node:http refuses it, and goes on to what follows" } }],
  ["RFC 9112 §3.2", "two Hosts", [host, "Host: other.example"]],
  ["RFC 9112 §3.2", "two Hosts, although they are the same", [host, host]],
  ["RFC 9112 §3.2", "two Hosts, one of them empty", ["Host:", host]],
  ["RFC 9110 §7.2", "a Host with a path", ["Host: example.com/x"]],
  ["RFC 9110 §7.2", "a Host with a query", ["Host: example.com?x"]],
  ["RFC 9110 §7.2", "a Host with a fragment", ["Host: example.com#x"]],
  ["RFC 9110 §7.2", "a Host with a user", ["Host: user@example.com"]],
  ["RFC 9110 §7.2", "a Host with a scheme", ["Host: http://example.com"]],
  ["RFC 9110 §7.2", "a Host of two words", ["Host: example.com evil.example"]],
  ["RFC 9110 §7.2", "a Host with a backslash", ["Host: example.com\\@evil.example"]],
  ["RFC 9110 §7.2", "a list of Hosts", ["Host: example.com, evil.example"]],
  ["RFC 9110 §7.2", "a Host with a port of letters", ["Host: example.com:http"]],
  ["RFC 9110 §7.2", "a Host with two ports", ["Host: example.com:80:81"]],
  ["RFC 9110 §7.2", "a Host with a bracket", ["Host: [::1"]],
  ["RFC 9110 §7.2", "a Host with a byte from 0x80", ["Host: ex\xe4mple.com"]]
]

const goodHosts = [
  "Example.COM",
  "example.com:",
  "example.com:8443",
  "127.0.0.1:80",
  "[::1]:8080",
  "[::ffff:1.2.3.4]",
  "a-b_c.~%20!$&'()*+;=:80"
]

onEachEngine("targets", (test) => {
  for (const [clause, target] of paths) {
    forwards(
      test,
      { clause, name: `the path ${target} goes through byte for byte` },
      message(`GET ${target} HTTP/1.1`, host),
      {
        line: `GET ${target} HTTP/1.1`
      }
    )
  }

  for (const [name, target, path, authority] of absolute) {
    const rule = { clause: "RFC 9112 §3.2.1, §3.2.2", name: `a URL with ${name} outranks Host and becomes a path` }
    forwards(test, rule, message(`GET ${target} HTTP/1.1`, host), { line: `GET ${path} HTTP/1.1`, host: authority })
  }

  test("a URL cannot choose another host than the backend's own, where that is what is sent (RFC 9112 §3.2.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend], { hostHeader: "backend" }))
    await client.exchange(message("GET http://internal.example/admin HTTP/1.1", host))
    assertRequest(backend.requests[0], { line: "GET /admin HTTP/1.1", host: backend.origin.slice(7) })
    assert.strictEqual(forwarded(backend.requests[0]!)[2], "internal.example")
  })

  test("a URL does not say what the connection is, which is what X-Forwarded-Proto says", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(message("GET https://other.example/ HTTP/1.1", host))
    assert.strictEqual(forwarded(backend.requests[0]!)[1], "http")
  })

  test("a URL names the host that X-Forwarded-Host says, and not Host (RFC 9112 §3.2.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.exchange(message("GET http://other.example:8080/ HTTP/1.1", host))
    assert.deepStrictEqual(forwarded(backend.requests[0]!), ["127.0.0.1", "http", "other.example:8080"])
  })

  const asterisk: Differences = {
    node: { fails: "the platform's client has no such target, so it is refused with 501" }
  }
  forwards(
    test,
    { clause: "RFC 9112 §3.2.4", name: "OPTIONS * is forwarded as it is", differences: asterisk },
    message("OPTIONS * HTTP/1.1", host),
    { line: "OPTIONS * HTTP/1.1" }
  )
  for (const target of ["http://other.example", "http://other.example:8080"]) {
    forwards(
      test,
      {
        clause: "RFC 9112 §3.2.4",
        name: `OPTIONS ${target}, without a path, becomes OPTIONS *`,
        differences: { node: { fails: "the platform's client has no such target, so it becomes /" } }
      },
      message(`OPTIONS ${target} HTTP/1.1`, host),
      { line: "OPTIONS * HTTP/1.1", host: target.slice(7) }
    )
  }
  forwards(
    test,
    { clause: "RFC 9112 §3.2.4", name: "OPTIONS for a URL with a path stays with that path" },
    message("OPTIONS http://other.example/ HTTP/1.1", host),
    { line: "OPTIONS / HTTP/1.1", host: "other.example" }
  )
  forwards(
    test,
    { clause: "RFC 9112 §3.2.4", name: "OPTIONS for a URL with a query and no path becomes that query" },
    message("OPTIONS http://other.example?x HTTP/1.1", host),
    { line: "OPTIONS /?x HTTP/1.1", host: "other.example" }
  )

  for (const [clause, name, line, status = 400, differences = {}] of badTargets) {
    refuses(test, { clause, name, differences }, message(line, "Host: example.com:80"), status)
  }

  test("CONNECT gets 501, no tunnel and no hang (RFC 9110 §9.3.6)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(message("CONNECT internal.example:22 HTTP/1.1", "Host: internal.example:22") + "SSH-2.0-x\r\n")
    assert.strictEqual((await client.response()).status, 501)
    await client.untilOver()
    assertUnseen(backend)
  })

  for (const [clause, name, hosts, differences = {}] of badHosts) {
    refuses(test, { clause, name, differences }, message("GET / HTTP/1.1", ...hosts), 400)
  }
  const rule = { clause: "RFC 9112 §3.2.2", name: "a bad Host beside a good URL" }
  refuses(test, rule, message("GET http://example.com/ HTTP/1.1", "Host: a b"), 400)

  for (const name of goodHosts) {
    forwards(
      test,
      { clause: "RFC 9110 §7.2", name: `the Host ${name} is sent as it is` },
      message("GET / HTTP/1.1", `hOST: ${name}`),
      {
        host: name
      }
    )
  }
  forwards(
    test,
    { clause: "RFC 9112 §3.2", name: "an empty Host is sent as an empty Host" },
    message("GET / HTTP/1.1", "Host:"),
    {
      host: ""
    }
  )

  test("a request without a Host, which HTTP/1.0 allows, is sent with one (RFC 9112 §3.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    assert.strictEqual((await client.exchange(message("GET / HTTP/1.0"))).status, 200)
    assert.deepStrictEqual(values(backend.requests[0]!, "host"), [backend.origin.slice(7)])
    assert.deepStrictEqual(forwarded(backend.requests[0]!), ["127.0.0.1", "http", ""])
  })

  test("a Host is the backend's own if that is wanted, and the client's is told apart (RFC 9110 §7.2)", async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend], { hostHeader: "backend" }))
    await client.exchange(message("GET / HTTP/1.1", "Host: Example.COM:8443"))
    assertRequest(backend.requests[0], { host: backend.origin.slice(7) })
    assert.strictEqual(forwarded(backend.requests[0]!)[2], "Example.COM:8443")
  })
})
