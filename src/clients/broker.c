/*
 * Frames are taken one by one and put together here, per channel: librabbitmq's own
 * amqp_read_message allocates what a header frame announces, and waits without a deadline.
 */
#include "clients/broker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

enum { FRAME_MAX = 131072, PUBLISH_CHANNEL = BROKER_QUEUES_MAX + 1, URL_BYTES = 2048 };

struct channel {
	const char *queue;
	struct broker_delivery *open; /* being put together, or NULL */
	size_t limit;
	uint64_t got;
	EVP_MD_CTX *digest;
};

struct broker_link {
	amqp_connection_state_t state;
	struct broker_options options;
	struct channel channels[BROKER_QUEUES_MAX + 1]; /* by number; 0 is the connection's own */
	unsigned count;
	bool publishes;
	uint64_t published;
};

static struct timeval timeval_of(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static amqp_bytes_t bytes_of(const char *text)
{
	return amqp_cstring_bytes(text);
}

static char *text_of(void *mem, amqp_bytes_t b)
{
	char *raw = b.len == 0 ? str_dup(mem, "") : str_ndup(mem, b.bytes, b.len);
	size_t room = strlen(raw) + 1;
	char *text = NEW_ARRAY(mem, char, room);

	utf8_copy(text, room, raw);
	return text;
}

/* What went wrong. */

static enum status wire_failure(int code, const char *what)
{
	switch (code) {
	case AMQP_STATUS_TIMEOUT: return failure(E_TIMEOUT, "broker: %s: no answer in time", what);
	case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
	case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
		return failure(E_DENIED, "broker: %s: %s", what, amqp_error_string2(code));
	default: return failure(E_TRANSIENT, "broker: %s: %s", what, amqp_error_string2(code));
	}
}

static enum status refusal_failure(int code, amqp_bytes_t text, const char *what)
{
	SCOPE(tmp);
	enum status s = code == AMQP_NOT_FOUND			     ? E_NOTFOUND
			: code == AMQP_ACCESS_REFUSED || code == 530 ? E_DENIED
								     : E_TRANSIENT;

	return failure(s, "broker: %s: %d %s", what, code, text_of(tmp, text));
}

static enum status method_failure(const amqp_method_t *m, const char *what)
{
	if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *c = m->decoded;
		return refusal_failure(c->reply_code, c->reply_text, what);
	}
	if (m->id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *c = m->decoded;
		return refusal_failure(c->reply_code, c->reply_text, what);
	}
	return failure(E_TRANSIENT, "broker: %s: an unexpected answer (%s)", what,
		       amqp_method_name(m->id) == NULL ? "?" : amqp_method_name(m->id));
}

static enum status check_reply(amqp_rpc_reply_t r, const char *what)
{
	switch (r.reply_type) {
	case AMQP_RESPONSE_NORMAL: return OK;
	case AMQP_RESPONSE_LIBRARY_EXCEPTION: return wire_failure(r.library_error, what);
	case AMQP_RESPONSE_SERVER_EXCEPTION: return method_failure(&r.reply, what);
	default: return failure(E_TRANSIENT, "broker: %s: no answer", what);
	}
}

/* Tables to JSON. */

static json_t *value_json(const amqp_field_value_t *v, int depth);

static json_t *bytes_json(amqp_bytes_t b)
{
	json_t *text = json_stringn(b.len == 0 ? "" : b.bytes, b.len);

	if (text != NULL && (b.len == 0 || memchr(b.bytes, '\0', b.len) == NULL))
		return text;
	json_decref(text);
	SCOPE(tmp);
	char *encoded = NEW_ARRAY(tmp, char, b.len / 3 * 4 + 5);
	EVP_EncodeBlock((unsigned char *)encoded, b.bytes, (int)b.len);
	return json_pack("{s:s}", "amqp:bytes", encoded);
}

static json_t *table_json(const amqp_table_t *t, int depth)
{
	json_t *out = json_object();

	for (int n = 0; n < t->num_entries; n++) {
		SCOPE(tmp);
		json_object_set_new(out, text_of(tmp, t->entries[n].key),
				    value_json(&t->entries[n].value, depth + 1));
	}
	return out;
}

static json_t *array_json(const amqp_array_t *a, int depth)
{
	json_t *out = json_array();

	for (int n = 0; n < a->num_entries; n++)
		json_array_append_new(out, value_json(&a->entries[n], depth + 1));
	return out;
}

