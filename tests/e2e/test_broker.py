"""A real RabbitMQ dead-letters messages; the agent takes them in, keeps them, and sends them back."""
import atexit
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import AGENT, Agent, event, eventually, request  # noqa: E402

import pika  # noqa: E402

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
EPMD = shutil.which("epmd") or "/usr/bin/epmd"


def free_ports(count):
    """Below those that the system gives to clients: while the server is down, nobody must come to have its port."""
    ports = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(15000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


class Rabbit:
    """A server of its own: node name, ports, data and configuration in a temporary directory."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="agent-sre-rabbit-")
        self.port, self.tls_port, dist, epmd = free_ports(4)
        self.certificates()
        self.write("rabbitmq.conf", f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlisteners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
                   f"ssl_options.cacertfile = {self.dir}/ca.pem\nssl_options.certfile = {self.dir}/server.pem\n"
                   f"ssl_options.keyfile = {self.dir}/server.key\nlog.file.level = warning\n")
        self.write("plugins", "[].\n")
        home = {"HOME": self.dir, "PATH": os.environ["PATH"], "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        self.env = {**home, "RABBITMQ_NODENAME": f"agent-sre-test-{os.getpid()}@localhost", "RABBITMQ_DIST_PORT": str(dist),
                    "RABBITMQ_MNESIA_BASE": self.path("data"), "RABBITMQ_LOG_BASE": self.path("log"),
                    "RABBITMQ_CONFIG_FILE": self.path("rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE": self.path("plugins"),
                    "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false"}
        self.out = open(self.path("out"), "w")
        self.epmd = subprocess.Popen([EPMD, "-port", str(epmd), "-address", "127.0.0.1"], env=home, stdout=self.out,
                                     stderr=self.out)
        self.server = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def certificates(self):
        def openssl(*args):
            subprocess.run(["openssl", *args], check=True, cwd=self.dir, capture_output=True)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA")
        openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
        self.write("names", "subjectAltName=DNS:localhost\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                "server.pem", "-days", "2", "-extfile", "names")

    def start(self):
        self.server = subprocess.Popen([SERVER], env=self.env, cwd=self.dir, stdout=self.out, stderr=self.out,
                                       start_new_session=True)
        eventually(self.answers, "RabbitMQ answers", 120, 0.1)
        return self

    def answers(self):
        if self.server.poll() is not None:
            with open(self.path("out")) as f:
                raise AssertionError("RabbitMQ ended: " + f.read()[-2000:])
        try:
            self.connect().close()
            return True
        except pika.exceptions.AMQPError:
            return False

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))

    def stop(self):
        """As a power cut."""
        if self.server is not None:
            try:
                os.killpg(self.server.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended by itself
            self.server.wait()
            self.server = None

    def close(self):
        self.stop()
        self.epmd.kill()
        self.epmd.wait()
        self.out.close()
        shutil.rmtree(self.dir, ignore_errors=True)


rabbit = None


def start_rabbit():
    """One for all tests."""
    global rabbit
    if rabbit is None:
        rabbit = Rabbit()
        atexit.register(rabbit.close)
        rabbit.start()


def hang_up(connection):
    """Its server may be gone."""
    try:
        connection.close()
    except pika.exceptions.AMQPError:
        pass


class BrokerCase(unittest.TestCase):
    def setUp(self):
        start_rabbit()
        self.agents = []
        self.open_channel()
        self.name = re.sub(r"\W", ".", self.id().rsplit(".", 1)[-1])[:60]
        self.dlx, self.dlq = self.name + ".dlx", self.name + ".dlq"
        self.exchange, self.queue = self.name + ".events", self.name + ".work"
        self.channel.exchange_declare(self.dlx, "topic", durable=True)
        self.channel.queue_declare(self.dlq, durable=True)
        self.channel.queue_bind(self.dlq, self.dlx, "#")
        self.channel.exchange_declare(self.exchange, "topic", durable=True)

    def open_channel(self):
        self.connection = rabbit.connect()
        self.addCleanup(hang_up, self.connection)
        self.channel = self.connection.channel()

    def tearDown(self):
        for agent in self.agents:
            agent.close()

    def work_queue(self, **arguments):
        arguments = {"x-" + k.replace("_", "-"): v for k, v in arguments.items()}
        self.channel.queue_declare(self.queue, durable=True, arguments={"x-dead-letter-exchange": self.dlx, **arguments})
        self.channel.queue_bind(self.queue, self.exchange, "order.#")

    def publish(self, body=b"{}", key="order.created", headers=None, exchange=None, **properties):
        properties.setdefault("delivery_mode", 2)
        self.channel.basic_publish(self.exchange if exchange is None else exchange, key,
                                   body if isinstance(body, bytes) else json.dumps(body).encode(),
                                   pika.BasicProperties(headers=headers, **properties))

    def ce(self, n, kind="order.created", **more):
        return {"ce-specversion": "1.0", "ce-id": f"order-{n}", "ce-source": "shop", "ce-type": kind, **more}

    def reject(self, count=1):
        for _ in range(count):
            method = eventually(lambda: self.channel.basic_get(self.queue)[0], "a message is there")
            self.channel.basic_reject(method.delivery_tag, requeue=False)

    def agent(self, start=True, broker=None, **settings):
        url = f"amqp://guest:guest@127.0.0.1:{rabbit.port}/"
        settings["broker"] = {"url": url, "dead_letter_queues": [self.dlq]} if broker is None else broker
        agent = Agent({"prometheus": {"url": "http://127.0.0.1:9"}, **settings})
        self.agents.append(agent)
        if start:
            agent.start()
        return agent

    def depth(self, queue=None):
        """Messages that the broker would deliver now."""
        return self.channel.queue_declare(queue or self.dlq, passive=True).method.message_count

    def letters(self, agent, state="pending"):
        found, before = [], 0
        while True:
            _, reply = agent.get(f"/dlq?limit=1000&state={state}" + (f"&before={before}" if before else ""))
            found += reply["dead_letters"]
            if len(reply["dead_letters"]) < 1000:
                return found
            before = reply["dead_letters"][-1]["dlq_id"]

    def ingested(self, agent, count, timeout=None, **kwargs):
        return eventually(lambda: (lambda l: l if len(l) >= count else None)(self.letters(agent, **kwargs)),
                          f"{count} dead letters", *([timeout] if timeout else []))

    def letter(self, agent, dlq_id):
        return agent.get(f"/dlq/{dlq_id}")[1]

    def replay(self, agent, dlq_id):
        return request(f"{agent.url}/dlq/{dlq_id}/replay", "POST", {"by": "test"}, {"Content-Type": "application/json"}, 30)


class Ingest(BrokerCase):
    def one(self, agent):
        found = self.ingested(agent, 1)
        self.assertEqual(len(found), 1)
        return self.letter(agent, found[0]["dlq_id"])

    def test_rejected_message_with_its_headers(self):
        self.work_queue()
        self.publish({"total": 7}, "order.created.eu", self.ce(1, tenant="blue"), content_type="application/json")
        self.reject()
        letter = self.one(self.agent())
        self.assertEqual(letter["failure_reason"], f"rejected in queue {self.queue}")
        self.assertEqual((letter["failure_category"], letter["permanence"]), ("poison_message", "transient"))
        self.assertEqual((letter["event_id"], letter["event_source"], letter["event_type"]),
                         ("order-1", "shop", "order.created"))
        origin = letter["origin"]
        self.assertEqual((origin["kind"], origin["queue"], origin["exchange"], origin["routing_key"]),
                         ("rabbitmq", self.dlq, self.exchange, "order.created.eu"))
        self.assertEqual(origin["headers"]["tenant"], "blue")
        self.assertEqual(letter["event"]["body"], {"total": 7})
        eventually(lambda: self.depth() == 0, "the queue is empty")

    def test_expired_and_crowded_out_messages(self):
        self.work_queue(message_ttl=50)
        self.publish(headers=self.ce(1))
        self.channel.queue_declare(self.queue + "2", durable=True,
                                   arguments={"x-dead-letter-exchange": self.dlx, "x-max-length": 1})
        for n in (2, 3):
            self.publish(headers=self.ce(n), key=self.queue + "2", exchange="")
        found = {l["event_id"]: self.letter(self.agents[0], l["dlq_id"]) for l in self.ingested(self.agent(), 2)}
        self.assertEqual(sorted(found), ["order-1", "order-2"])
        self.assertEqual(found["order-1"]["failure_category"], "timeout")
        self.assertEqual(found["order-2"]["failure_category"], "resource_exhaustion")
        self.assertEqual((found["order-2"]["origin"]["exchange"], found["order-2"]["origin"]["routing_key"]),
                         ("", self.queue + "2"))

    def test_headers_of_the_platform_and_of_knative(self):
        self.publish(exchange=self.dlx, key="dlq.build", headers=self.ce(1, **{
            "x-death-reason": "s3_access_denied", "x-death-count": 3, "x-original-routing-key": "build.start"}))
        self.publish(exchange=self.dlx, key="dlq.x", headers=self.ce(2, **{
            "ce-knativeerrordest": "http://shop.svc", "ce-knativeerrorcode": "503", "ce-knativeerrordata": "b29wcw=="}))
        found = {l["event_id"]: self.letter(self.agents[0], l["dlq_id"]) for l in self.ingested(self.agent(), 2)}
        build, shop = found["order-1"], found["order-2"]
        self.assertEqual((build["failure_category"], build["permanence"], build["attempts"]),
                         ("dependency_failure", "permanent", 3))
        self.assertEqual(build["origin"]["routing_key"], "build.start")
        self.assertEqual(shop["failure_reason"], "http://shop.svc answered 503")
        self.assertEqual(shop["failure_category"], "dependency_failure")

    def test_structured_events_and_bodies_that_nothing_can_read(self):
        raw = bytes(range(256)) * 3
        structured = {"specversion": "1.0", "id": "s-1", "source": "shop", "type": "order.paid", "data": {"n": 1}}
        self.publish(structured, exchange=self.dlx, content_type="application/cloudevents+json; charset=utf-8")
        self.publish(raw, exchange=self.dlx, headers={"odd": b"\xff\xfe\x00"}, content_type="application/x-protobuf")
        self.publish(b"", exchange=self.dlx, message_id="m-7")
        self.publish(b'{"broken": ', exchange=self.dlx, headers=self.ce(9))
        agent = self.agent()
        found = {l["event_id"]: self.letter(agent, l["dlq_id"]) for l in self.ingested(agent, 4)}
        self.assertEqual(len(found), 4)
        self.assertEqual((found["s-1"]["event_type"], found["s-1"]["event"]["mode"]), ("order.paid", "structured"))
        self.assertIn("m-7", found)
        self.assertIn("order-9", found)
        binary = next(l for i, l in found.items() if i.startswith("sha256:"))
        self.assertEqual(binary["event"]["bytes"], len(raw))
        self.assertEqual(binary["origin"]["headers"]["odd"], {"amqp:bytes": "//4A"})
        eventually(lambda: self.depth() == 0, "the queue is empty")

    def test_of_a_message_over_16_mib_the_head_is_kept(self):
        body = b"x" * (16 * 1024 * 1024 + 1)
        self.publish(body, exchange=self.dlx, headers=self.ce(1))
        self.publish(body[1:], exchange=self.dlx, headers=self.ce(2))
        agent = self.agent()
        found = {l["event_id"]: self.letter(agent, l["dlq_id"]) for l in self.ingested(agent, 2)}
        eventually(lambda: self.depth() == 0, "the queue is empty")
        cut, whole = found["order-1"], found["order-2"]
        self.assertEqual((cut["failure_kind"], cut["event"]["truncated"], whole["event"]["truncated"]), ("oversize", True, False))
        self.assertEqual((cut["origin"]["bytes"], cut["origin"]["sha256"]), (len(body), hashlib.sha256(body).hexdigest()))
        _, reply = self.replay(agent, cut["dlq_id"])
        self.assertIn("only the head", json.dumps(reply))
        self.assertTrue(any('"broker_message_cut"' in line for line in agent.lines))

    def test_same_event_twice_is_one_dead_letter(self):
        agent = self.agent()
        for _ in range(3):
            self.publish(exchange=self.dlx, headers=self.ce(1))
            self.publish(b"no identity", exchange=self.dlx)
        self.publish(exchange=self.dlx, headers=self.ce(2))
        self.ingested(agent, 3)
        eventually(lambda: self.depth() == 0, "the queue is empty")
        self.assertEqual(len(self.letters(agent)), 3)

    def test_event_that_the_agent_refused_is_merged(self):
        agent = self.agent()
        body = {"specversion": "1.0", "id": "x-1", "source": "shop", "type": "order.created", "data": {}}
        code, _ = request(agent.url + "/", "POST", body, {"Content-Type": "application/cloudevents+json"})
        self.assertEqual(code, 400)
        before = self.ingested(agent, 1)[0]
        self.work_queue()
        self.publish(body, content_type="application/cloudevents+json")
        self.reject()
        after = eventually(lambda: (lambda l: l if l["attempts"] == 2 else None)(self.letter(agent, before["dlq_id"])),
                           "the letter knows of the second failure")
        self.assertEqual(len(self.letters(agent)), 1)
        self.assertEqual(after["failure_reason"], before["failure_reason"])
        self.assertEqual(after["origin"]["exchange"], self.exchange)

    def test_missing_queue_does_not_harm_the_others(self):
        url = f"amqp://guest:guest@127.0.0.1:{rabbit.port}/"
        agent = self.agent(broker={"url": url, "dead_letter_queues": [self.name + ".absent", self.dlq]})
        self.publish(exchange=self.dlx, headers=self.ce(1))
        self.ingested(agent, 1)
        self.assertTrue(any("broker_queue_refused" in line for line in agent.lines))

    def test_queue_that_was_deleted_and_made_again_is_read_again(self):
        agent = self.agent()
        self.publish(exchange=self.dlx, headers=self.ce(1))
        self.ingested(agent, 1)
        self.channel.queue_delete(self.dlq)
        self.channel.queue_declare(self.dlq, durable=True)
        self.channel.queue_bind(self.dlq, self.dlx, "#")
        self.publish(exchange=self.dlx, headers=self.ce(2))
        self.ingested(agent, 2, timeout=60)
        self.assertTrue(any("is gone" in line for line in agent.lines))

    def test_wrong_password_virtual_host_and_queue_are_named(self):
        port = rabbit.port
        for url, queue, words in (
                (f"amqp://guest:wr0ngpassword@127.0.0.1:{port}/", self.dlq, ("login", "403", "ACCESS_REFUSED")),
                (f"amqp://guest:guest@127.0.0.1:{port}/elsewhere", self.dlq, ("login", "530", "elsewhere")),
                (f"amqp://guest:guest@127.0.0.1:{port}/", self.name + ".absent", ("404", self.name + ".absent"))):
            with self.subTest(url):
                agent = self.agent(broker={"url": url, "dead_letter_queues": [queue]})
                said = eventually(lambda: [line for line in agent.lines if "broker_lost" in line or "queue_refused" in line],
                                  "the log says why")[0]
                for word in words:
                    self.assertIn(word, said)
                self.assertEqual(agent.get("/ready")[0], 200)
                agent.stop()
                self.assertNotIn("wr0ngpassword", "".join(agent.lines) + agent.stderr())

    def test_store_that_takes_little_slows_reading_and_loses_nothing(self):
        for n in range(400):
            self.publish(exchange=self.dlx, headers=self.ce(n))
        agent = self.agent(intake={"queue": 1})
        ids = sorted(l["event_id"] for l in self.ingested(agent, 400))
        self.assertEqual(ids, sorted(f"order-{n}" for n in range(400)))
        eventually(lambda: self.depth() == 0, "the queue is empty")

    def test_tls_is_verified(self):
        self.publish(exchange=self.dlx, headers=self.ce(1))
        broker = {"url": f"amqps://guest:guest@localhost:{rabbit.tls_port}/", "dead_letter_queues": [self.dlq]}
        wary = self.agent(broker=broker)
        eventually(lambda: any('"broker_lost"' in line for line in wary.lines), "an unknown authority is refused")
        self.assertEqual(self.letters(wary), [])
        wary.stop()
        named = {**broker, "url": broker["url"].replace("localhost", "127.0.0.1")}
        other = self.agent(broker=named, ca_file=rabbit.path("ca.pem"))
        eventually(lambda: any('"broker_lost"' in line for line in other.lines), "another name is refused")
        other.stop()
        self.ingested(self.agent(broker=broker, ca_file=rabbit.path("ca.pem")), 1)

    def test_doctor_looks_at_each_queue(self):
        self.publish(exchange=self.dlx, headers=self.ce(1))
        agent = self.agent(broker={})

        def finding():
            env = {**agent.env, "AGENT_SRE_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{rabbit.port}",
                   "AGENT_SRE_BROKER_DEAD_LETTER_QUEUES": self.dlq}
            out = subprocess.run([AGENT, "doctor", "--json", "--config", agent.config, "--data", agent.dir + "/data"],
                                 capture_output=True, text=True, env=env, timeout=60).stdout
            return next(f for f in json.loads(out) if f["check"] == "broker")
        self.assertEqual(finding()["result"], "ok")
        self.assertIn(f"{self.dlq}: 1 messages", finding()["detail"])
        self.channel.queue_delete(self.dlq)
        self.assertEqual(finding()["result"], "failed")
        self.assertNotIn("guest:guest", json.dumps(finding()))


class Crash(BrokerCase):
    COUNT = 4000

    def expire_many(self, start, count):
        """A queue in which nothing may stay dead-letters all that comes."""
        for n in range(start, start + count):
            self.publish({"n": n}, headers=self.ce(n), content_type="application/json")

    def present(self, agent):
        """What a killed agent has on disk: read by another one, without broker, from a copy."""
        reader = Agent({"prometheus": {"url": "http://127.0.0.1:9"}})
        self.agents.append(reader)
        shutil.copytree(os.path.join(agent.dir, "data"), os.path.join(reader.dir, "data"))
        reader.start()
        ids = [l["event_id"] for l in self.letters(reader)]
        reader.close()
        self.agents.remove(reader)
        return ids

    def undelivered(self):
        """Once the broker has noticed that the consumer is gone."""
        eventually(lambda: self.channel.queue_declare(self.dlq, passive=True).method.consumer_count == 0, "nobody consumes")
        return self.depth()

    def test_killed_between_delivery_and_acknowledgement(self):
        self.work_queue(message_ttl=0)
        agent = self.agent(start=False, broker={"url": f"amqp://guest:guest@127.0.0.1:{rabbit.port}",
                                                "dead_letter_queues": [self.dlq], "prefetch": 50})
        rng = random.Random(7)
        cut, published, per_round = 0, 0, self.COUNT // 20
        for _ in range(20):
            self.expire_many(published, per_round)
            published += per_round
            agent.lines.clear()
            agent.start()
            eventually(lambda: any('"broker_queue"' in line for line in agent.lines), "it consumes", pause=0.001)
            time.sleep(rng.uniform(0, 0.03))
            agent.kill()
            left = self.undelivered()
            ids = self.present(agent)
            self.assertEqual(len(ids), len(set(ids)), "nothing twice")
            self.assertGreaterEqual(len(ids) + left, published, "what is not in the queue is on disk")
            cut += 0 < left
        self.assertGreater(cut, 5, "the kills came too late to prove anything")
        agent.start()
        eventually(lambda: self.depth() == 0 and len(self.letters(agent)) >= self.COUNT, "all is taken in")
        ids = [l["event_id"] for l in self.letters(agent)]
        self.assertEqual(sorted(ids), sorted(f"order-{n}" for n in range(self.COUNT)))
        agent.stop()
        self.assertEqual(self.undelivered(), 0)

    def test_broker_dies_in_the_middle_and_comes_back(self):
        for n in range(1500):
            self.publish(exchange=self.dlx, headers=self.ce(n))
        self.channel.confirm_delivery()
        self.publish(exchange=self.dlx, headers=self.ce(1500))
        agent = self.agent()
        self.ingested(agent, 1)
        rabbit.stop()
        self.connection = None
        eventually(lambda: any('"broker_lost"' in line for line in agent.lines), "the agent notices")
        self.assertEqual(agent.get("/ready")[0], 200)
        rabbit.start()
        self.open_channel()
        self.channel.confirm_delivery()
        self.publish(exchange=self.dlx, headers=self.ce(1501))
        eventually(lambda: len(self.letters(agent)) >= 1502, "all is taken in")
        self.assertEqual(sorted(l["event_id"] for l in self.letters(agent)), sorted(f"order-{n}" for n in range(1502)))
        eventually(lambda: self.depth() == 0, "the queue is empty")


class Replay(BrokerCase):
    def consume(self):
        consumer = rabbit.connect()
        self.addCleanup(hang_up, consumer)
        channel = consumer.channel()
        got = []
        channel.basic_consume(self.queue, lambda ch, m, p, b: got.append((m, p, b)))
        return consumer, channel, got

    def received(self, consumer, got):
        return eventually(lambda: consumer.process_data_events(0) or (got.pop(0) if got else None), "the message comes back")

    def dead(self, n=1, **more):
        self.work_queue()
        self.publish({"n": n}, "order.created.eu", self.ce(n, tenant="blue", **more), content_type="application/json",
                     message_id="m-1", priority=3, timestamp=1_700_000_000)
        self.reject()
        agent = self.agent()
        return agent, self.ingested(agent, 1)[0]["dlq_id"]

    def test_message_goes_back_as_it_was(self):
        agent, dlq_id = self.dead()
        code, reply = self.replay(agent, dlq_id)
        self.assertFalse(reply["success"], "nobody consumes the queue")
        self.assertIn("nobody consumes", reply["outcome"])
        self.assertEqual(self.letter(agent, dlq_id)["state"], "pending")
        consumer, channel, got = self.consume()
        code, reply = self.replay(agent, dlq_id)
        self.assertEqual((code, reply["success"], reply["outcome"]), (200, True, "republished"), reply)
        method, properties, body = self.received(consumer, got)
        channel.basic_ack(method.delivery_tag)
        self.assertEqual((method.exchange, method.routing_key, body), (self.exchange, "order.created.eu", b'{"n": 1}'))
        self.assertEqual(properties.headers, {**self.ce(1, tenant="blue"), "x-agent-sre-replay": 1, "x-agent-sre-deaths": 1})
        self.assertEqual((properties.content_type, properties.message_id, properties.priority, properties.timestamp,
                          properties.delivery_mode), ("application/json", "m-1", 3, 1_700_000_000, 2))
        self.assertEqual(self.letter(agent, dlq_id)["state"], "resolved")
        self.assertEqual(self.letters(agent), [])

    def test_message_that_nothing_is_bound_for_stays(self):
        agent, dlq_id = self.dead()
        consumer, _, got = self.consume()
        self.channel.queue_unbind(self.queue, self.exchange, "order.#")
        _, reply = self.replay(agent, dlq_id)
        self.assertFalse(reply["success"])
        self.assertIn("no queue is bound", reply["outcome"])
        self.channel.exchange_delete(self.exchange)
        _, reply = self.replay(agent, dlq_id)
        self.assertFalse(reply["success"])
        self.assertIn("no exchange", reply["outcome"])
        self.assertEqual(self.letter(agent, dlq_id)["state"], "pending")

    def test_nothing_ping_pongs(self):
        agent, dlq_id = self.dead()
        consumer, channel, got = self.consume()
        for n in range(1, 6):
            _, reply = self.replay(agent, dlq_id)
            self.assertTrue(reply["success"], reply)
            method, properties, _ = self.received(consumer, got)
            self.assertEqual(properties.headers["x-agent-sre-replay"], n)
            channel.basic_reject(method.delivery_tag, requeue=False)
            found = self.ingested(agent, 1)
            self.assertEqual(len(found), 1)
            dlq_id = found[0]["dlq_id"]
            self.assertEqual(found[0]["attempts"], n + 1)
        _, reply = self.replay(agent, dlq_id)
        self.assertFalse(reply["success"])
        self.assertIn("5 times", reply["outcome"])
        self.assertEqual(len(self.letters(agent)), 1)

    def test_alert_event_enters_the_agents_own_pipeline(self):
        self.publish(event(alertname="DiskFull", event_id="alert-1"), exchange=self.dlx,
                     content_type="application/cloudevents+json")
        data = event(alertname="DiskSlow")["data"]
        self.publish(data, exchange=self.dlx, content_type="application/json",
                     headers=self.ce(2, kind="io.homelab.prometheus.alert.fired"))
        agent = self.agent()
        for letter in self.ingested(agent, 2):
            code, reply = self.replay(agent, letter["dlq_id"])
            self.assertTrue(reply["success"], reply)
        self.assertEqual(sorted(i["alertname"] for i in agent.incidents()), ["DiskFull", "DiskSlow"])
        self.assertEqual(self.letters(agent), [])

    def test_broker_that_does_not_answer_uses_up_no_replay(self):
        agent, dlq_id = self.dead()
        os.killpg(rabbit.server.pid, signal.SIGSTOP)
        try:
            _, reply = self.replay(agent, dlq_id)
        finally:
            os.killpg(rabbit.server.pid, signal.SIGCONT)
        self.assertFalse(reply["success"], reply)
        self.assertIn("nothing was sent", reply["outcome"])
        letter = self.letter(agent, dlq_id)
        self.assertEqual((letter["state"], letter["replays"], letter["attempts"]), ("pending", 0, 1))

    def test_replay_waits_for_the_broker_to_come_back(self):
        agent, dlq_id = self.dead()
        consumer, channel, got = self.consume()
        self.assertTrue(self.replay(agent, dlq_id)[1]["success"])
        method = self.received(consumer, got)[0]
        channel.basic_reject(method.delivery_tag, requeue=False)
        dlq_id = self.ingested(agent, 1)[0]["dlq_id"]
        consumer.close()
        rabbit.stop()
        _, reply = self.replay(agent, dlq_id)
        self.assertFalse(reply.get("success"))
        self.assertEqual(self.letter(agent, dlq_id)["state"], "pending")
        rabbit.start()
        consumer, channel, got = self.consume()
        time.sleep(6)
        code, reply = self.replay(agent, dlq_id)
        self.assertTrue(reply["success"], reply)
        self.assertEqual(self.received(consumer, got)[2], b'{"n": 1}')


if __name__ == "__main__":
    unittest.main()
