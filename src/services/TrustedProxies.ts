/** Which addresses are proxies of our own, whose word about the client is believed. */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

/** The length of `::ffff:0:0/96`, in which the IPv4 addresses are as IPv6 (RFC 4291 §2.5.5.2). */
const mappedLength = 96

const canonicalNetwork = (network: IpNetwork.IpNetwork): IpNetwork.IpNetwork => {
  const address = NetAddress.toCanonical(network.address)
  // A network has only zeros behind its length, and these have ones up to the end of the prefix: it is never shorter.
  if (address === network.address) return network
  return IpNetwork.fromAddressUnsafe(address, network.prefixLength - mappedLength)
}

/** An address of a link comes with the name of the link, such as `fe80::1%eth0`. */
const parse = (text: string): Result.Result<NetAddress.IpAddress, NetAddress.NetAddressError> => {
  const zone = text.indexOf("%")
  return zone === -1 ? NetAddress.ipFromString(text) : NetAddress.ipv6FromString(text.slice(0, zone))
}

/** Whether an address is in one of the networks. An IPv4 address or network is the same one when written as IPv6. */
export const isIn = (networks: ReadonlyArray<IpNetwork.IpNetwork>): (address: string) => boolean => {
  if (networks.length === 0) return () => false
  const known = networks.map(canonicalNetwork)
  return (text) => {
    const parsed = parse(text)
    if (Result.isFailure(parsed)) return false
    const address = NetAddress.toCanonical(parsed.success)
    return known.some((network) => IpNetwork.contains(network, address))
  }
}