static json_t *real_json(double d)
{
	json_t *out = json_real(d); /* NULL when not finite */

	return out == NULL ? json_null() : out;
}

static json_t *decimal_json(amqp_decimal_t d)
{
	double value = d.value;

	for (int n = 0; n < d.decimals; n++)
		value /= 10;
	return real_json(value);
}

static json_t *value_json(const amqp_field_value_t *v, int depth)
{
	if (depth > LIMIT_JSON_DEPTH - 4) /* what holds it is nested too */
		return json_null();
	switch (v->kind) {
	case AMQP_FIELD_KIND_BOOLEAN: return json_boolean(v->value.boolean);
	case AMQP_FIELD_KIND_I8: return json_integer(v->value.i8);
	case AMQP_FIELD_KIND_U8: return json_integer(v->value.u8);
	case AMQP_FIELD_KIND_I16: return json_integer(v->value.i16);
	case AMQP_FIELD_KIND_U16: return json_integer(v->value.u16);
	case AMQP_FIELD_KIND_I32: return json_integer(v->value.i32);
	case AMQP_FIELD_KIND_U32: return json_integer(v->value.u32);
	case AMQP_FIELD_KIND_I64: return json_integer(v->value.i64);
	case AMQP_FIELD_KIND_U64: return json_integer((json_int_t)v->value.u64);
	case AMQP_FIELD_KIND_F32: return real_json((double)v->value.f32);
	case AMQP_FIELD_KIND_F64: return real_json(v->value.f64);
	case AMQP_FIELD_KIND_DECIMAL: return decimal_json(v->value.decimal);
	case AMQP_FIELD_KIND_TIMESTAMP:
		return json_pack("{s:I}", "amqp:timestamp", (json_int_t)v->value.u64);
	case AMQP_FIELD_KIND_UTF8:
	case AMQP_FIELD_KIND_BYTES: return bytes_json(v->value.bytes);
	case AMQP_FIELD_KIND_TABLE: return table_json(&v->value.table, depth);
	case AMQP_FIELD_KIND_ARRAY: return array_json(&v->value.array, depth);
	default: return json_null();
	}
}

enum status broker_table_decode(void *mem, const void *bytes, size_t n, json_t **out)
{
	amqp_pool_t pool;
	amqp_table_t table = {0};
	size_t offset = 0;

	init_amqp_pool(&pool, 4096);
	int code = amqp_decode_table((amqp_bytes_t){.len = n, .bytes = (void *)(uintptr_t)bytes},
				     &pool, &table, &offset);
	if (code == AMQP_STATUS_OK)
		*out = mem_own(mem, table_json(&table, 0));
	empty_amqp_pool(&pool);
	return code == AMQP_STATUS_OK ? OK : failure(E_INVALID, "broker: not a table");
}

/* P(flag, field, name): the properties that are text */
#define TEXT_PROPERTIES(P) \
	P(CONTENT_TYPE, content_type, "content-type") \
	P(CONTENT_ENCODING, content_encoding, "content-encoding") \
	P(CORRELATION_ID, correlation_id, "correlation-id") \
	P(REPLY_TO, reply_to, "reply-to") \
	P(EXPIRATION, expiration, "expiration") \
	P(MESSAGE_ID, message_id, "message-id") \
	P(TYPE, type, "type") \
	P(APP_ID, app_id, "app-id")

