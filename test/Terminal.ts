/** What the bench and the soak have in common as programs: what they say on the terminal, and what they are told. */

export const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Ends the program, which cannot run like that. */
export const fail = (message: string): never => {
  say(`error: ${message}`)
  process.exit(2)
}

/** Those of a list like `a,b` that are known, in the order in which they are known. All, if there is no list. */
export const select = (flag: string, list: string | undefined, known: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (list === undefined) return known
  const wanted = list.split(",")
  const unknown = wanted.filter((name) => !known.includes(name))
  return unknown.length === 0
    ? known.filter((name) => wanted.includes(name))
    : fail(`--${flag}: ${unknown.join(", ")} is unknown; there are ${known.join(", ")}`)
}
