/** What the errors of the system, and of TLS, mean to people, and whose fault they are. */

/** What the codes of the system's errors mean to people. */
const systemErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset",
  EPIPE: "Connection reset",
  ENOTFOUND: "Host not found",
  EAI_AGAIN: "Host not found for now",
  EHOSTUNREACH: "Host unreachable",
  ENETUNREACH: "Network unreachable",
  ETIMEDOUT: "Connection timed out",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files on this machine",
  EADDRNOTAVAIL: "No local port is free",
  ENOENT: "There is no such socket",
  EACCES: "No permission to connect"
}

/** What an error of the system or of TLS means to people. The message of OpenSSL is about its source. */
export const explain = (error: Error): string => {
  const code = "code" in error && typeof error.code === "string" ? error.code : ""
  const known = systemErrors[code]
  if (known !== undefined) return known
  return "library" in error && "reason" in error ? `TLS failed: ${String(error.reason)}` : error.message
}

/** Codes of what this process lacks, which is no fault of a backend. */
export const ownLimits: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL"])
