/*
 * The versions of event data that the running agent takes in (domain/schema.h): what is built in, then the files of
 * the setting `schemas`, then what was added at run time, which is in the store. GET /schemas shows them, POST /schemas
 * adds. Functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "net/http_server.h"
#include "store/store.h"

struct schemas;

/* Loads and installs them. `path` is a directory or a file, "" = none. E_INVALID: a file is wrong. Documents in the
 * store that no longer fit are left out, and that is logged and shown: the events of such a version become dead
 * letters, which is better than no agent. */
NODISCARD enum status schemas_start(void *mem, const char *path, struct store *store, struct schemas **out);

/* Loads the files again when they changed, and keeps in the store what came of each version since. Wrong files change
 * nothing; they are logged and shown. Call now and then, and when asked to reload. */
void schemas_refresh(struct schemas *s);

/* Keeps the last counts. */
void schemas_stop(struct schemas *s);

bool schemas_knows(const char *path);
/* An http_handler_fn; `schemas` is a struct schemas. GET /schemas[?type=&version=]; POST /schemas[?by=NAME] with one
 * document or a list of them. May block. */
void schemas_handle(struct http_exchange *x, void *schemas);
