"""The protocol of intake and effects as a model, small enough that every interleaving can be looked at.

  request → appended to the intake log → fdatasync → acknowledged
          → applied to the database: incident, key and position in one transaction, not synced yet
          → intent committed and synced → call with the key that the incident has stored → result committed and synced

A kill loses memory only: what was written but not synced is still there. Power can fail too: of what was not
synced any prefix survives, of the log and of the transactions alike. Requests and calls in flight may be lost, late or
repeated; senders repeat what was not acknowledged; what is known is acknowledged at once. Each wrong variant leaves out
one rule.
"""
from collections import deque, namedtuple

VARIANTS = {
    "ack before sync": "a request is acknowledged when it is appended",
    "position apart": "the position is committed in a transaction of its own, before the incident",
    "key not stored": "the key of a call comes from a counter in memory",
    "call before sync": "the function is called before the intent is on disk",
    "log recycled early": "log records are dropped once applied, before the database is synced",
    "keys forgotten": "what is applied is not compared with the keys of earlier events",
    "tail not synced": "at opening, records that a killed process had written are believed without a sync",
    "new key per try": "every try of a call has a key of its own",
}
EVENTS = (0, 1)

Database = namedtuple("Database", "position known incidents")  # incidents: (event, uid, stage)
State = namedtuple("State", "net acked waiting answerable disk unsynced cache base dbs half called replies wire seen effects fresh tries crashes repeats")
START = State(net=(1, 1), acked=(False, False), waiting=(), answerable=frozenset(), disk=(), unsynced=frozenset(), cache=(), base=0,
              dbs=(Database(0, frozenset(), ()),), half=None, called=frozenset(), replies=frozenset(), wire=frozenset(),
              seen=frozenset(), effects=(0, 0), fresh=0, tries=0, crashes=0, repeats=0)


def put(values, n, value):
    return values[:n] + (value,) + values[n + 1:]


def intake(s, wrong):
    for e in EVENTS:
        if s.net[e] and e in s.dbs[-1].known:
            yield "deliver again", s._replace(net=put(s.net, e, s.net[e] - 1), answerable=s.answerable | {e})
        elif s.net[e]:
            got = s._replace(net=put(s.net, e, s.net[e] - 1), cache=s.cache + (e,), waiting=s.waiting + (e,))
            yield "deliver", got._replace(answerable=got.answerable | {e}) if wrong == "ack before sync" else got
        if e in s.answerable:
            yield "ack", s._replace(acked=put(s.acked, e, True), answerable=s.answerable - {e})
        if not s.acked[e] and not s.net[e] and e not in s.waiting and e not in s.answerable:
            yield "retry", s._replace(net=put(s.net, e, 1))
    if s.cache:
        yield "sync", s._replace(disk=s.disk + s.cache, cache=(), answerable=s.answerable | frozenset(s.waiting), waiting=())


def insert(db, event, fresh, wrong):
    if event is None or (event in db.known and wrong != "keys forgotten"):
        return db
    return db._replace(known=db.known | {event}, incidents=db.incidents + ((event, fresh, "new"),))


def application(s, wrong):
    db = s.dbs[-1]
    at = max(db.position, s.base)  # what was recycled cannot be read again
    if s.half is not None:
        yield "insert", s._replace(dbs=s.dbs + (insert(db, s.half, s.fresh, wrong),), half=None, fresh=s.fresh + 1)
    elif at < s.base + len(s.disk):
        event, moved = s.disk[at - s.base], db._replace(position=at + 1)
        if wrong == "position apart":
            yield "position", s._replace(dbs=s.dbs + (moved,), half=event)
        else:
            yield "apply", s._replace(dbs=s.dbs + (insert(moved, event, s.fresh, wrong),), fresh=s.fresh + 1)
    if len(s.dbs) > 1:
        yield "checkpoint", s._replace(dbs=(db,))
    safe = (s.dbs[-1] if wrong == "log recycled early" else s.dbs[0]).position
    if safe > s.base:
        yield "recycle", s._replace(base=safe, disk=s.disk[safe - s.base:])


