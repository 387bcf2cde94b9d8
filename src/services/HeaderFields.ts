/**
 * What a load balancer changes in the head of a message, and nothing else.
 *
 * Owns the rules for field lines: what belongs to one connection only and is not forwarded, what we say about the
 * client, how the body is framed. All are pure functions over flat lists of field lines. Which endpoint a message goes
 * to and how it gets there is not decided here.
 */
import * as ClientAddress from "./ClientAddress.ts"
import { elementsOf, type FieldLines, isNamed, linesWhere, listOf, Names, valueOf, withoutBlanks } from "./Fields.ts"
import * as Target from "./Target.ts"

/**
 * The fields that are about one connection (RFC 9110 §7.6.1), besides those that `Connection` itself names. An engine
 * that forwards trailers or upgrades writes `TE` and `Upgrade` anew. `HTTP2-Settings` is obsolete (RFC 9113 §3.1).
 */
const connectionFields = new Names([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings"
])

/**
 * `Expect` is answered here (RFC 9110 §10.1.1). `Proxy-Authorization` is meant for us and could leak a password
 * (RFC 9110 §11.7.2); `Proxy` is no field at all, but CGI programs take it for the address of a proxy (CVE-2016-5385).
 */
const requestOnly = ["expect", "proxy-authorization", "proxy"]

/** They are for the next client on the way of a response, which is us (RFC 9110 §11.7.1, §11.7.3). */
const responseOnly = ["proxy-authenticate", "proxy-authentication-info"]

const notToBackend = new Names([...connectionFields, ...requestOnly])

const notToClient = new Names([...connectionFields, ...responseOnly])

const notInTrailers = new Names([...connectionFields, ...requestOnly, ...responseOnly, "trailer"])

/** Those that a request is looked through for, besides what `forwardedClaim` is about. */
const looksAtOfRequest = new Names([...notToBackend, "host", "content-length", "forwarded"])

const looksAtOfResponse = new Names([...notToClient, "content-length"])

/** Why a request cannot be forwarded. */
export interface Refusal {
  readonly _tag: "Refusal"
  readonly reason: "bad_request" | "not_implemented"
  readonly detail: string
}

const refuse = (reason: Refusal["reason"], detail: string): Refusal => ({ _tag: "Refusal", reason, detail })

/** The field lines for a backend, without `Host`, which may depend on the backend. */
export interface RequestFields {
  readonly _tag: "RequestFields"
  /** The host that the client asked for. */
  readonly host: string | undefined
  readonly fields: FieldLines
  /** Whether a body follows (RFC 9112 §6). */
  readonly hasBody: boolean
}

/** What is known about the client's side of the connection. */
export interface Client {
  /** The address at the other end of the connection. */
  readonly address: string | undefined
  readonly protocol: "http" | "https"
  /** Whether that address is a proxy whose `X-Forwarded-*` fields are believed. */
  readonly trusted: boolean
}

/**
 * The protocol that the client itself uses: what the first of the proxies between says, if the last one is trusted, or
 * else that of the connection.
 */
export const clientProtocol = (fields: FieldLines, { protocol, trusted }: Client): "http" | "https" => {
  if (!trusted) return protocol
  for (let i = 0; i < fields.length; i += 2) {
    if (!isNamed(fields[i]!, "x-forwarded-proto")) continue
    return /^\s*https\s*(?:,|$)/i.test(fields[i + 1]!) ? "https" : "http"
  }
  return protocol
}

/**
 * The names in `Connection` fields, in lower case; `undefined` when there is no such field, which is the usual case.
 */
export const connectionOptions = (fields: FieldLines): ReadonlySet<string> | undefined => {
  const list = listOf(fields, "connection")
  return list === undefined ? undefined : new Set(elementsOf(list))
}

/** Whether nobody looks at a field with this name: it begins with no X and is none of ours. */
const isOrdinary = (name: string): boolean => (name.charCodeAt(0) | 0x20) !== 0x78 && !looksAtOfRequest.mayHave(name)

/** One plain number (RFC 9110 §8.6), and none that some program would round or cut. */
const isLength = (text: string): boolean => /^\d+$/.test(text) && Number.isSafeInteger(Number(text))

/**
 * Whether a field claims something about the client that only a trusted proxy may say. Backends that turn `-` into `_`
 * (CGI, WSGI, PHP) also read the aliases, so those are dropped whoever sends them (CVE-2026-39858).
 */
const forwardedClaim = (name: string): "no" | "claim" | "alias" => {
  if (name !== "forwarded" && !/^x[-_.]/.test(name)) return "no"
  const dashed = name.replace(/[_.]/g, "-")
  if (dashed !== "forwarded" && dashed !== "x-real-ip" && !dashed.startsWith("x-forwarded-")) return "no"
  return dashed === name ? "claim" : "alias"
}

const checkTarget = (method: string, target: string): Refusal | undefined => {
  if (method === "CONNECT") return refuse("not_implemented", "CONNECT is for forward proxies")
  const mistake = Target.mistakeIn(method, target)
  return mistake === undefined ? undefined : refuse("bad_request", mistake)
}

