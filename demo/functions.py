#!/usr/bin/env python3
"""A function host in the platform's reply shape. Its one function, pod-restart, really restarts the shop: the old
process is terminated, a new one is started, and the reply is given once the new one answers.

usage: functions.py PORT SHOP_PORT
"""
import http.server
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


class Supervisor:
    def __init__(self, port):
        self.port = port
        self.process = None
        self.restarts = 0

    def start(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "shop.py"), str(self.port)], stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=1).read()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the shop does not start")

    def restart(self):
        old = self.process.pid
        self.process.terminate()
        self.process.wait(10)
        self.start()
        self.restarts += 1
        return old, self.process.pid


class Functions(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    supervisor = None
    done = {}  # idempotency key → result: a repeat has no second effect

    def log_message(self, *args):
        pass

    def reply(self, code, body, headers):
        data = json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200, {"status": "healthy"}, {})

    def work(self, name, parameters):
        if name != "pod-restart":
            return {"status": "error", "message": f"no function {name} here"}
        if parameters.get("name") != "shop-0":
            return {"status": "error", "message": f"no pod {parameters.get('name')}"}
        old, new = self.supervisor.restart()
        return {"status": "success", "message": f"Pod shop-0 restarted: process {old} replaced by {new}"}

    def do_POST(self):
        began = time.monotonic()
        name = self.headers["Host"].split(".")[0]
        parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Idempotency-Key")
        if key not in self.done:
            self.done[key] = self.work(name, parameters)
        correlation = self.headers.get("X-Correlation-ID", "")
        self.reply(200, {"functionName": name, "namespace": "ai", "invocationId": self.headers.get("ce-id"),
                         "correlationId": correlation, "result": {"statusCode": 200, "body": self.done[key]},
                         "metrics": {"durationMs": int((time.monotonic() - began) * 1000), "coldStart": False, "memoryUsedMb": 40}},
                   {"ce-specversion": "1.0", "ce-id": "reply-" + str(key), "ce-type": "io.knative.lambda.response.success",
                    "ce-source": f"io.knative.lambda/{name}", "ce-subject": name, "X-Correlation-ID": correlation})


def main():
    Functions.supervisor = Supervisor(int(sys.argv[2]))
    Functions.supervisor.start()

    def stop(*_):
        Functions.supervisor.process.terminate()
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Functions)
    print(f"functions on {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
