/** Why the program cannot listen, and what to do about it. */
import type { ServeError } from "effect/http/HttpServerError"
import type { ListenAddress } from "../../services/configuration/ListenAddress.ts"
import { CommandFailed, exitCodes } from "./CommandFailed.ts"

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""

const words = ({ host = "", port }: ListenAddress, cause: unknown): string => {
  switch (codeOf(cause)) {
    case "EADDRINUSE":
      return `port ${port} is already in use`
    case "EACCES":
      return `no permission to listen on port ${port}${port < 1024 ? ", as ports below 1024 need a privilege" : ""}`
    case "EADDRNOTAVAIL":
      return `${host} is no address of this machine`
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the host "${host}" to listen on is not known`
    default:
      return `cannot listen on port ${port}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/** The end of a command that cannot listen on an address. `remedy` says how to choose another one. */
export const toFailure = (address: ListenAddress, { cause }: ServeError, remedy: string): CommandFailed =>
  CommandFailed.make({ lines: [`${words(address, cause)}; ${remedy}`], exitCode: exitCodes.failed })