static json_t *properties_json(void *mem, const amqp_basic_properties_t *p)
{
	json_t *out = (p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0 ? table_json(&p->headers, 0)
								 : json_object();

#define PUT_TEXT(flag, field, name) \
	if ((p->_flags & AMQP_BASIC_##flag##_FLAG) != 0) \
		json_object_set_new(out, "amqp:" name, bytes_json(p->field));
	TEXT_PROPERTIES(PUT_TEXT)
#undef PUT_TEXT
	if ((p->_flags & AMQP_BASIC_PRIORITY_FLAG) != 0)
		json_object_set_new(out, "amqp:priority", json_integer(p->priority));
	if ((p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0)
		json_object_set_new(out, "amqp:timestamp", json_integer((json_int_t)p->timestamp));
	return mem_own(mem, out);
}

/* Connecting. */

static enum status parse_url(void *mem, const char *url, struct amqp_connection_info *out)
{
	size_t n = strlen(url);

	amqp_default_connection_info(out);
	/* the parser writes into what it is given, and its results point there */
	if (n == 0 || n >= URL_BYTES || amqp_parse_url(str_dup(mem, url), out) != AMQP_STATUS_OK)
		return failure(E_INVALID, "broker: not an amqp:// or amqps:// URL");
	if (*out->vhost == '\0')
		out->vhost = (char *)(uintptr_t) "/"; /* amqp://host/ is what people write for the
							 default */
	return OK;
}

enum status broker_url(void *mem, const char *url, char **address, char **host, bool *tls)
{
	struct amqp_connection_info info;

	TRY(parse_url(mem, url, &info));
	*host = str_dup(mem, info.host);
	*address = str_fmt(mem, "%s:%d", info.host, info.port);
	*tls = info.ssl != 0;
	return OK;
}

static enum status trust(amqp_socket_t *socket, const char *ca_file)
{
	amqp_ssl_socket_set_verify_peer(socket, 1);
	amqp_ssl_socket_set_verify_hostname(socket, 1);
	if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) !=
	    AMQP_STATUS_OK)
		return failure(E_INTERNAL, "broker: TLS 1.2 is not available");
	if (str_empty(ca_file))
		return SSL_CTX_set_default_verify_paths(amqp_ssl_socket_get_context(socket)) == 1
			       ? OK
			       : failure(E_INTERNAL, "broker: no system certificates");
	return amqp_ssl_socket_set_cacert(socket, ca_file) == AMQP_STATUS_OK
		       ? OK
		       : failure(E_INVALID, "broker: %s holds no certificates", ca_file);
}

/* The broker may stop reading (an alarm): a write then ends in an error and not never. */
static void bound_writes(int fd, int64_t timeout_ms)
{
	unsigned ms = (unsigned)timeout_ms;
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static enum status dial(struct broker_link *l, const struct amqp_connection_info *info)
{
	struct timeval patience = timeval_of(l->options.timeout_ms);
	amqp_socket_t *socket =
		info->ssl ? amqp_ssl_socket_new(l->state) : amqp_tcp_socket_new(l->state);

	if (socket == NULL)
		return failure(E_INTERNAL, "broker: no socket");
	if (info->ssl)
		TRY(trust(socket, l->options.ca_file));
	int code = amqp_socket_open_noblock(socket, info->host, info->port, &patience);
	if (code != AMQP_STATUS_OK)
		return wire_failure(code, "connecting");
	bound_writes(amqp_get_sockfd(l->state), l->options.timeout_ms);
	return OK;
}

static enum status login(struct broker_link *l, const struct amqp_connection_info *info)
{
	/* without it the broker does not say that a queue was deleted, and nothing comes any more
	 */
	amqp_table_entry_t able[] = {
		{.key = bytes_of("consumer_cancel_notify"),
		 .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}},
	};
	amqp_table_entry_t said[] = {
		{.key = bytes_of("connection_name"),
		 .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of("agent-sre")}},
		{.key = bytes_of("capabilities"),
		 .value = {.kind = AMQP_FIELD_KIND_TABLE,
			   .value.table = {.num_entries = 1, .entries = able}}},
	};
	amqp_table_t client = {.num_entries = 2, .entries = said};
	amqp_rpc_reply_t r = amqp_login_with_properties(
		l->state, info->vhost, PUBLISH_CHANNEL, FRAME_MAX, l->options.heartbeat_s, &client,
		AMQP_SASL_METHOD_PLAIN, info->user, info->password);

	return check_reply(r, "login");
}

/* The socket only: a polite goodbye could block on a dead peer. */
static int destroy(struct broker_link *l)
{
	for (unsigned n = 0; n <= l->count; n++) {
		EVP_MD_CTX_free(l->channels[n].digest);
		talloc_free(l->channels[n].open);
	}
	if (l->state != NULL)
		amqp_destroy_connection(l->state);
	return 0;
}

enum status broker_link_open(void *mem, const struct broker_options *o, struct broker_link **out)
{
	SCOPE(tmp);
	struct amqp_connection_info info;
	struct timeval patience = timeval_of(o->timeout_ms);

	TRY(parse_url(tmp, o->url, &info));
	struct broker_link *l = NEW(tmp, struct broker_link);
	l->options = *o;
	l->state = mem_check(amqp_new_connection());
	talloc_set_destructor(l, destroy);
	amqp_set_handshake_timeout(l->state, &patience);
	amqp_set_rpc_timeout(l->state, &patience);
	TRY(dial(l, &info));
	TRY(login(l, &info));
	*out = MOVE(mem, l);
	return OK;
}

void broker_link_close(struct broker_link *l)
{
	talloc_free(l);
}

int broker_link_fd(const struct broker_link *l)
{
	return amqp_get_sockfd(l->state);
}

/* Taking messages. */

/* A channel that the broker has closed must be told so, or its number is lost. */
static void close_channel(struct broker_link *l, unsigned channel)
{
	amqp_channel_close_ok_t done = {0};

	amqp_send_method(l->state, (amqp_channel_t)channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &done);
	amqp_maybe_release_buffers_on_channel(l->state, (amqp_channel_t)channel);
}

static enum status settle_channel(struct broker_link *l, unsigned channel, enum status s,
				  const amqp_rpc_reply_t *r)
{
	if (r->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
	    r->reply.id == AMQP_CHANNEL_CLOSE_METHOD)
		close_channel(l, channel);
	return s;
}

static enum status begin_consume(struct broker_link *l, unsigned n, const char *queue, int prefetch)
{
	amqp_channel_t channel = (amqp_channel_t)n;

	amqp_basic_qos(l->state, channel, 0, (uint16_t)prefetch, 0);
	TRY(check_reply(amqp_get_rpc_reply(l->state), "prefetch"));
	amqp_basic_consume(l->state, channel, bytes_of(queue), amqp_empty_bytes, 0, 0, 0,
			   amqp_empty_table);
	amqp_rpc_reply_t r = amqp_get_rpc_reply(l->state);
	enum status s = check_reply(r, queue);
	return s == OK ? OK : settle_channel(l, n, s, &r);
}

enum status broker_link_consume(struct broker_link *l, const char *queue, int prefetch)
{
	if (l->count >= BROKER_QUEUES_MAX)
		return failure(E_INVALID, "broker: more than %d queues", BROKER_QUEUES_MAX);
	unsigned n = l->count + 1;
	amqp_channel_open(l->state, (amqp_channel_t)n);
	TRY(check_reply(amqp_get_rpc_reply(l->state), "channel"));
	TRY(begin_consume(l, n, queue, prefetch));
	l->channels[n] = (struct channel){.queue = str_dup(l, queue), .digest = EVP_MD_CTX_new()};
	mem_check(l->channels[n].digest);
	l->count = n;
	return OK;
}

static void begin_delivery(struct channel *c, unsigned number, const amqp_basic_deliver_t *m)
{
	talloc_free(c->open);
	struct broker_delivery *d = NEW(NULL, struct broker_delivery);
	d->channel = number;
	d->tag = m->delivery_tag;
	d->redelivered = m->redelivered != 0;
	d->queue = str_dup(d, c->queue);
	d->exchange = text_of(d, m->exchange);
	d->routing_key = text_of(d, m->routing_key);
	c->open = d;
}

static void take_header(struct channel *c, const amqp_frame_t *f, size_t limit)
{
	struct broker_delivery *d = c->open;
	const amqp_basic_properties_t *p = f->payload.properties.decoded;

	d->whole_bytes = f->payload.properties.body_size;
	d->headers = properties_json(d, p);
	d->content_type =
		(p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG) != 0 ? text_of(d, p->content_type) : "";
	c->limit = d->whole_bytes > limit ? limit : (size_t)d->whole_bytes;
	c->got = 0;
	d->body = NEW_ARRAY(d, char, c->limit + 1);
	EVP_DigestInit_ex(c->digest, EVP_sha256(), NULL);
}

static enum status take_body(struct channel *c, amqp_bytes_t part)
{
	struct broker_delivery *d = c->open;

	if (part.len > d->whole_bytes - c->got)
		return failure(E_TRANSIENT, "broker: a message is longer than announced");
	size_t room = c->limit - d->body_bytes;
	size_t n = part.len < room ? part.len : room;
	if (part.len > 0) {
		memcpy((char *)(uintptr_t)d->body + d->body_bytes, part.bytes, n);
		EVP_DigestUpdate(c->digest, part.bytes, part.len);
	}
	d->body_bytes += n;
	c->got += part.len;
	return OK;
}

static struct broker_delivery *finish_delivery(struct channel *c)
{
	struct broker_delivery *d = c->open;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned bytes = 0;

	EVP_DigestFinal_ex(c->digest, sum, &bytes);
	for (unsigned n = 0; n < 32; n++)
		str_print(d->digest + 2 * (size_t)n, 3, "%02x", sum[n]);
	c->open = NULL;
	return d;
}

static enum status take_method(struct broker_link *l, const amqp_frame_t *f)
{
	const amqp_method_t *m = &f->payload.method;

	if (f->channel == 0 || f->channel > l->count)
		return m->id == AMQP_CONNECTION_CLOSE_METHOD || m->id == AMQP_CHANNEL_CLOSE_METHOD
			       ? method_failure(m, "closed")
			       : OK;
	switch (m->id) {
	case AMQP_BASIC_DELIVER_METHOD:
		begin_delivery(&l->channels[f->channel], f->channel, m->decoded);
		return OK;
	case AMQP_BASIC_CANCEL_METHOD:
		return failure(E_NOTFOUND, "broker: queue %s is gone",
			       l->channels[f->channel].queue);
	case AMQP_CHANNEL_CLOSE_METHOD: return method_failure(m, "channel closed");
	default: return OK;
	}
}

static enum status take_frame(struct broker_link *l, const amqp_frame_t *f, size_t limit,
			      struct broker_delivery **out)
{
	struct channel *c = &l->channels[f->channel <= l->count ? f->channel : 0];

	if (f->frame_type == AMQP_FRAME_METHOD)
		return take_method(l, f);
	if (c->open == NULL)
		return failure(E_TRANSIENT, "broker: content without a delivery");
	if (f->frame_type == AMQP_FRAME_HEADER) {
		/* a second one would announce another size to a buffer that is there already; the
		 * properties of another class are another struct */
		if (c->open->headers != NULL || f->payload.properties.class_id != AMQP_BASIC_CLASS)
			return failure(E_TRANSIENT, "broker: a content header out of place");
		take_header(c, f, limit);
	} else if (f->frame_type == AMQP_FRAME_BODY && c->open->headers != NULL)
		TRY(take_body(c, f->payload.body_fragment));
	if (c->open->headers != NULL && c->got == c->open->whole_bytes)
		*out = finish_delivery(c);
	return OK;
}

enum status broker_link_next(struct broker_link *l, int64_t wait_ms, size_t limit,
			     struct broker_delivery **out)
{
	int64_t until = clock_monotonic() + wait_ms;

	*out = NULL;
	for (;;) {
		amqp_frame_t frame;
		int64_t left = until - clock_monotonic();
		struct timeval patience = timeval_of(left > 0 ? left : 0);
		int code = amqp_simple_wait_frame_noblock(l->state, &frame, &patience);
		if (code == AMQP_STATUS_TIMEOUT)
			return OK;
		if (code != AMQP_STATUS_OK)
			return wire_failure(code, "receiving");
		TRY(take_frame(l, &frame, limit, out));
		amqp_maybe_release_buffers_on_channel(l->state, frame.channel);
		if (*out != NULL)
			return OK;
	}
}

enum status broker_link_ack(struct broker_link *l, unsigned channel, uint64_t tag)
{
	int code = amqp_basic_ack(l->state, (amqp_channel_t)channel, tag, 0);

	return code == AMQP_STATUS_OK ? OK : wire_failure(code, "acknowledging");
}

/* JSON to tables. */

static amqp_field_value_t json_value(void *mem, const json_t *v);

static amqp_bytes_t decoded_bytes(void *mem, const char *encoded)
{
	size_t n = strlen(encoded);
	unsigned char *out = NEW_ARRAY(mem, unsigned char, n / 4 * 3 + 1);
	int got = EVP_DecodeBlock(out, (const unsigned char *)encoded, (int)n);
	size_t pad = n < 2 ? 0 : (size_t)((encoded[n - 1] == '=') + (encoded[n - 2] == '='));

	return (amqp_bytes_t){.len = got < (int)pad ? 0 : (size_t)got - pad, .bytes = out};
}

static amqp_table_t json_table(void *mem, const json_t *object, const char *without)
{
	amqp_table_t t = {0};
	const char *name;
	json_t *value;

	t.entries = NEW_ARRAY(mem, amqp_table_entry_t, json_object_size(object) + 1);
	json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
		if (without != NULL && str_starts(name, without))
			continue;
		amqp_table_entry_t *e = &t.entries[t.num_entries++];
		e->key = bytes_of(str_dup(mem, name));
		e->value = json_value(mem, value);
	}
	return t;
}

