"""What is left of a directory after the power failed. unsynced.c has written down what the agent did to its files; here
it is done again in memory: what was synced is certain, of the rest a part survives that chance picks."""
import os
import struct

HEADER = struct.Struct("<BBHIQQ")
SECTOR = 512  # written whole or not at all
SURVIVORS = ("nothing", "everything", "prefix", "some")


class File:
    def __init__(self, content=b""):
        self.synced, self.pending = bytearray(content), []  # pending: (record number, kind, offset, data)

    def image(self, survives):
        """The content, with what `survives` leaves of the pending changes."""
        content = bytearray(self.synced)
        for change in self.pending:
            for kind, offset, data in survives(change):
                apply(content, kind, offset, data)
        return content

    def sync(self, covered):
        for number, kind, offset, data in self.pending:
            if number <= covered:
                apply(self.synced, kind, offset, data)
        self.pending = [p for p in self.pending if p[0] > covered]


def apply(content, kind, offset, data):
    if kind == "w":
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(data)] = data
    elif kind == "t" and offset < len(content):
        del content[offset:]
    elif kind in "ta" and offset > len(content):
        content.extend(bytes(offset - len(content)))


def sectors(offset, data):
    at = 0
    while at < len(data):
        size = SECTOR - (offset + at) % SECTOR
        yield offset + at, data[at:at + size]
        at += size


def whole(change):
    return [change[1:]]


class Survival:
    """Of the changes that nobody synced: none, all, those before a moment, or sectors by chance."""

    def __init__(self, chance, last):
        self.how = chance.choice(SURVIVORS)
        self.chance, self.share = chance, chance.choice((0.1, 0.5, 0.9))
        self.until = chance.randint(0, last)

    def keeps(self, number):
        if self.how == "some":
            return self.chance.random() < self.share
        return self.how == "everything" or (self.how == "prefix" and number <= self.until)

    def __call__(self, change):
        number, kind, offset, data = change
        if self.how == "some" and kind == "w":
            return [("w", at, part) for at, part in sectors(offset, data) if self.chance.random() < self.share]
        return whole(change) if self.keeps(number) else []


def is_shared_memory(name):
    return name.endswith("-shm")


class Directory:
    """The files below `path` as they were when the process began, and what the records did to them."""

    def __init__(self, path):
        self.path, self.files, self.names, self.dirs, self.dir_of = path, {}, {}, {""}, {os.stat(path).st_ino: ""}
        for top, dirs, files in os.walk(path):
            for name in dirs:
                full = os.path.join(top, name)
                self.dir_of[os.stat(full).st_ino] = os.path.relpath(full, path)
                self.dirs.add(os.path.relpath(full, path))
            for name in files:
                full = os.path.join(top, name)
                if is_shared_memory(name):
                    os.unlink(full)
                    continue
                inode = os.stat(full).st_ino
                if inode not in self.files:  # else another name of the same file
                    with open(full, "rb") as f:
                        self.files[inode] = File(f.read())
                self.names[os.path.relpath(full, path)] = self.files[inode]
        self.moves = []    # changes of names: [record number, synced, kind, name, what]
        self.records = self.before = 0

    def next_life(self):
        """The process was killed, the power is still there: what is not synced may yet be lost later."""
        self.before = self.records

    def replay(self, log):
        """Reads the records; the last one may be torn."""
        with open(log, "rb") as f:
            text = f.read()
        at = 0
        while at + HEADER.size <= len(text):
            kind, directory, _, size, number, offset = HEADER.unpack_from(text, at)
            at += HEADER.size + size
            if at > len(text):
                return
            self.records += 1
            self.record(chr(kind), directory, number, offset, text[at - size:at])

    def record(self, kind, directory, inode, offset, data):
        n = self.records
        offset += self.before if kind == "s" else 0  # each process counts from 1
        if kind == "c":
            name = os.fsdecode(data)
            if directory:
                self.dir_of[inode] = name
            else:
                self.files[inode] = File()
            self.moves.append([n, False, kind, name, None if directory else self.files[inode]])
        elif kind == "u":
            self.moves.append([n, False, kind, os.fsdecode(data), None])
        elif kind in "rl":
            old, new = os.fsdecode(data).split("//")
            self.moves.append([n, False, kind, new, old])
        elif kind == "s" and directory:
            for move in self.moves:
                move[1] |= move[0] <= offset and os.path.dirname(move[3]) == self.dir_of[inode]
        elif kind == "s":
            self.files[inode].sync(offset)
        else:
            self.files[inode].pending.append((n, kind, offset, data))

    def unsynced(self):
        return sum(len(f.pending) for f in self.names_when(lambda m: True)[0].values()) + sum(not m[1] for m in self.moves)

    def names_when(self, survives):
        """({name: File}, directories) when those changes of names are done that are synced or survive."""
        names, dirs = dict(self.names), set(self.dirs)
        for move in self.moves:
            _, synced, kind, name, what = move
            if not synced and not survives(move):
                continue
            if kind == "c" and what is None:
                dirs.add(name)
            elif kind == "c":
                names[name] = what
            elif kind == "u":
                names.pop(name, None)
                dirs.discard(name)
            elif what in names:
                names[name] = names.pop(what) if kind == "r" else names[what]
        return {n: f for n, f in names.items() if os.path.dirname(n) in dirs}, dirs

    def differences(self):
        """Where the files are not what the records make of them: something changed them unseen."""
        names, _ = self.names_when(lambda m: True)
        found = {os.path.relpath(os.path.join(top, f), self.path) for top, _, files in os.walk(self.path)
                 for f in files if not is_shared_memory(f)}
        wrong = [f"{n} exists only {'on disk' if n in found else 'in the records'}" for n in found ^ set(names)]
        for name in found & set(names):
            with open(os.path.join(self.path, name), "rb") as f:
                here, recorded = f.read(), bytes(names[name].image(whole))
            if here != recorded:
                at = next((n for n, (a, b) in enumerate(zip(here, recorded)) if a != b), min(len(here), len(recorded)))
                wrong.append(f"{name} has another content from byte {at} on: {len(here)} bytes, {len(recorded)} recorded")
        return wrong

    def cut(self, chance):
        """The power fails: the directory becomes what is left of it. Returns how the rest fared."""
        survival = Survival(chance, self.records)
        torn = {}  # names change in order within a directory: what follows a lost change is lost

        def kept(move):
            where = os.path.dirname(move[3])
            torn[where] = torn.get(where, False) or not survival.keeps(move[0])
            return not torn[where]
        names, dirs = self.names_when(kept)
        for top, _, files in os.walk(self.path):
            for f in files:
                os.unlink(os.path.join(top, f))
        for name in sorted(dirs - {""}):
            os.makedirs(os.path.join(self.path, name), 0o700, exist_ok=True)
        written = {}
        for name, file in names.items():
            path = os.path.join(self.path, name)
            if file in written:
                os.link(written[file], path)
            else:
                written[file] = path
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                    f.write(file.image(survival))
        return survival.how
