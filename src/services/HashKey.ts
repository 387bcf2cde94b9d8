/**
 * The key of a request: what a hash strategy hashes, so that requests with the same key go to the same backend.
 *
 * Owns how a key is read from the head of a request, as it is written there: nothing is decoded, and case counts except
 * in field names. A request without the value, or with an empty one, has its client's address as its key. How a key is
 * written in the configuration is in `configuration/HashKeyNotation`.
 */
import * as ClientAddress from "./ClientAddress.ts"
import * as Cookie from "./Cookie.ts"
import * as Fields from "./Fields.ts"
import type { RequestHead } from "./Message.ts"
import { pathOf } from "./Target.ts"

/** Where a key comes from. */
export type HashKey =
  | { readonly from: "client" | "path" }
  | { readonly from: "header" | "cookie" | "query"; readonly name: string }

/**
 * Reads the key of a request. `client` is the client's address, where there is one, behind proxies that are trusted.
 */
export type Extract = (head: RequestHead, client: string | undefined) => string | undefined

/** The client's address. An IPv4 address is the same whether the socket is one for IPv6 or not. */
export const client: Extract = (_head, address) => address === undefined ? undefined : ClientAddress.plain(address)

const queryOf = (target: string, name: string): string | undefined => {
  const mark = target.indexOf("?")
  return mark === -1 ? undefined : Cookie.pairOf(target, mark + 1, "&", name)
}

const orClient = (read: (head: RequestHead) => string | undefined): Extract => (head, address) =>
  read(head) || client(head, address)

/** How the key is read. */
export const extractor = (key: HashKey): Extract => {
  switch (key.from) {
    case "client":
      return client
    case "path":
      return orClient((head) => pathOf(head.method, head.target))
    case "header": {
      const name = key.name.toLowerCase()
      return orClient((head) => Fields.valueOf(head.fields, name))
    }
    case "cookie":
      return orClient((head) => Cookie.valueOf(head.fields, key.name))
    case "query":
      return orClient((head) => queryOf(head.target, key.name))
  }
}