static amqp_field_value_t object_value(void *mem, const json_t *v)
{
	const json_t *at = json_object_get(v, "amqp:timestamp");
	const char *encoded = json_str(v, "amqp:bytes");

	if (json_is_integer(at))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_TIMESTAMP,
					    .value.u64 = (uint64_t)json_integer_value(at)};
	if (encoded != NULL)
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8,
					    .value.bytes = decoded_bytes(mem, encoded)};
	return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_TABLE,
				    .value.table = json_table(mem, v, NULL)};
}

static amqp_field_value_t array_value(void *mem, const json_t *v)
{
	amqp_array_t a = {0};
	size_t n;
	const json_t *item;

	a.entries = NEW_ARRAY(mem, amqp_field_value_t, json_array_size(v) + 1);
	json_array_foreach (v, n, item)
		a.entries[a.num_entries++] = json_value(mem, item);
	return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_ARRAY, .value.array = a};
}

static amqp_field_value_t json_value(void *mem, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8,
					    .value.bytes = bytes_of(json_string_value(v))};
	case JSON_INTEGER:
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64,
					    .value.i64 = json_integer_value(v)};
	case JSON_REAL:
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_F64,
					    .value.f64 = json_real_value(v)};
	case JSON_TRUE:
	case JSON_FALSE:
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_BOOLEAN,
					    .value.boolean = json_is_true(v)};
	case JSON_OBJECT: return object_value(mem, v);
	case JSON_ARRAY: return array_value(mem, v);
	default: return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_VOID};
	}
}