def steps(s, wrong):
    db = s.dbs[-1]
    for n, (event, uid, stage) in enumerate(db.incidents):
        def commit(to, n=n, event=event, uid=uid):
            return db._replace(incidents=put(db.incidents, n, (event, uid, to)))
        if stage == "new":
            written = (commit("intent"),)
            yield "intent", s._replace(dbs=s.dbs + written if wrong == "call before sync" else written)
        if stage == "intent" and uid not in s.called:
            key = ("try", s.tries) if wrong == "key not stored" else (uid, s.fresh) if wrong == "new key per try" else uid
            yield "call", s._replace(called=s.called | {uid}, wire=s.wire | {(key, event, uid)}, tries=s.tries + 1,
                                     fresh=s.fresh + (wrong == "new key per try"))
        if stage == "intent" and uid in s.replies:
            yield "result", s._replace(dbs=(commit("done"),))


def peer(s):
    for call in s.wire:
        key, event, uid = call
        served = s._replace(wire=s.wire - {call}, seen=s.seen | {key}, replies=s.replies | ({uid} & s.called))
        yield "serve", served if key in s.seen else served._replace(effects=put(s.effects, event, s.effects[event] + 1))


def lose(s, wrong, crash_limit):
    """What finishing never does: repeats, lost calls, the power failing."""
    for e in EVENTS:
        if s.repeats == 0 and not s.net[e]:
            yield "repeat", s._replace(net=put(s.net, e, 1), repeats=1)
        if s.net[e] and not s.acked[e]:
            yield "lose request", s._replace(net=put(s.net, e, 0))
    for call in s.wire:
        yield "lose call", s._replace(wire=s.wire - {call}, called=s.called - {call[2]})
    if s.crashes < crash_limit:
        yield from crash(s, wrong)


def crash(s, wrong):
    down = s._replace(cache=(), waiting=(), answerable=frozenset(), half=None, called=frozenset(), replies=frozenset(),
                      tries=0, crashes=s.crashes + 1)
    end = s.base + len(s.disk)
    for kept in range(len(s.cache) + 1):
        disk = s.disk + s.cache[:kept]
        tail = frozenset(range(end, end + kept)) if wrong == "tail not synced" else frozenset()
        yield "kill", down._replace(disk=disk, unsynced=s.unsynced | tail)
        disk = tuple(None if s.base + n in s.unsynced else e for n, e in enumerate(disk))
        for db in s.dbs:
            yield "power failure", down._replace(disk=disk, unsynced=frozenset(), dbs=(db,))


def work(s, wrong):
    yield from intake(s, wrong)
    yield from application(s, wrong)
    yield from steps(s, wrong)
    yield from peer(s)


def finish(s, wrong, known):
    """The end when nothing more goes wrong; `known` remembers it for every state on the way."""
    path = []
    while s not in known:
        path.append(s)
        following = next(work(s, wrong), None)
        if following is None:
            known[s] = s.effects
            break
        s = following[1]
    for passed in path:
        known[passed] = known[s]
    return known[s]


def search(wrong=None, depth=12, crash_limit=2):
    """Breadth first: (what went wrong or None, the shortest way there, states seen)."""
    came_from, ends, queue = {START: None}, {}, deque([(START, 0)])
    while queue:
        s, far = queue.popleft()
        end = finish(s, wrong, ends)
        found = "done twice" if max(s.effects) > 1 or max(end) > 1 else None
        if min(end) < 1:
            found = "acknowledged and lost" if any(a and not n for a, n in zip(s.acked, end)) else "lost although the sender retries"
        if found:
            way = []
            while came_from[s]:
                s, action = came_from[s]
                way.append(action)
            return found, way[::-1], len(came_from)
        if far == depth:
            continue
        for moves in (work(s, wrong), lose(s, wrong, crash_limit)):
            for action, following in moves:
                if following not in came_from:
                    came_from[following] = (s, action)
                    queue.append((following, far + 1))
    return None, [], len(came_from)
