/**
 * What a request is for: the forms of its target (RFC 9112 §3.2) and the host that it names.
 *
 * Owns what is well-formed and what a backend is sent. Which characters may stand in a target is
 * decided where it is read.
 */

/** Whether this has letters, digits, dots and hyphens only, as nearly all have. It is seen in a tenth of the time. */
const isPlainHost = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const lower = code | 0x20
    if ((lower < 0x61 || lower > 0x7a) && (code < 0x2d || code > 0x39 || code === 0x2f)) return false
  }
  return true
}

/**
 * `host[:port]` as RFC 3986 §3.2.2 has it, but without the comma, which no host has and joined `Host` lines do.
 * Anything else is refused (RFC 9112 §3.2): backends would not agree on what it means.
 */
export const isHost = (text: string): boolean =>
  isPlainHost(text) || /^(?:\[[\da-f:.]+\]|[\w.~%!$&'()*+;=-]*)(?::\d*)?$/i.test(text)

/** The same with a host in it: a port alone is none (RFC 9110 §4.2.1). */
export const isAuthority = (text: string): boolean => isHost(text) && !/^(?::|$)/.test(text)

/** The authority of an absolute-form target, which outranks `Host` (RFC 9112 §3.2.2). */
export const authorityOf = (target: string): string | undefined =>
  target.startsWith("/") ? undefined : /^https?:\/\/([^/?#]*)/i.exec(target)?.[1]

/**
 * The target to send to a backend: an absolute form loses its scheme and authority, because an origin server is sent a
 * path (RFC 9112 §3.2.1) and `Host` alone says which host is meant. What is left stays byte for byte. OPTIONS of a
 * whole host is for `*` (§3.2.4).
 */
export const originForm = (method: string, target: string): string => {
  if (target.startsWith("/") || target === "*") return target
  const rest = target.replace(/^https?:\/\/[^/?#]*/i, "")
  if (rest.startsWith("/")) return rest
  return method === "OPTIONS" && rest === "" ? "*" : `/${rest}`
}

/** The path that a backend is asked for, without the query. */
export const pathOf = (method: string, target: string): string => {
  const form = originForm(method, target)
  const end = form.indexOf("?")
  return end === -1 ? form : form.slice(0, end)
}

/** Why this is none of the four forms of RFC 9112 §3.2, or not the one for this method. */
export const mistakeIn = (method: string, target: string): string | undefined => {
  // A fragment is never sent, and servers disagree on what it hides.
  if (target.includes("#")) return "the request target has a fragment"
  if (method === "CONNECT") {
    // §3.2.3: a host and a port, and both are there.
    return isHost(target) && /^[^:].*:\d+$/.test(target)
      ? undefined
      : "the target of CONNECT is not a host and a port"
  }
  if (target.startsWith("/")) return undefined
  if (target === "*") return method === "OPTIONS" ? undefined : "only OPTIONS may have the target *"
  const authority = authorityOf(target)
  if (authority === undefined) return "the request target is neither a path nor a URL"
  // RFC 9110 §4.2.1 and §4.2.4: there must be a host, and there must not be credentials.
  return isAuthority(authority) ? undefined : "the request target has no valid authority"
}
