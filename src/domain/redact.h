/*
 * What may be shown of a text that others wrote: passwords, tokens, keys, e-mail addresses and card numbers are
 * replaced by a word in brackets. Pure. Errs on the side of hiding: a name that speaks of a secret hides its value,
 * whatever that is.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

/* A masked copy of `text`, under mem. Finds: values after a telling name ("password=…", "\"token\": \"…\""; the rest of
 * the line after an authorization or a cookie), Bearer and Basic credentials, JSON Web Tokens, keys with well-known
 * prefixes, private keys in PEM, user:password in URLs, long random-looking words, e-mail addresses, card numbers (with
 * a right check digit). */
char *redact_text(void *mem, const char *text);

/* A masked deep copy, under mem: members with a telling name whole (also {"name": "DB_PASSWORD", "value": …}), all
 * other strings and the members' names by redact_text, numbers where they are a card's. */
json_t *redact_json(void *mem, const json_t *value);

/* True for password, API-Key, x_auth_token, … */
bool redact_is_telling(const char *name);

/* A reason fit to be kept in the clear: masked, and without what a parser quotes ("near '…'"), which can be anything. */
char *redact_reason(void *mem, const char *reason);

/* The pattern of a reason, for grouping: numbers become <n>, ids and hashes <id>, quoted words <…>, e-mail addresses
 * <e-mail>; cut at 200 code points. */
char *redact_pattern(void *mem, const char *reason);