/**
 * The field lines for the backend, or why there are none. Order, case and repetition of what is forwarded stay as they
 * were; what we add comes last.
 */
export const toBackend = (
  method: string,
  target: string,
  fields: FieldLines,
  client: Client
): RequestFields | Refusal => {
  const badTarget = checkTarget(method, target)
  if (badTarget !== undefined) return badTarget

  const named = connectionOptions(fields)
  const out: Array<string> = []
  let host: string | undefined
  let length: string | undefined
  let coding: string | undefined
  let forwardedFor: string | undefined
  let forwardedProto = false
  let forwardedHost = false

  for (let i = 0; i < fields.length; i += 2) {
    const line = fields[i]!
    const value = fields[i + 1]!
    if (named === undefined && isOrdinary(line)) {
      out.push(line, value)
      continue
    }
    const name = line.toLowerCase()
    if (name === "host") {
      // RFC 9112 §3.2: several Host fields are an error, whatever they say.
      if (host !== undefined) return refuse("bad_request", "there are several Host fields")
      if (!Target.isHost(value)) return refuse("bad_request", "the Host field is not valid")
      host = value
      continue
    }
    if (name === "content-length") {
      if (length !== undefined || !isLength(value)) return refuse("bad_request", "Content-Length is not valid")
      length = value
      out.push(line, value)
      continue
    }
    if (name === "transfer-encoding") coding = coding === undefined ? value : `${coding}, ${value}`
    if (notToBackend.has(name)) continue
    const claim = forwardedClaim(name)
    if (claim === "no") {
      if (named?.has(name)) continue
    } else {
      // Trust alone decides, and not `Connection`: else a client could strip what a proxy of ours says about it
      // (CVE-2022-31813, CVE-2024-45410).
      if (claim === "alias" || !client.trusted) continue
      if (name === "x-forwarded-for") {
        forwardedFor = forwardedFor === undefined ? value : `${forwardedFor}, ${value}`
        continue
      }
      forwardedProto ||= name === "x-forwarded-proto"
      forwardedHost ||= name === "x-forwarded-host"
    }
    out.push(line, value)
  }

  // RFC 9112 §6.1 and §6.3: two framings are an attack or a mistake, and a coding that we cannot
  // undo is not ours to drop.
  if (coding !== undefined && length !== undefined) {
    return refuse("bad_request", "there are both Content-Length and Transfer-Encoding")
  }
  if (coding !== undefined && !/^[ \t]*chunked[ \t]*$/i.test(coding)) {
    return refuse("not_implemented", "the only transfer coding that is understood is chunked")
  }

  const clientHost = Target.authorityOf(target) ?? host
  if (client.address !== undefined) {
    const address = ClientAddress.plain(client.address)
    out.push("X-Forwarded-For", forwardedFor === undefined ? address : `${forwardedFor}, ${address}`)
  }
  if (!forwardedProto) out.push("X-Forwarded-Proto", client.protocol)
  if (!forwardedHost && clientHost !== undefined) out.push("X-Forwarded-Host", clientHost)
  return {
    _tag: "RequestFields",
    host: clientHost,
    fields: out,
    hasBody: coding !== undefined || (length !== undefined && Number(length) > 0)
  }
}

/**
 * The trailers of a message to be sent on, in either direction. They cannot say what belongs to one connection, and
 * nobody says after a message who its client is: a backend may merge them into the head (RFC 9110 §6.5.1).
 */
export const forwardedTrailers = (trailers: FieldLines): FieldLines =>
  linesWhere(trailers, (name) => !notInTrailers.has(name) && forwardedClaim(name.toLowerCase()) === "no")

/**
 * Whether the body of a response is what its sender meant: chunked is undone on the way, and with any other transfer
 * coding, for which nobody asked, the client would take coded bytes for the content (RFC 9112 §6.1).
 */
export const isDecoded = (fields: FieldLines): boolean => {
  for (let i = 0; i < fields.length; i += 2) {
    if (isNamed(fields[i]!, "transfer-encoding") && withoutBlanks(fields[i + 1]!).toLowerCase() !== "chunked") {
      return false
    }
  }
  return true
}

/** The field lines for the client. Order, case and repetition of what is forwarded stay as they were. */
export const toClient = (status: number, fields: FieldLines): FieldLines => {
  const named = connectionOptions(fields)
  const isChunked = valueOf(fields, "transfer-encoding") !== undefined
  const out: Array<string> = []
  for (let i = 0; i < fields.length; i += 2) {
    if (named === undefined && !looksAtOfResponse.mayHave(fields[i]!)) {
      out.push(fields[i]!, fields[i + 1]!)
      continue
    }
    const name = fields[i]!.toLowerCase()
    if (name === "content-length") {
      // RFC 9112 §6.3: Transfer-Encoding overrides Content-Length. RFC 9110 §8.6: 1xx and 204 have none. `Connection`
      // cannot name what is meant for all recipients (RFC 9110 §7.6.1), and framing least of all.
      if (!isChunked && status >= 200 && status !== 204) out.push(fields[i]!, fields[i + 1]!)
      continue
    }
    if (notToClient.has(name) || named?.has(name)) continue
    out.push(fields[i]!, fields[i + 1]!)
  }
  return out
}