/* False when it is absent. */
static bool text_property(void *mem, const json_t *v, amqp_bytes_t *out)
{
	const char *encoded = json_str(v, "amqp:bytes");

	if (json_is_string(v))
		*out = bytes_of(json_string_value(v));
	else if (encoded != NULL)
		*out = decoded_bytes(mem, encoded);
	return json_is_string(v) || encoded != NULL;
}

static amqp_basic_properties_t properties_of(void *mem, const json_t *headers)
{
	amqp_basic_properties_t p = {
		._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG,
		.delivery_mode = AMQP_DELIVERY_PERSISTENT,
		.headers = json_table(mem, headers, "amqp:"),
	};
	const json_t *priority = json_object_get(headers, "amqp:priority");
	const json_t *timestamp = json_object_get(headers, "amqp:timestamp");

#define TAKE_TEXT(flag, field, name) \
	if (text_property(mem, json_object_get(headers, "amqp:" name), &p.field)) \
		p._flags |= AMQP_BASIC_##flag##_FLAG;
	TEXT_PROPERTIES(TAKE_TEXT)
#undef TAKE_TEXT
	if (json_is_integer(priority)) {
		p._flags |= AMQP_BASIC_PRIORITY_FLAG;
		p.priority = (uint8_t)json_integer_value(priority);
	}
	if (json_is_integer(timestamp)) {
		p._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
		p.timestamp = (uint64_t)json_integer_value(timestamp);
	}
	return p;
}

