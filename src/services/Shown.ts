/** How a value that is wrong is shown in a message. */
import { format } from "effect/Formatter"

const maxShown = 60

/** Short, on one line, without the password of a URL. As JSON has it, and what JSON has not, as code has it. */
export const show = (value: unknown): string => {
  const text = format(value).replace(/\s*\n\s*/g, " ").replace(/\/\/[^/@"]*@/g, "//***@")
  return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text
}
