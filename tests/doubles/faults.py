"""A go-between on one TCP port that can fail in every way in which a network or a peer fails, and heal.

  pass       everything goes through
  refuse     nobody listens; open connections are reset
  drop       the kernel drops every new connection: the queue of those that wait to be accepted is full
  silent     connections are taken, requests are read, nothing is said and nothing reaches the peer
  one-way    requests reach the peer and are carried out; nothing comes back
  reset      requests are carried out; half of the reply comes, then a reset
  drip       requests are carried out; the reply comes a byte at a time
  429        "too many requests", with Retry-After, nothing reaches the peer
  503        the same with "unavailable"
  malformed  requests are carried out; the reply's body is not what it should be
  tls        (with certificates) the certificate is one that nobody trusts

A mode holds for new connections and for the next request of open ones.
"""
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

FAULTS = ("refuse", "drop", "silent", "one-way", "reset", "drip", "429", "503", "malformed", "tls")
AWAY = ("refuse", "drop", "silent", "one-way", "reset", "drip", "503", "tls")  # what looks from outside as if nobody were there


class Certificates:
    """A trusted and a strange certificate for loopback and for functions."""

    def __init__(self, directory):
        self.trusted = self.make(directory, "trusted")
        self.strange = self.make(directory, "strange")

    @staticmethod
    def make(directory, name):
        path = os.path.join(directory, name)
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:*.ai.svc.cluster.local,DNS:*.store.svc.cluster.local"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", path + ".key", "-out", path + ".pem", "-days", "2", "-subj", "/CN=" + name,
                        "-addext", names], check=True, capture_output=True)
        return path


def read_message(stream, of_head=False):
    """One HTTP message with Content-Length, or None at the end of the stream."""
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
    return (head, body) if of_head or len(body) == length else None


class Faults:
    def __init__(self, port, certificates=None, host="127.0.0.1", at=0):
        """At `host`, port `at` (0 = any), before `port` of loopback."""
        self.peer, self.host = port, host
        self.mode = "pass"
        self.forwarded = self.lost = 0
        self.delay_s, self.lose_every = 0, 0  # each reply comes later; one of so many requests is lost
        self.lock = threading.RLock()
        self.open, self.fillers = set(), []
        self.contexts = {}
        if certificates:
            for name in ("trusted", "strange"):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                path = getattr(certificates, name)
                context.load_cert_chain(path + ".pem", path + ".key")
                self.contexts[name] = context
        self.listener, self.port = None, at
        self.closed = False
        self.listen(256)

    def listen(self, backlog):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + 10
        while True:
            try:
                s.bind((self.host, self.port))
                break
            except OSError:  # an outgoing connection of somebody may hold the port for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        s.listen(backlog)
        self.listener, self.port = s, s.getsockname()[1]
        if backlog > 0:
            threading.Thread(target=self.accept, args=(s,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.add(connection)
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def set(self, mode):
        with self.lock:
            if mode == self.mode:
                return
            before, self.mode = self.mode, mode
            self.unlisten()
            for filler in self.fillers:
                filler.close()
            self.fillers = []
            if mode == "refuse" or before == "drop":
                self.cut_all()
            if mode == "drop":
                self.listen(0)
                self.fill()
            elif mode != "refuse":
                self.listen(256)

    def unlisten(self):
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts
            except OSError:
                pass
            self.listener.close()
            self.listener = None

    def fill(self):
        """Connections of our own until the kernel drops them."""
        for _ in range(8):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((self.host, self.port))
            self.fillers.append(s)
        time.sleep(0.05)

    def cut_all(self):
        for connection in list(self.open):
            self.cut(connection)

    @staticmethod
    def cut(connection):
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RD)
            connection.close()
        except OSError:
            pass

    def handle(self, raw):
        connection, rude = raw, True
        try:
            if self.mode == "silent":
                self.wait_while(("silent",))
            if self.contexts:
                connection = self.contexts["strange" if self.mode == "tls" else "trusted"].wrap_socket(raw, server_side=True)
                with self.lock:
                    self.open.discard(raw)  # it is empty now
                    self.open.add(connection)
            with connection.makefile("rb") as stream:
                while (message := read_message(stream)) and self.serve(connection, message):
                    pass
            rude = self.mode != "pass"
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.open.discard(connection)
            connection.close() if not rude else self.cut(connection)

    def wait_while(self, modes):
        while self.mode in modes and not self.closed:
            time.sleep(0.01)

    def forward(self, message):
        self.forwarded += 1
        with socket.create_connection(("127.0.0.1", self.peer), 10) as s, s.makefile("rb") as stream:
            s.sendall(message[0] + message[1])
            return read_message(stream, message[0].startswith(b"HEAD "))

    def serve(self, connection, message):
        """False when the connection is over."""
        mode = self.mode
        if mode in ("refuse", "drop", "silent", "tls"):
            # an open connection meets the fault as a new one would, except that it is open
            self.wait_while(("drop", "silent"))
            return False
        if mode in ("429", "503"):
            words = {"429": "Too Many Requests", "503": "Service Unavailable"}
            connection.sendall(f"HTTP/1.1 {mode} {words[mode]}\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".encode())
            return True
        if self.lose_every and self.forwarded % self.lose_every == self.lose_every - 1:
            self.lost += 1
            self.forwarded += 1
            return False
        time.sleep(self.delay_s)
        reply = self.forward(message)
        if reply is None:
            return False
        head, body = reply
        if mode == "one-way":
            self.wait_while(("one-way",))
            return False
        if mode == "reset":
            whole = head + body
            connection.sendall(whole[: len(head) // 2] if not body else head + body[: len(body) // 2])
            return False
        if mode == "malformed" and not message[0].startswith(b"HEAD "):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"data\": ")
            return True
        if mode == "drip":
            for n in range(len(head + body)):
                if self.mode != "drip" or self.closed:
                    return False
                connection.sendall((head + body)[n:n + 1])
                time.sleep(0.25)
            return True
        connection.sendall(head + body)
        return b"connection: close" not in head.lower()

    def close(self):
        self.closed = True
        with self.lock:
            self.unlisten()
            for filler in self.fillers:
                filler.close()
            self.cut_all()