/* Publishing and asking, on a channel of their own. */

static enum status open_publisher(struct broker_link *l)
{
	if (l->publishes)
		return OK;
	amqp_channel_open(l->state, PUBLISH_CHANNEL);
	TRY(check_reply(amqp_get_rpc_reply(l->state), "channel"));
	amqp_confirm_select(l->state, PUBLISH_CHANNEL);
	TRY(check_reply(amqp_get_rpc_reply(l->state), "publisher confirms"));
	l->publishes = true;
	l->published = 0;
	return OK;
}

enum status broker_link_queue(struct broker_link *l, const char *queue, int64_t *messages,
			      int64_t *consumers)
{
	TRY(open_publisher(l));
	amqp_queue_declare_ok_t *found = amqp_queue_declare(
		l->state, PUBLISH_CHANNEL, bytes_of(queue), 1, 0, 0, 0, amqp_empty_table);
	amqp_rpc_reply_t r = amqp_get_rpc_reply(l->state);
	enum status s = check_reply(r, queue);
	if (s != OK) {
		l->publishes = false; /* the refusal has closed the channel */
		return settle_channel(l, PUBLISH_CHANNEL, s, &r);
	}
	*messages = found->message_count;
	*consumers = found->consumer_count;
	amqp_maybe_release_buffers_on_channel(l->state, PUBLISH_CHANNEL);
	return OK;
}

