/**
 * How a backend is written in the configuration: `http://host:port,weight=3,zone=a,backup`, or an object
 * with these as fields.
 *
 * Owns the codec and what it says about mistakes. What a backend is, is the business of `Backend`.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Backend, expected, meantOrigin, parseOrigin, Tier, Weight, Zone } from "../Backend.ts"
import * as Suggestion from "../Suggestion.ts"
import { type Complaint, invalid, notation } from "./Codec.ts"

const BackendFields = Schema.Struct({
  url: Schema.String,
  weight: Schema.optional(Weight).annotate({ expected: expected.weight }),
  id: Schema.optional(Schema.NonEmptyString).annotate({ expected: expected.id }),
  zone: Schema.optional(Zone).annotate({ expected: expected.zone }),
  tier: Schema.optional(Tier).annotate({ expected: expected.tier }),
  backup: Schema.optional(Schema.Boolean).annotate({ expected: "true or false" })
})

const withScheme = (url: string): Complaint => {
  const origin = meantOrigin(url)
  return origin === undefined ? {} : { suggestion: origin }
}

const numberOf = (digits: string): number => /^\d{1,5}$/.test(digits) ? Number(digits) : NaN

/** What may follow a URL in a text. */
const attributes: ReadonlyArray<{
  readonly name: "weight" | "zone" | "tier" | "backup"
  readonly form: string
  /** Its value, if what follows the name is one. */
  readonly read: (text: string) => unknown
  readonly isValid: (value: unknown) => boolean
  readonly expected: string
}> = [
  {
    name: "weight",
    form: "weight=N",
    read: numberOf,
    isValid: Schema.is(Weight),
    expected: expected.weight
  },
  {
    name: "zone",
    form: "zone=NAME",
    read: (text) => text,
    isValid: Schema.is(Zone),
    expected: expected.zone
  },
  { name: "tier", form: "tier=N", read: numberOf, isValid: Schema.is(Tier), expected: expected.tier },
  { name: "backup", form: "backup", read: (text) => text === "", isValid: (value) => value === true, expected: "alone" }
]

/** `http://a:1,weight=3,backup` as the fields of an object, or what is wrong with it. */
const parseFields = (text: string): Result.Result<{ readonly url: string }, Complaint> => {
  const [url = "", ...rest] = text.split(",")
  const values = new Map<string, unknown>()
  for (const part of rest) {
    const [, name = part, value = ""] = /^([^=]*)=?(.*)$/.exec(part) ?? []
    const attribute = attributes.find((attribute) => attribute.name === name)
    if (attribute === undefined) {
      const meant = Suggestion.nearest(name, attributes.map((attribute) => attribute.name))
      return Result.fail({
        message: `expected nothing after the URL but ${attributes.map(({ form }) => `,${form}`).join(" ")}`,
        ...(meant === undefined ? {} : { suggestion: `,${meant}${part.slice(name.length)}` })
      })
    }
    if (values.has(name)) return Result.fail({ message: `expected one ${name} of a backend` })
    const read = attribute.read(value)
    if (!attribute.isValid(read)) return Result.fail({ message: `expected ,${name} to be ${attribute.expected}` })
    values.set(name, read)
  }
  return Result.succeed({ url, ...Object.fromEntries(values) })
}

const toBackend = (fields: typeof BackendFields.Type): Result.Result<Backend, Complaint> => {
  const { backup, id, tier = backup === true ? 1 : 0, url, weight = 1, zone } = fields
  const origin = parseOrigin(url)
  if (origin === undefined) return Result.fail(withScheme(url))
  if (backup === true && fields.tier !== undefined) {
    return Result.fail({ message: "expected a tier or backup, which is tier 1, and not both" })
  }
  return Result.succeed(
    Backend.make({ id: id ?? origin, origin, weight, tier, ...(zone === undefined ? {} : { zone }) })
  )
}

/**
 * `http://host:port`, or the same with `,weight=N`, `,zone=NAME` or `,backup`, or an object that may also have an `id`.
 */
export const BackendNotation: Schema.Codec<Backend, string | typeof BackendFields.Encoded> = notation(
  Schema.Union([Schema.String, BackendFields]),
  Schema.toType(Backend),
  {
    read: (input) => {
      const fields = typeof input === "string" ? parseFields(input.trim()) : Result.succeed(input)
      return Effect.fromResult(Result.flatMap(fields, toBackend)).pipe(Effect.catch(invalid))
    },
    write: ({ id, origin, tier, weight, zone }) => ({ url: origin, weight, id, tier, zone })
  }
)

/** Backends of which no two share an origin or an id; at least one. */
export const Backends = Schema.Array(BackendNotation).check(
  Schema.makeFilter((backends: ReadonlyArray<Backend>) => {
    if (backends.length === 0) return "expected at least one backend"
    const origins = new Set<string>()
    const ids = new Set<string>()
    return backends.flatMap(({ id, origin }, i) => {
      const issue = origins.has(origin)
        ? `${origin} is there twice`
        : ids.has(id)
        ? `the id "${id}" is there twice`
        : undefined
      origins.add(origin)
      ids.add(id)
      return issue === undefined ? [] : [{ path: [i], issue }]
    })
  })
)
