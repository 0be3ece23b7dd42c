#!/usr/bin/env python3
"""The service of the demo: a shop that answers orders and exports metrics.

GET /order    200 while it is well, 500 once it is broken
GET /metrics  Prometheus text
POST /break   breaks it, as a stuck connection pool would: only a new process is well again
"""
import http.server
import os
import sys
import threading
import time

broken = threading.Event()
counts = {"ok": 0, "error": 0}
lock = threading.Lock()
started = time.time()


class Shop(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def reply(self, code, text):
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        if self.path == "/order":
            result = "error" if broken.is_set() else "ok"
            with lock:
                counts[result] += 1
            self.reply(500 if broken.is_set() else 200, result + "\n")
        elif self.path == "/metrics":
            self.reply(200, "# TYPE shop_orders_total counter\n" +
                       "".join(f'shop_orders_total{{result="{k}"}} {v}\n' for k, v in counts.items()) +
                       "# HELP shop_error_ratio Share of orders that fail now.\n# TYPE shop_error_ratio gauge\n" +
                       f"shop_error_ratio {1.0 if broken.is_set() else 0.0}\n" +
                       f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n")
        else:
            self.reply(404, "not found\n")

    def do_POST(self):
        if self.path == "/break":
            broken.set()
            self.reply(200, "broken\n")
        else:
            self.reply(404, "not found\n")


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop)
    print(f"shop {os.getpid()} on {server.server_address[1]}", flush=True)
    server.serve_forever()
