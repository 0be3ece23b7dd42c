"""A go-between on one TCP port that cuts the connection of chosen requests, at a chosen moment.

  "before"   the peer never gets the request
  "after"    the peer has done the work, nothing of its reply arrives
  "middle"   half of the reply's body arrives
  "late"     the connection ends at once, but the request is still on its way: the peer gets it only after the next
             request that is chosen too (or after a second)
"""
import socket
import socketserver
import struct
import threading
import time

MOMENTS = ("before", "after", "middle", "late")


def read_message(stream, of_head=False):
    """One HTTP message with Content-Length: (head, body), or None at the end of the stream. An answer to HEAD has no
    body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(65536)
        if not line:
            return None
        head += line
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = b"" if of_head else stream.read(length)
    if of_head:
        return head, body
    return (head, body) if len(body) == length else None


class Cutter:
    def __init__(self, port, chosen):
        """Before `port` of loopback. `chosen(body)` tells which requests may be cut."""
        self.peer, self.chosen = port, chosen
        self.cuts = []                # moments, used up front to back; None = let it pass
        self.happened = []
        self.on_cut = lambda: None    # called at the moment of the cut
        self.lock, self.passed = threading.Lock(), threading.Event()
        cutter = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    while (message := read_message(self.rfile)) and cutter.serve(self, message):
                        pass
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def forward(self, message):
        with socket.create_connection(("127.0.0.1", self.peer), 10) as s, s.makefile("rb") as stream:
            s.sendall(message[0] + message[1])
            return read_message(stream, message[0].startswith(b"HEAD "))

    def serve(self, handler, message):
        """False when the connection is over."""
        moment = None
        with self.lock:
            if not message[0].startswith(b"HEAD ") and self.chosen(message[1]):  # HEAD only looks whether we are there
                moment = self.cuts.pop(0) if self.cuts else None
                if moment:
                    self.happened.append(moment)
                else:
                    self.passed.set()
        if moment == "late":
            self.passed.clear()
            threading.Thread(target=self.deliver_late, args=(message,), daemon=True).start()
        reply = self.forward(message) if moment not in ("before", "late") else None
        if reply is None and moment is None:
            return False
        if moment == "middle":
            handler.connection.sendall(reply[0] + reply[1][: len(reply[1]) // 2])
        if moment:
            self.on_cut()
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.shutdown(socket.SHUT_RD)
            return False
        handler.connection.sendall(reply[0] + reply[1])
        return b"connection: close" not in reply[0].lower()

    def deliver_late(self, message):
        self.passed.wait(1)
        end = time.monotonic() + 10
        while not hasattr(self, "late"):
            try:
                self.late = self.forward(message)
            except OSError:  # the peer is just starting again
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
