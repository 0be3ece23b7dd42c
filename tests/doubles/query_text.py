"""Just enough of the query languages to refuse what the real servers would refuse: quoted strings as Go reads
them, and matchers between braces."""
import re

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class QueryError(Exception):
    pass


class Text:
    """A query being read from left to right."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def space(self):
        while self.at < len(self.text) and self.text[self.at] in " \t\n":
            self.at += 1

    def rest(self):
        self.space()
        return self.text[self.at:]

    def word(self, pattern, what):
        """The next token, which must match the regular expression."""
        self.space()
        found = re.compile(pattern).match(self.text, self.at)
        if not found:
            raise QueryError(f"parse error at {self.at}: expected {what} in {self.text!r}")
        self.at = found.end()
        return found.group(0)

    def maybe(self, pattern):
        self.space()
        found = re.compile(pattern).match(self.text, self.at)
        if found:
            self.at = found.end()
        return found and found.group(0)

    def string(self):
        self.space()
        out, at = [], self.at
        if self.text[at:at + 1] != '"':
            raise QueryError(f"parse error at {at}: expected a string in {self.text!r}")
        at += 1
        while True:
            c = self.text[at:at + 1]
            if c == "" or c == "\n" or c == "\ufeff":
                raise QueryError(f"parse error at {at}: string not ended in {self.text!r}")
            if c == '"':
                break
            if c == "\\":
                code = self.text[at + 1:at + 2]
                if code in ESCAPES and code:
                    out.append(ESCAPES[code])
                    at += 2
                elif code == "x" or code == "u":
                    digits = self.text[at + 2:at + (4 if code == "x" else 6)]
                    out.append(chr(int(digits, 16)))
                    at += 2 + len(digits)
                else:
                    raise QueryError(f"parse error at {at}: unknown escape in {self.text!r}")
                continue
            out.append(c)
            at += 1
        self.at = at + 1
        return "".join(out)

    def matchers(self):
        """{a="b",c=~"d"} → [(name, sign, value)]"""
        self.word(r"\{", "{")
        found = []
        while not self.maybe(r"\}"):
            if found:
                self.word(",", ", or }")
            name = self.word(r"[A-Za-z_][A-Za-z0-9_]*", "a label")
            sign = self.word(r"=~|!~|!=|=", "a sign")
            found.append((name, sign, self.string()))
        return found


def fits(labels, matchers):
    for name, sign, value in matchers:
        have = labels.get(name, "")
        hit = re.fullmatch(value, have) is not None if "~" in sign else have == value
        if hit == sign.startswith("!"):
            return False
    return True
