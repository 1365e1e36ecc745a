"""A webhook that prints what Alertmanager tells it, one line for each alert. No service to rely on.

Usage: python pager.py PORT. It listens on all addresses, for it runs in a container of its own.
"""

import http.server
import json
import sys

LIMIT = 1_000_000  # bytes; a message of Alertmanager is a few thousand


class Pager(http.server.BaseHTTPRequestHandler):
    """POST /page and /ticket; GET says that it is there."""

    def do_GET(self) -> None:
        """Health."""
        self._answer(200)

    def do_POST(self) -> None:
        """A message."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > LIMIT:
            self._answer(413)
            return
        try:
            message = json.loads(self.rfile.read(length))
            lines = [(a["status"], a["labels"]["alertname"], a["annotations"]["summary"]) for a in message["alerts"]]
        except (KeyError, TypeError, ValueError):
            self._answer(400)
            return
        for status, name, summary in lines:
            print(f"{self.path.strip('/')} {status} {name}: {summary}", flush=True)
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The messages are the log."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Pager).serve_forever()
