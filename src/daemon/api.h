/* The reading and deciding side of HTTP: what the command line and people's tools ask. May block:
 * runs at a desk (desk.h). */
#pragma once

#include "net/http_server.h"
#include "store/store.h"

/* GET /incidents, /incidents/{id|latest}, /tickets/{key}, /events/{source}/{id};
 * POST /approvals/{id}. An http_handler_fn; `store` is the struct store. Answers 404 or 405 itself. */
void api_handle(struct http_exchange *x, void *store);

/* True for the paths above. */
bool api_knows(const char *path);
