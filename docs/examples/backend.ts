// A backend to try things with: says which port it is on.
import { createServer } from "node:http"

const port = Number(process.argv[2] ?? 3001)
createServer((_, response) => response.end(`Hello from ${port}\n`)).listen(port, "localhost")
