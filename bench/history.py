"""A store with many incidents: the agent makes one of each kind by itself, SQL multiplies them."""
import json
import sqlite3

import loads

# table → columns that must differ from copy to copy; n counts from 1. Every other column is copied as it is.
COPIES = {
    "incident": {"id": "id + 2 * n", "uid": "printf('%08x', n) || substr(uid, 9)", "fingerprint": "printf('%016x', id + 2 * n)"},
    "event": {"id": "id || '-' || n", "incident": "incident + 2 * n"},
    "episode": {"fingerprint": "printf('%016x', incident + 2 * n)", "incident": "incident + 2 * n"},
    "job": {"incident": "incident + 2 * n"},
    "journal": {"id": "NULL", "incident": "incident + 2 * n"},
    "ticket_op": {"seq": "NULL", "incident": "incident + 2 * n", "uuid": "uuid || '-' || n"},
    "ticket_ref": {"incident": "incident + 2 * n", "id": "id || '-' || n"},
    "ticket": {"number": "NULL", "id": "id || '-' || n"},
    "ticket_entry": {"id": "NULL", "uuid": "uuid || '-' || n", "ticket": "ticket || '-' || n"},
}
OF = {"incident": "id = ?", "ticket": "id IN (SELECT id FROM ticket_ref WHERE incident = ?)",
      "ticket_entry": "ticket IN (SELECT id FROM ticket_ref WHERE incident = ?)"}


def make_two(agent):
    """INC-1 is with a person, INC-2 is closed."""
    for number, state in ((1, "firing"), (2, "firing")):
        agent.post("/webhook", loads.render(loads.body(state, 1), number))
        agent.until(lambda n=number: json.loads(agent.get(f"/incidents/{n}"))["state"] == "escalated", f"incident {number} is escalated")
    agent.post("/webhook", loads.render(loads.body("resolved", 1), 2))
    agent.until(lambda: json.loads(agent.get("/incidents/2"))["state"] == "closed", "incident 2 is closed")
    agent.until(lambda: agent.metric("ticket_operations_waiting") == 0, "the tickets are written")


def multiply(database, active, closed):
    """Copies INC-1 `active` times and INC-2 `closed` times. The agent must be stopped."""
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA synchronous = OFF")
        for table, changed in COPIES.items():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join(changed.get(c, c) for c in columns)
            for incident, copies in ((1, active), (2, closed)):
                rows = f"SELECT * FROM {table} WHERE {OF.get(table, 'incident = ?')}"
                db.execute(f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {copies})"
                           f" INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM many, ({rows}) WHERE {copies} > 0", (incident,))
    db.close()
