"""Judges a torture run from outside: what the senders were told, what the peers recorded, what the agent answers."""
import collections
import concurrent.futures
import glob
import http.client
import json
import os
import sqlite3
import threading
import time
import urllib.parse

STAGES = {"Fired Again": 0, "Remediation Selected": 1, "Remediation Executed": 2, "Remediation Result Unknown": 2,
          "Remediation Failed": 2, "Remediation Verified": 3, "Alert Resolved": 9}


BESIDE = "Observability Analysis"  # an investigation goes on beside the work, and may end after it


class Verdict:
    """Findings by kind: a kind with a finding is a failure."""

    def __init__(self):
        self.findings = collections.defaultdict(list)

    def find(self, kind, text):
        self.findings[kind].append(text)

    def count(self, kind):
        return len(self.findings[kind])

    def total(self):
        return sum(map(len, self.findings.values()))


class Questions:
    """Reads the agent's API with a few connections at once."""

    def __init__(self, port):
        self.port, self.local = port, threading.local()

    def get(self, path):
        """None: there is no such thing. Whatever else is no answer is asked again, and never taken for one."""
        for n in range(30):
            try:
                if not hasattr(self.local, "connection"):
                    self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self.local.connection.request("GET", path)
                reply = self.local.connection.getresponse()
                text = reply.read()
                if reply.status in (200, 404):
                    return json.loads(text) if reply.status == 200 else None
            except (OSError, http.client.HTTPException):
                self.local.connection.close()
            time.sleep(0.02 * n)
        raise AssertionError(f"the agent does not answer {path}")

    def all(self, paths):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(self.get, paths))


def incidents_of(ask):
    newest = ask.get("/incidents/latest")
    ids = range(1, int(newest["id"].split("-")[1]) + 1) if newest else []
    found = [i for i in ask.all([f"/incidents/INC-{n}" for n in ids]) if i]
    by_mark = collections.defaultdict(list)
    for one in found:
        by_mark[one["labels"]["pod"]].append(one)
    return by_mark


def judge_events(v, ask, load, by_mark):
    """Every acknowledged event is known and belongs to an incident; every episode has exactly one."""
    asked = [(e, status, identity) for e in load.episodes for status, ids in e.acknowledged.items() for identity in sorted(ids)]
    paths = ["/events/" + urllib.parse.quote(source, safe="") + "/" + urllib.parse.quote(one, safe="") for _, _, (source, one) in asked]
    incidents = collections.defaultdict(set)
    for (e, status, identity), answer in zip(asked, ask.all(paths)):
        if answer is None:
            v.find("events lost", f"{identity} was acknowledged and is unknown")
        elif "incident" in answer:
            incidents[e].add(answer["incident"])
        elif status == "fired" or answer["outcome"] != "orphan":
            v.find("events lost", f"{identity} belongs to no incident: {answer}")
    for e in load.episodes:
        if e.acknowledged["fired"] and not incidents[e]:
            v.find("events lost", f"{e.mark} has no incident")
        if len(incidents[e]) > 1:
            v.find("incidents doubled", f"{e.mark} at {e.starts} has {sorted(incidents[e])}")
    for mark, episodes in load.by_mark.items():
        if len(by_mark[mark]) > len(episodes):
            v.find("incidents doubled", f"{mark}: {[i['id'] for i in by_mark[mark]]} for {len(episodes)} episodes")
    return len(asked)


def judge_effects(v, function, load, by_mark):
    for mark in load.by_mark:
        keys, incidents = function.of_mark[mark], by_mark[mark]
        if len(keys) > min(len(incidents), len(load.by_mark[mark])) or len(set(keys)) < len(keys):
            v.find("effects doubled", f"{mark}: {keys} for {[i['id'] for i in incidents]}")
        if not keys and any(e.ends_by_remedy and e.acknowledged["fired"] for e in load.by_mark[mark]):
            v.find("effects lost", f"{mark} was never remedied")
        by_key = {one["action"].get("idempotency_key"): int(one["id"].split("-")[1]) for one in incidents if "action" in one}
        order = [by_key[k] for k in keys if k in by_key]
        if order != sorted(order):
            v.find("out of order", f"{mark}: effects for the incidents {order}")
        for one in incidents:
            action = one.get("action", {})
            if action.get("result") == "success" and function.done[action["idempotency_key"]] != 1:
                v.find("effects lost", f"{one['id']} claims a success that the function knows nothing of")


