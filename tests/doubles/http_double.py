"""A scripted HTTP server on loopback: the base of every double.

It records what it got and misbehaves on request. `faults` is a list that is used up front to back;
each entry is one of
    ("status", code[, headers])   answer with that code and a short text
    ("before", seconds)           wait, then answer normally
    "lost"                        do the work, then cut the connection without an answer
    "cut"                         cut the connection in the middle of a correct answer
    "reset"                       cut the connection without doing anything
    "malformed"                   do the work, answer 200 with broken JSON
    "black hole"                  never answer
`fault_forever` is used when the list is empty.
"""
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Reply:
    def __init__(self, code=200, body=b"", content_type="application/json", headers=None):
        self.code = code
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.content_type = content_type
        self.headers = headers or {}


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.at = time.monotonic()

    def json(self):
        return json.loads(self.body)


class Double:
    def __init__(self, port=0):
        self.requests = []
        self.faults = []
        self.fault_forever = None
        self.lock = threading.RLock()
        self.released = threading.Event()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def handle_any(self):
                double._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def answer(self, request):
        """Overridden: Request → Reply."""
        raise NotImplementedError

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def _next_fault(self):
        with self.lock:
            return self.faults.pop(0) if self.faults else self.fault_forever

    def _serve(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        request = Request(handler.command, handler.path, handler.headers, handler.rfile.read(length))
        with self.lock:
            self.requests.append(request)
        fault = self._next_fault()
        kind = fault[0] if isinstance(fault, tuple) else fault
        if kind == "black hole":
            self.released.wait(600)
            return self._drop(handler)
        if kind == "reset":
            return self._drop(handler)
        if kind == "status":
            headers = fault[2] if len(fault) > 2 else {}
            return self._send(handler, Reply(fault[1], b"scripted trouble", "text/plain", headers))
        if kind == "before":
            time.sleep(fault[1])
        reply = self.answer(request)
        if kind == "lost":
            return self._drop(handler)
        if kind == "malformed":
            reply = Reply(200, b'{"data": {"oops', reply.content_type)
        self._send(handler, reply, cut=kind == "cut")

    @staticmethod
    def _drop(handler):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    def _send(self, handler, reply, cut=False):
        handler.send_response(reply.code)
        handler.send_header("Content-Type", reply.content_type)
        handler.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) // 2] if cut else reply.body)
        if cut:
            handler.wfile.flush()
            self._drop(handler)
