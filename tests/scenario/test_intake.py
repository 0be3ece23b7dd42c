"""What comes in: modes, limits, refusals, slow clients, authentication, and what is kept."""
import concurrent.futures
import json
import os
import socket
import ssl
import subprocess
import time
import unittest

from world import ANNOTATIONS, LABELS, World, event, eventually, post_event, request

from harness import AGENT  # noqa: E402

TYPES = {"structured": "application/cloudevents+json", "batch": "application/cloudevents-batch+json"}


class IntakeTest(unittest.TestCase):
    def world(self, **more):
        w = World(**more)
        self.addCleanup(w.close)
        self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def connect(self, w):
        host, port = w.agent.url.split("//")[1].split(":")
        s = socket.create_connection((host, int(port)), 10)
        self.addCleanup(s.close)
        return s

    def letters(self, w):
        return w.agent.get("/dlq")[1]["dead_letters"]

    def test_the_three_modes_make_the_same_incident(self):
        body = event(labels=LABELS, annotations=ANNOTATIONS)
        seen = []
        for mode in ("structured", "binary", "batch"):
            w = self.world()
            if mode == "binary":
                headers = {"Content-Type": "application/json", **{f"Ce-{k}": body[k] for k in ("id", "source", "type", "specversion", "time", "subject")}}
                code, reply = request(w.agent.url, "POST", body["data"], headers)
            else:
                code, reply = request(w.agent.url, "POST", body if mode == "structured" else [body], {"Content-Type": TYPES[mode] + "; charset=utf-8"})
            self.assertEqual((code, reply["status"]), (200, "processed"), reply)
            incident = w.agent.incident()
            ticket = w.until(lambda w=w: (r := w.agent.get("/tickets/SRE-1"))[0] == 200 and r[1], "ticket")
            seen.append((incident["fingerprint"], incident["labels"], incident["correlation_id"], ticket["title"], ticket["body"]))
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0], seen[2])

    def test_prefer_reply_gets_an_empty_202(self):
        w = self.world()
        for _ in range(2):
            code, body = post_event(w.agent.url, event(labels=LABELS), {"Prefer": "reply"})
            self.assertEqual((code, body), (202, ""))
        self.assertEqual(len(w.agent.incidents()), 1)

    def test_the_load_tests_shape_is_accepted(self):
        w = self.world()
        body = event(labels=LABELS, event_id="load-1")
        del body["data"]["alertname"]
        headers = {"Ce-Specversion": "1.0", "Ce-Type": body["type"], "Ce-Source": body["source"], "Ce-Id": "load-1", "Ce-Time": body["time"], "X-Correlation-ID": "load-1"}
        code, reply = post_event(w.agent.url, body, headers)
        self.assertEqual((code, reply["status"], reply["correlation_id"]), (200, "processed", "load-1"))

    def test_what_is_wrong_gets_400_with_the_place_and_is_kept(self):
        w = self.world()
        good = event(labels=LABELS)

        def without(key):
            return {k: v for k, v in good.items() if k != key}

        def with_data(**data):
            return {**good, "data": {**good["data"], **data}}
        cases = [
            (b"{", "Invalid CloudEvent JSON", "line 1"), (b"\xff\xfe", "Invalid CloudEvent JSON", "line 1"), (b"", "Invalid CloudEvent JSON", ""),
            (b'{"a":1,"a":2}', "Invalid CloudEvent JSON", "duplicate"), (b'{"id":"a\\u0000b"}', "Invalid CloudEvent JSON", "\\u0000"),
            (b"[" * 10000, "Invalid CloudEvent JSON", "nested"), (b'"text"', "Invalid CloudEvent", "object"),
            (without("specversion"), "Invalid CloudEvent", "specversion"), (without("id"), "Invalid CloudEvent", "id"),
            (without("source"), "Invalid CloudEvent", "source"), (without("type"), "Invalid CloudEvent", "type"),
            (without("data"), "Invalid CloudEvent", "data"), ({**good, "data": None}, "Invalid CloudEvent", "data"),
            ({**good, "specversion": "0.3"}, "Invalid CloudEvent", "specversion"), ({**good, "type": "com.example.other"}, "Invalid CloudEvent", "type"),
            ({**good, "time": "yesterday"}, "Invalid CloudEvent", "time"), ({**good, "id": ""}, "Invalid CloudEvent", "id"),
            (with_data(status="broken"), "Invalid CloudEvent", "data.status"), (with_data(labels={"pod": 5}), "Invalid CloudEvent", "data.labels.pod"),
            (with_data(labels=[]), "Invalid CloudEvent", "data.labels"), (with_data(startsAt="now"), "Invalid CloudEvent", "data.startsAt"),
            (with_data(labels={f"l{n}": "x" for n in range(200)}), "Invalid CloudEvent", "data.labels"),
            (with_data(labels={"pod": "x" * 5000}), "Invalid CloudEvent", "data.labels.pod"),
        ]
        for n, (body, error, place) in enumerate(cases):
            with self.subTest(str(body)[:60]):
                code, reply = request(w.agent.url, "POST", body, {"Content-Type": TYPES["structured"]})
                self.assertEqual((code, reply["error"]), (400, error), reply)
                self.assertIn(place, reply["detail"])
                self.assertEqual(len(self.letters(w)), n + 1)
        self.assertEqual(w.agent.metric("dlq_events_total"), len(cases))
        self.assertEqual(w.agent.metric('cloudevents_received_total{event_type="other"') + w.agent.metric('cloudevents_received_total{event_type="io'), len(cases))
        self.assertEqual(post_event(w.agent.url, good)[0], 200)
        self.assertEqual({d["permanence"] for d in self.letters(w)}, {"permanent"})

    def test_headers_and_body_must_not_contradict_each_other(self):
        w = self.world()
        self.assertEqual(post_event(w.agent.url, event(labels=LABELS), {"ce-id": "other"})[0], 400)
        body = event(labels=LABELS, event_id="from-header")
        del body["id"], body["specversion"]
        self.assertEqual(post_event(w.agent.url, body, {"CE-ID": "from-header", "Ce-SpecVersion": "1.0"})[0], 200)

    def test_plain_json_without_headers_is_refused(self):
        w = self.world()
        self.assertEqual(request(w.agent.url, "POST", {"x": 1}, {"Content-Type": "application/json"})[0], 400)

    def test_other_media_types_get_415(self):
        w = self.world()
        for kind in ("text/xml", "application/cloudevents+avro", "multipart/form-data"):
            self.assertEqual(request(w.agent.url, "POST", b"<a/>", {"Content-Type": kind})[0], 415)
        self.assertEqual(len(self.letters(w)), 3)

    def test_a_batch_is_admitted_member_by_member(self):
        w = self.world()
        members = [event(labels={**LABELS, "pod": f"p{n}"}, event_id=f"b{n}") for n in range(3)]
        members[1]["data"]["status"] = "nonsense"
        code, reply = request(w.agent.url, "POST", members, {"Content-Type": TYPES["batch"]})
        self.assertEqual(code, 200)
        self.assertEqual([e["status"] for e in reply["events"]], ["processed", "rejected", "processed"])
        self.assertIn("events[1].data.status", reply["events"][1]["detail"])
        self.assertEqual((len(w.agent.incidents()), len(self.letters(w))), (2, 1))
        code, reply = request(w.agent.url, "POST", members, {"Content-Type": TYPES["batch"]})
        self.assertEqual([e.get("duplicate", False) for e in reply["events"]], [True, False, True])
        self.assertEqual(request(w.agent.url, "POST", [], {"Content-Type": TYPES["batch"]}), (200, {"status": "processed", "events": []}))
        self.assertEqual(request(w.agent.url, "POST", [members[1]], {"Content-Type": TYPES["batch"]})[0], 400)
        self.assertEqual(request(w.agent.url, "POST", {}, {"Content-Type": TYPES["batch"]})[0], 400)

    def test_too_large_is_413_by_length_and_by_count_and_its_head_is_kept(self):
        w = self.world(intake={"max_body": "64KiB"})
        big = event(labels=LABELS, annotations={"x": "y" * 70000})
        self.assertEqual(post_event(w.agent.url, big)[0], 413)
        s = self.connect(w)
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            s.sendall(b"2000\r\n" + b"a" * 8192 + b"\r\n")
        s.sendall(b"0\r\n\r\n")
        self.assertIn(b" 413 ", s.recv(4096))
        self.assertEqual([d["failure_kind"] for d in self.letters(w)], ["oversize", "oversize"])
        s = self.connect(w)
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        self.assertIn(b" 413 ", s.recv(4096))

    def test_conflicting_lengths_and_too_many_headers_are_refused(self):
        w = self.world()
        s = self.connect(w)
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        self.assertIn(b" 400 ", s.recv(4096))
        s = self.connect(w)
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100)) + b"Content-Length: 2\r\n\r\n{}")
        self.assertIn(b" 431 ", s.recv(4096))

    def test_slow_and_half_open_clients_are_cut_off(self):
        w = self.world(intake={"request_timeout": "1s"})
        silent, headers, body = self.connect(w), self.connect(w), self.connect(w)
        headers.sendall(b"POST / HTTP/1.1\r\nHo")
        body.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        began = time.monotonic()
        open_ones = {silent, headers, body}
        while open_ones and time.monotonic() - began < 10:
            for s in list(open_ones):
                try:
                    if s is not silent:
                        s.sendall(b"x")
                    s.settimeout(0.05)
                    if s.recv(10) == b"":
                        open_ones.discard(s)
                except TimeoutError:
                    pass
                except OSError:
                    open_ones.discard(s)
        self.assertEqual(open_ones, set())
        self.assertLess(time.monotonic() - began, 5)
        code, health = w.agent.get("/health")
        self.assertEqual((code, health["status"]), (200, "ok"))

    def test_other_methods_and_paths(self):
        w = self.world()
        for method, path, code in (("GET", "/", 405), ("PUT", "/", 405), ("GET", "/webhook", 405), ("GET", "/docs", 404), ("GET", "/health", 200),
                                   ("GET", "/ready", 200), ("GET", "/metrics", 200), ("POST", "/incidents", 405), ("GET", "/incidents/INC-9", 404),
                                   ("GET", "/incidents/x", 400), ("GET", "/../../etc/passwd", 404)):
            with self.subTest(f"{method} {path}"):
                self.assertEqual(request(w.agent.url + path, method)[0], code)

    def test_events_are_found_by_their_identity(self):
        w = self.world()
        post_event(w.agent.url, event(labels=LABELS, event_id="e-1", source="prometheus/alertmanager/main"))
        code, found = w.agent.get("/events/prometheus%2Falertmanager%2Fmain/e-1")
        self.assertEqual((code, found["incident"], found["outcome"]), (200, "INC-1", "opened"))
        self.assertEqual(w.agent.get("/events/prometheus-events/unknown")[0], 404)

    def test_correlation_ids_are_bounded_and_cannot_forge_log_lines(self):
        w = self.world()
        for n, (header, extension, expected) in enumerate((("good-1", "ext", "good-1"), ("bad id", "ext-1", "ext-1"), ("x" * 500, None, "c-2"))):
            body = event(labels={**LABELS, "pod": f"c{n}"}, event_id=f"c-{n}")
            if extension:
                body["correlationid"] = extension
            self.assertEqual(post_event(w.agent.url, body, {"X-Correlation-ID": header})[1]["correlation_id"], expected)
        post_event(w.agent.url, event(labels={**LABELS, "pod": '\n{"event":"forged"}'}, event_id="forge"))
        for line in list(w.agent.lines):
            self.assertNotEqual(json.loads(line)["event"], "forged")

    def test_a_token_guards_everything_but_the_probes(self):
        w = self.world(auth={"token": "0123456789abcdef0123"})
        for method, path in (("POST", "/"), ("POST", "/webhook"), ("GET", "/incidents"), ("GET", "/metrics"), ("POST", "/approvals/INC-1"), ("GET", "/dlq"), ("GET", "/nothing")):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic 0123456789abcdef0123"}):
                with self.subTest(f"{method} {path}"):
                    code, reply = request(w.agent.url + path, method, event(labels=LABELS) if method == "POST" else None, {"Content-Type": TYPES["structured"], **headers})
                    self.assertEqual((code, list(reply)), (401, ["error"]))
        self.assertEqual(w.agent.get("/health")[0], 200)
        good = {"Authorization": "Bearer 0123456789abcdef0123"}
        self.assertEqual(post_event(w.agent.url, event(labels=LABELS), good)[0], 200)
        self.assertEqual(len(request(w.agent.url + "/incidents", headers=good)[1]["incidents"]), 1)
        self.assertEqual(request(w.agent.url + "/dlq", headers=good)[1]["dead_letters"], [])

    def test_acknowledged_events_survive_kill_9_under_load(self):
        w = self.world()
        acknowledged = []

        def send(n):
            try:
                code, _ = post_event(w.agent.url, event(labels={**LABELS, "pod": f"k{n}"}, event_id=f"k{n}", annotations={}))
                if code == 200:
                    acknowledged.append(f"k{n}")
            except OSError:
                pass
        for round_number in range(5):
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                work = [pool.submit(send, round_number * 1000 + n) for n in range(200)]
                eventually(lambda n=round_number: len(acknowledged) >= 10 * (n + 1) or all(x.done() for x in work), "some are acknowledged", pause=0.005)
                w.agent.kill()
                concurrent.futures.wait(work)
            w.agent.start()
        self.assertGreaterEqual(len(acknowledged), 50)
        for one in acknowledged:
            self.assertEqual(w.agent.get(f"/events/prometheus-events/{one}")[0], 200, one)
        fingerprints = [i["fingerprint"] for n in range(1, 3) for i in [w.agent.incident(f"INC-{n}")]]
        self.assertEqual(len(fingerprints), len(set(fingerprints)))

    def test_tls_is_spoken_and_certificates_are_verified(self):
        w = World()
        self.addCleanup(w.close)
        certificate, key = os.path.join(w.agent.dir, "c.pem"), os.path.join(w.agent.dir, "k.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        with open(w.agent.config, "w") as f:
            json.dump({**w.settings, "tls": {"certificate": certificate, "key": key}}, f)
        self.assertTrue(w.agent.start(), w.agent.stderr())
        host, port = w.agent.url.split("//")[1].split(":")
        with ssl.create_default_context(cafile=certificate).wrap_socket(self.connect(w), server_hostname="127.0.0.1") as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"200", s.recv(1000))
            self.assertIn(s.version(), ("TLSv1.2", "TLSv1.3"))
        cli = [AGENT, "incidents", "--server", f"https://127.0.0.1:{port}"]
        self.assertEqual(subprocess.run(cli, capture_output=True).returncode, 1)
        self.assertEqual(subprocess.run(cli, capture_output=True, env={**os.environ, "SSL_CERT_FILE": certificate}).returncode, 0)

    def test_a_second_agent_on_the_same_data_is_refused(self):
        w = self.world()
        url, first = w.agent.url, w.agent.process
        self.assertFalse(w.agent.start())
        self.assertIn("in use by another agent-sre", w.agent.stderr())
        w.agent.process, w.agent.url = first, url
        self.assertEqual(w.agent.get("/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
