/**
 * Who the client is when it comes through proxies that are trusted.
 *
 * Owns how the address is found in `X-Forwarded-For`. Whose fields are believed at all is the business of
 * `TrustedProxies`, and what is forwarded that of `HeaderFields`.
 */
import { type FieldLines, isNamed } from "./Fields.ts"

/** Sockets for both versions of IP say `::ffff:a.b.c.d` for an IPv4 address; people know the last part. */
export const plain = (address: string): string => address.startsWith("::ffff:") ? address.slice(7) : address

/** Some proxies add the client's port, which is another one for each connection. */
const withoutPort = (node: string): string =>
  /^\[([^\]]*)\](?::\d+)?$/.exec(node)?.[1] ?? /^([^:]+):\d+$/.exec(node)?.[1] ?? node

/**
 * The address at the other end of the connection, or, if a trusted proxy is there, the last one in `X-Forwarded-For`
 * that is no trusted proxy: what stands before it could be written by anybody. If all are trusted, it is the first one.
 */
export const original = (
  fields: FieldLines,
  address: string | undefined,
  isTrusted: (address: string) => boolean
): string | undefined => {
  let client = address
  for (let i = fields.length - 2; i >= 0 && client !== undefined && isTrusted(client); i -= 2) {
    if (!isNamed(fields[i]!, "x-forwarded-for")) continue
    const nodes = fields[i + 1]!.split(",")
    for (let node = nodes.pop(); node !== undefined && isTrusted(client); node = nodes.pop()) {
      client = withoutPort(node.trim()) || client
    }
  }
  return client
}
