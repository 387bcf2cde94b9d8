/**
 * Whether this version of Node.js is new enough. Imports nothing, because on an old one everything
 * else may fail to load.
 */

/** The oldest version that `@effect/platform-node` and undici run on. */
export const minimum = "22.19"

/** What to tell the user about a version such as `v20.20.2`; nothing when it is new enough. */
export const complaint = (version: string): string | undefined => {
  const [major = 0, minor = 0] = version.slice(1).split(".").map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = minimum.split(".").map(Number)
  const isEnough = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
  return isEnough ? undefined : `evenkeel needs Node.js ${minimum} or newer; this is ${version}`
}