def judge_lives(v, by_mark):
    """Nothing happens before the event that opened it, nothing after the end, and there is one end."""
    for incidents in by_mark.values():
        for one in incidents:
            steps = [r for r in one["timeline"] if r["step"] not in ("ticket", "event", "approval", "investigate")]
            ends = [n for n, r in enumerate(steps) if r["outcome"] == "closed"]
            first = one["timeline"][0]
            if one["state"] != "closed" or len(ends) != 1:
                v.find("not finished", f"{one['id']} is {one['state']} and has {len(ends)} ends")
            elif ends[0] != len(steps) - 1 or (first["step"], first["outcome"]) != ("event", "firing"):
                v.find("out of order", f"{one['id']}: {[(r['step'], r['outcome']) for r in one['timeline']]}")


def judge_story(v, name, story):
    """One ticket: created, then comments in the order of the work, none twice, then completed."""
    heads = [s[1] for s in story if s[0] == "comment"]
    states = [s[1] for s in story if s[0] == "state"]
    for head, times in collections.Counter(heads).items():
        if times > 1:
            v.find("comments doubled", f"{name}: {head} {times} times")
    ranks = [STAGES[h] for h in heads if h in STAGES]
    work = [s for s in story if BESIDE not in s[-1]]
    if story[0][0] != "create" or ranks != sorted(ranks) or "complete" not in work[-1][-1] or any("complete" in s for s in states[:-1]):
        v.find("out of order", f"{name}: {story}")
    if "Alert Resolved" not in heads:
        v.find("comments lost", f"{name}: {heads}")


def judge_tickets(v, tickets, by_mark):
    """`tickets`: (key, title, story) of every ticket that exists at the tracker."""
    of_mark = collections.defaultdict(list)
    for key, title, story in tickets:
        judge_story(v, key, story)
        of_mark[title.rsplit(" ", 1)[-1]].append(key)
    for mark in set(by_mark) | set(of_mark):
        wanted = sorted(i.get("ticket", {}).get("key", "none") for i in by_mark[mark])
        got = sorted(of_mark[mark])
        if got != wanted:
            v.find("tickets doubled" if len(got) > len(wanted) else "tickets lost", f"{mark}: {got} for incidents with {wanted}")


def linear_tickets(linear):
    return [(i["identifier"], i["title"], linear.story[key]) for key, i in linear.issues.items()]


def embedded_tickets(ask):
    tickets = []
    while (found := ask.get(f"/tickets/SRE-{len(tickets) + 1}")) is not None:
        story = [("create",)]
        for e in found["entries"]:
            if e["kind"] == "comment":
                story.append(("comment", e["body"].split("\n")[0].strip("*")))
            elif e["kind"] == "state":
                story.append(("state", e["body"]))
        tickets.append((found["key"], found["title"], story))
    return tickets


def judge_letters(v, ask):
    for letter in ask.get("/dlq?limit=1000")["dead_letters"]:
        v.find("buried", json.dumps(letter)[:300])


def judge_log(v, directory):
    """The end of the log may be torn, and that is nothing to keep; damage would be of what was accepted."""
    for path in glob.glob(os.path.join(directory, "*.damaged")):
        v.find("log damaged", os.path.basename(path))


def judge_database(v, path):
    """After the last process has ended: the file itself."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        for check in ("integrity_check", "foreign_key_check"):
            rows = database.execute(f"PRAGMA {check}").fetchall()
            if rows not in ([("ok",)], []):
                v.find("database damaged", f"{check}: {rows[:5]}")
