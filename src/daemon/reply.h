/* Answers in JSON, and the counting of them. Each ends the exchange. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "net/http_server.h"

/* Steals `body`. */
void reply_json(struct http_exchange *x, int code, json_t *body);
/* The same with text that is JSON already. */
void reply_json_text(struct http_exchange *x, int code, const char *text);
/* {"error": what, "detail": detail}; detail may be NULL. */
void reply_error(struct http_exchange *x, int code, const char *what, const char *detail);
/* The path's word in metrics, out of a closed set. */
const char *reply_endpoint(const char *path);
/* 429 with Retry-After. */
void reply_limited(struct http_exchange *x, int64_t wait_ms);
/* 503 with Retry-After. */
void reply_busy(struct http_exchange *x, const char *why);
/* The code and words that fit a status; internal errors stay generic (X.7). */
void reply_status(struct http_exchange *x, enum status s);
void reply_empty(struct http_exchange *x, int code);
void reply_text(struct http_exchange *x, const char *content_type, const char *text);
