/*
 * Alert text is hostile input that people, and later models, read: redaction of secrets, and
 * Markdown that shows it without obeying it (WORKFLOW-001.39, T48, T52e). Pure.
 */
#pragma once

#include <stddef.h>

/* Replaces what looks like a credential by "[redacted]": bearer and basic authorization values,
 * URL user info, key=value / key: value / "key":"value" pairs whose key says password, passwd,
 * secret, token, api[_-]key, access[_-]key, private[_-]key, credential; PEM private keys; JWTs; the
 * usual vendor prefixes (AKIA…, ghp_…, glpat-…, xox?-…, lin_api_…, sk-…); e-mail addresses. Linear
 * in the input's length. Under mem. */
char *text_redact(void *mem, const char *s);

/* Redacted, cut at `points` code points, Markdown-neutral prose: escapes \ ` * _ { } [ ] ( ) # + ! | ~ < >,
 * breaks @mentions and autolinks with a zero-width joiner-free technique that reads the same
 * ("@" → "@\u200b", "://" → ":\u200b//", "www." likewise), drops control and bidi override characters,
 * turns line breaks into Markdown line breaks without starting a list, heading, quote or fence. */
char *text_markdown(void *mem, const char *s, size_t points);

/* The same care for one line inside a code span: backticks and line breaks replaced; the result
 * includes the backticks. */
char *text_code(void *mem, const char *s, size_t points);

/* A title: plain text in one line, redacted, mentions broken, control characters dropped. */
char *text_title(void *mem, const char *s, size_t points);

/* A line of a log, or a name, as it is kept and shown by others: redacted (by redact.h too), in one line, without
 * terminal colours, control and bidi override characters; nothing else is changed. Of a very long one only the head
 * is looked at. */
char *text_line(void *mem, const char *s, size_t points);
