/** How a value that is wrong is shown in a message. */

const maxShown = 60

/** Short, on one line, without the password of a URL. */
export const show = (value: unknown): string => {
  const text = (JSON.stringify(value) ?? String(value)).replace(/\/\/[^/@"]*@/g, "//***@")
  return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text
}
