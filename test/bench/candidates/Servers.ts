/**
 * The candidates that the system has or has not: nginx, HAProxy and Caddy, each with one worker and
 * without an access log.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "../Processes.ts"
import { outputOf } from "../Processes.ts"
import type { Candidate, Place } from "./Candidate.ts"

const nginx = ({ backendPort, folder, port }: Place): string => `
daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000;
  client_max_body_size 0;
  client_body_temp_path ${folder}/nginx-body;
  proxy_temp_path ${folder}/nginx-proxy;
  fastcgi_temp_path ${folder}/nginx-fastcgi;
  uwsgi_temp_path ${folder}/nginx-uwsgi;
  scgi_temp_path ${folder}/nginx-scgi;
  upstream backend { server 127.0.0.1:${backendPort}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_request_buffering off;
      proxy_buffers 8 64k;
      proxy_busy_buffers_size 128k;
      proxy_max_temp_file_size 0;
    }
  }
}
`

const haproxy = ({ backendPort, port }: Place): string => `
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  option forwardfor
  option http-keep-alive
  http-reuse always
  timeout connect 2s
  timeout client 75s
  timeout server 75s
frontend front
  bind 127.0.0.1:${port} backlog 4096
  default_backend back
backend back
  server one 127.0.0.1:${backendPort}
`

const caddy = ({ backendPort, port }: Place): string => `
{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://127.0.0.1:${port}, http://bench.test:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${backendPort} {
    transport http {
      keepalive_idle_conns_per_host 64
    }
  }
}
`

const server = (
  name: string,
  versionFlag: string,
  configuration: (place: Place) => string,
  command: (file: string) => Command
): Candidate => ({
  name,
  onNode: false,
  version: () => /\d+(?:\.\d+)+/.exec(outputOf(name, versionFlag))?.[0],
  command: (place) => {
    const file = join(place.folder, `${name}.conf`)
    writeFileSync(file, configuration(place))
    return command(file)
  }
})

/** Those that may be there. */
export const servers: ReadonlyArray<Candidate> = [
  server("nginx", "-v", nginx, (file) => ({ file: "nginx", args: ["-c", file, "-e", "stderr"] })),
  server("haproxy", "-v", haproxy, (file) => ({ file: "haproxy", args: ["-db", "-f", file] })),
  server("caddy", "version", caddy, (file) => ({
    file: "caddy",
    args: ["run", "--adapter", "caddyfile", "--config", file]
  }))
]