struct confirm {
	bool settled, refused, returned;
	enum status status; /* of the channel */
};

/* A channel is closed over what was sent on it, and then that was not taken; a connection also for
 * reasons of the broker's own, perhaps after the message was taken. */
static enum status closed_failure(const amqp_method_t *m)
{
	enum status s = method_failure(m, "publishing");

	return m->id == AMQP_CONNECTION_CLOSE_METHOD
		       ? failure_in(E_TIMEOUT, "the connection was closed before the confirm")
		       : s;
}

/* What comes after a mandatory message: perhaps the message itself, then ack or nack. */
static void take_confirm(struct broker_link *l, const amqp_frame_t *f, struct confirm *c)
{
	const amqp_method_t *m = &f->payload.method;

	if (f->frame_type != AMQP_FRAME_METHOD ||
	    (f->channel != PUBLISH_CHANNEL && f->channel != 0))
		return;
	if (m->id == AMQP_BASIC_RETURN_METHOD)
		c->returned = true;
	else if (m->id == AMQP_BASIC_ACK_METHOD)
		c->settled = ((amqp_basic_ack_t *)m->decoded)->delivery_tag >= l->published;
	else if (m->id == AMQP_BASIC_NACK_METHOD)
		c->settled = c->refused =
			((amqp_basic_nack_t *)m->decoded)->delivery_tag >= l->published;
	else if (m->id == AMQP_CHANNEL_CLOSE_METHOD || m->id == AMQP_CONNECTION_CLOSE_METHOD)
		c->status = closed_failure(m);
	if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
		close_channel(l, PUBLISH_CHANNEL);
		l->publishes = false;
	}
}

static enum status await_confirm(struct broker_link *l, struct confirm *c)
{
	int64_t until = clock_monotonic() + l->options.timeout_ms;

	while (!c->settled && c->status == OK) {
		amqp_frame_t frame;
		int64_t left = until - clock_monotonic();
		struct timeval patience = timeval_of(left > 0 ? left : 0);
		int code = amqp_simple_wait_frame_noblock(l->state, &frame, &patience);
		if (code == AMQP_STATUS_TIMEOUT)
			return failure(E_TIMEOUT, "broker: the message was not confirmed in time");
		if (code != AMQP_STATUS_OK) /* it may have been taken */
			return failure(E_TIMEOUT,
				       "broker: the connection was lost before the confirm: %s",
				       amqp_error_string2(code));
		take_confirm(l, &frame, c);
		amqp_maybe_release_buffers_on_channel(l->state, frame.channel);
	}
	return c->status;
}

enum status broker_link_publish(struct broker_link *l, const struct broker_message *m)
{
	SCOPE(tmp);
	struct confirm c = {.status = OK};

	enum status s = open_publisher(l);
	if (s != OK) /* E_TIMEOUT would say that the message may have been taken */
		return s == E_TIMEOUT ? failure_in(E_TRANSIENT, "nothing was sent") : s;
	amqp_basic_properties_t p = properties_of(tmp, m->headers);
	const amqp_bytes_t body = {.len = m->body_bytes, .bytes = (void *)(uintptr_t)m->body};
	int code = amqp_basic_publish(l->state, PUBLISH_CHANNEL, bytes_of(m->exchange),
				      bytes_of(m->routing_key), 1, 0, &p, body);
	if (code != AMQP_STATUS_OK)
		return wire_failure(code, "publishing");
	l->published++;
	TRY(await_confirm(l, &c));
	if (c.returned)
		return failure(E_NOTFOUND,
			       "broker: no queue is bound to exchange '%s' with routing key '%s'",
			       m->exchange, m->routing_key);
	return c.refused ? failure(E_TRANSIENT, "broker: the message was refused (nack)") : OK;
}
