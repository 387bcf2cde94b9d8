/**
 * Unix sockets for undici, which keeps its connections by HTTP origins and has one way to connect for all of them: a
 * socket is an origin whose host has the path in it.
 *
 * Owns that name. No other host has it, because `.invalid` is nobody's (RFC 6761 §6.4).
 */

const prefix = "http+unix://"

const suffix = ".unix.invalid"

/** The origin for the socket of an `http+unix:` URL; `undefined` for any other URL. */
export const ofUrl = (url: string): string | undefined => {
  if (!url.startsWith(prefix)) return undefined
  const end = url.indexOf("/", prefix.length)
  const path = decodeURIComponent(url.slice(prefix.length, end === -1 ? undefined : end))
  // In hexadecimal, because the case of a host does not count.
  return `http://${Buffer.from(path).toString("hex")}${suffix}`
}

/** The path of the socket that a host stands for; `undefined` for any other host. */
export const pathOf = (host: string): string | undefined =>
  host.endsWith(suffix) ? Buffer.from(host.slice(0, -suffix.length), "hex").toString() : undefined
