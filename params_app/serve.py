"""Serve the parameter editor to a browser on this machine: python params_app/serve.py [PORT] [--no-browser]"""

from __future__ import annotations

import sys
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

APP = Path(__file__).resolve().parent
PORT, TRIES = 8765, 20
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}


def served() -> dict[str, Path]:
    """Address -> file. Nothing else is ever opened, so no address can lead out of here."""
    files = [APP / name for name in ("index.html", "parameters.html", "style.css", "data.js")]
    files += [*APP.glob("js/*.js"), *APP.glob("vendor/*.js")]
    pipeline = [APP.parent / "pipeline" / name for name in ("default_params_schema.json", "default_params.json")]
    addresses = {f"/{file.relative_to(APP).as_posix()}": file for file in files}
    return addresses | {f"/{file.name}": file for file in pipeline} | {"/": APP / "index.html"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        file = served().get(self.path.split("?")[0])
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        # A foreign name that leads here is another page's attempt to read this one.
        if file is None or host not in ("127.0.0.1", "localhost"):
            return self.send_error(404)
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", f"{TYPES[file.suffix]}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Otherwise two servers can share a port, and a browser meets either.
    allow_reuse_port = False


def free_server(port: int) -> Server:
    """A server on the port, or on the next one that is free; 0 takes any.

    Raises
    ------
    OSError
        When none of the next ports is free either.
    """
    for candidate in range(port, min(port + TRIES, 65535) + 1):
        try:
            return Server(("127.0.0.1", candidate), Handler)
        except OSError as error:
            failure = error
    raise failure


def main(arguments: list[str]) -> int:
    words = [word for word in arguments if word != "--no-browser"]
    number = words[0] if words else str(PORT)
    if len(words) > 1 or not (number.isascii() and number.isdigit() and int(number) <= 65535):
        print(f"{__doc__}\nPORT is a number from 0 to 65535 ({PORT} when none is given)", file=sys.stderr)
        return 2
    try:
        server = free_server(int(number))
    except OSError as error:
        print(f"no free port from {number} on: {error.strerror}", file=sys.stderr)
        return 1
    address = f"http://127.0.0.1:{server.server_port}/"
    print(f"The parameter editor is at {address} (Ctrl+C ends it)", flush=True)
    if "--no-browser" not in arguments:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
