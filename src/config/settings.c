/*
 * One table (settings.h) drives everything: each value goes through the same checks whatever source
 * it came from, and errors name that source.
 */
#include "config/settings.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/order.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "net/url.h"

enum type {
	TYPE_STRING,
	TYPE_SECRET,
	TYPE_URL,
	TYPE_ADDRESS,
	TYPE_PATH,
	TYPE_WORD,
	TYPE_INTEGER,
	TYPE_DURATION,
	TYPE_BYTES,
	TYPE_FRACTION,
	TYPE_BOOLEAN,
	TYPE_MODE,
	TYPE_RISK,
	TYPE_LIST,
};

static const struct {
	enum type type;
	size_t offset;
} SHAPES[] = {
#define SHAPE(field, type, key, env, standard, allowed, doc) \
	{TYPE_##type, offsetof(struct settings, field)},
	SETTINGS(SHAPE)
#undef SHAPE
};

static const struct setting_info TABLE[] = {
#define INFO(field, type, key, env, standard, allowed, doc) \
	{key, #type, env, standard, allowed, doc, TYPE_##type == TYPE_SECRET},
	SETTINGS(INFO)
#undef INFO
};

enum { COUNT = sizeof(TABLE) / sizeof(TABLE[0]), SECRET_MIN = 8, TOKEN_MIN = 16, FAR = 99 };

const struct setting_info *settings_table(size_t *count)
{
	*count = COUNT;
	return TABLE;
}

static enum status to_bytes(const char *text, long long *out)
{
	static const struct {
		const char *unit;
		long long factor;
	} UNITS[] = {{"", 1}, {"KiB", 1024}, {"MiB", 1024LL * 1024}, {"GiB", 1024LL * 1024 * 1024}};
	size_t digits = strspn(text, "0123456789");

	for (size_t n = 0; n < 4; n++) {
		if (digits == 0 || digits > 9 || !str_eq(text + digits, UNITS[n].unit))
			continue;
		*out = strtoll(text, NULL, 10) *
		       UNITS[n].factor; // NOLINT(cert-err34-c): all digits
		return OK;
	}
	return failure(E_INVALID, "'%.40s' is not a size such as 4096, 64KiB or 1MiB", text);
}

typedef enum status number_fn(const char *text, long long *out);

static enum status to_whole(const char *text, long long *out)
{
	return str_to_int(text, INT64_MIN, INT64_MAX, out);
}

static enum status to_number(void *mem, number_fn *parse, const char *allowed, const char *text,
			     long long *out)
{
	const char *dots = strstr(allowed, "..");
	long long least = 0;
	long long most = 0;

	TRY(parse(text, out));
	TRY(parse(str_ndup(mem, allowed, (size_t)(dots - allowed)), &least));
	TRY(parse(dots + 2, &most));
	if (*out < least || *out > most)
		return failure(E_INVALID, "%.40s is out of bounds", text);
	return OK;
}

static enum status to_fraction(const char *text, double *out)
{
	TRY(str_to_double(text, out));
	if (!(*out >= 0 && *out <= 1))
		return failure(E_INVALID, "%.40s is out of bounds", text);
	return OK;
}

static enum status to_boolean(const char *text, bool *out)
{
	*out = str_eq(text, "true");
	return *out || str_eq(text, "false")
		       ? OK
		       : failure(E_INVALID, "'%.40s' is neither true nor false", text);
}

static enum status to_word(void *mem, const char *allowed, const char *text, const char **out)
{
	for (const char *at = allowed; *at != '\0';) {
		size_t n = strcspn(at, "|");
		if (strlen(text) == n && strncmp(at, text, n) == 0) {
			*out = str_dup(mem, text);
			return OK;
		}
		at += n + (at[n] == '|');
	}
	return failure(E_INVALID, "'%.40s' is not one of the allowed words", text);
}

static const char *const *to_list(void *mem, const char *text)
{
	const char **list = NEW_ARRAY(mem, const char *, strlen(text) + 2);
	size_t count = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, ",");
		char *item = str_ndup(mem, text, n);
		item += strspn(item, " ");
		while (*item != '\0' && item[strlen(item) - 1] == ' ')
			item[strlen(item) - 1] = '\0';
		if (*item != '\0')
			list[count++] = item;
		text += n + (text[n] == ',');
	}
	return list;
}

/* "16 characters or more" says how many; the value itself never stands in a message. */
static enum status check_secret(const char *text, const char *allowed)
{
	if (strlen(text) < (str_starts(allowed, "16 ") ? TOKEN_MIN : SECRET_MIN))
		return failure(E_INVALID, "the value is too short to be a secret");
	if (strchr(text, ' ') != NULL)
		return failure(E_INVALID, "a secret has no spaces");
	return OK;
}

static enum status check_address(void *mem, const char *text)
{
	char *host;
	unsigned short port;

	return url_address(mem, text, &host, &port);
}

/* A port alone stands for all addresses. */
static enum status check_listen(void *mem, const char *text)
{
	long long port;

	return strchr(text, ':') == NULL ? str_to_int(text, 0, 65535, &port)
					 : check_address(mem, text);
}

static enum status to_text(void *mem, size_t n, const char *text, const char **out)
{
	*out = str_dup(mem, text);
	if (SHAPES[n].offset == offsetof(struct settings, listen))
		return check_listen(mem, text);
	if (*text == '\0')
		return OK;
	switch (SHAPES[n].type) {
	case TYPE_URL: return url_check(text);
	case TYPE_ADDRESS: return check_address(mem, text);
	case TYPE_SECRET: return check_secret(text, TABLE[n].allowed);
	default: return OK;
	}
}

/* Values end up in headers, URLs, logs and JSON. */
static enum status check_characters(void *mem, const char *text)
{
	size_t room = strlen(text) + 1;
	char *copy = NEW_ARRAY(mem, char, room);

	utf8_copy(copy, room, text);
	if (!str_eq(copy, text))
		return failure(E_INVALID, "the value is not UTF-8");
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return failure(E_INVALID, "the value holds a control character");
	return OK;
}

static enum status set_value(void *mem, struct settings *s, size_t n, const char *text)
{
	void *field = (char *)s + SHAPES[n].offset;
	const char *allowed = TABLE[n].allowed;

	TRY(check_characters(mem, text));
	switch (SHAPES[n].type) {
	case TYPE_WORD: return to_word(mem, allowed, text, field);
	case TYPE_INTEGER: return to_number(mem, to_whole, allowed, text, field);
	case TYPE_DURATION: return to_number(mem, str_to_duration, allowed, text, field);
	case TYPE_BYTES: return to_number(mem, to_bytes, allowed, text, field);
	case TYPE_FRACTION: return to_fraction(text, field);
	case TYPE_BOOLEAN: return to_boolean(text, field);
	case TYPE_MODE: return mode_parse(text, field);
	case TYPE_RISK: return risk_parse(text, field);
	case TYPE_LIST: *(const char *const **)field = to_list(mem, text); return OK;
	default: return to_text(mem, n, text, field);
	}
}

struct loader {
	void *mem;
	struct settings *settings;
	struct setting_source *sources;
};

static enum status put(struct loader *l, size_t n, const char *text, const char *from)
{
	if (set_value(l->mem, l->settings, n, text) != OK)
		return failure(E_INVALID, "%s: %s: %s (allowed: %s)", from, TABLE[n].key,
			       status_message(), TABLE[n].allowed);
	l->sources[n] = (struct setting_source){str_dup(l->mem, text), from};
	return OK;
}

static int find_key(const char *key)
{
	for (int n = 0; n < COUNT; n++)
		if (str_eq(TABLE[n].key, key))
			return n;
	return -1;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, for texts of at most 63 characters. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64];
	size_t m = strlen(b);

	if (m > 63)
		return FAR;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t above = row[j];
			row[j] = least(least(row[j] + 1, row[j - 1] + 1),
				       corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[m];
}

/* How far a key is from what was written: "mode" alone is near policy.mode. */
static size_t distance_to(const char *written, const char *key)
{
	const char *dot = strrchr(key, '.');
	size_t whole = distance(written, key);

	return dot != NULL && str_eq(dot + 1, written) ? 1 : whole;
}

/* The nearest key, or for a section the nearest section; NULL when none is near. */
static const char *nearest(void *mem, const char *written, bool section)
{
	const char *best = NULL;
	size_t best_distance = strlen(written) / 2 + 1;

	for (size_t n = 0; n < COUNT; n++) {
		const char *dot = strchr(TABLE[n].key, '.');
		const char *name = TABLE[n].key;
		if (section && dot == NULL)
			continue;
		if (section)
			name = str_ndup(mem, name, (size_t)(dot - name));
		size_t d = distance_to(written, name);
		if (d < best_distance) {
			best = name;
			best_distance = d;
		}
	}
	return best;
}

static enum status unknown_key(void *mem, const char *from, const char *key, bool section)
{
	const char *near = nearest(mem, key, section);

	if (near == NULL)
		return failure(E_INVALID,
			       "%s: %.60s: unknown key; 'agent-sre config explain' lists all", from,
			       key);
	return failure(E_INVALID, "%s: %.60s: unknown key; did you mean %s?", from, key, near);
}

static char *list_text(void *mem, const json_t *list)
{
	char *text = str_dup(mem, "");
	size_t n;
	json_t *item;

	json_array_foreach (list, n, item) {
		if (!json_is_string(item))
			return NULL;
		str_add(&text, "%s%s", n == 0 ? "" : ",", json_string_value(item));
	}
	return text;
}

static char *scalar_text(void *mem, const json_t *value)
{
	if (json_is_string(value))
		return str_dup(mem, json_string_value(value));
	if (json_is_null(value))
		return str_dup(mem, "");
	if (json_is_real(value))
		return str_fmt(mem, "%.15g", json_real_value(value));
	return json_text(mem, value);
}

/* NULL: the value has a shape that the type does not take. A real number has lost its spelling, so
 * it cannot be a text. */
static char *value_text(void *mem, enum type type, const json_t *value)
{
	bool number = type == TYPE_FRACTION || type == TYPE_INTEGER || type == TYPE_DURATION ||
		      type == TYPE_BYTES;

	if (json_is_array(value))
		return type == TYPE_LIST ? list_text(mem, value) : NULL;
	if (json_is_object(value) || (json_is_real(value) && !number))
		return NULL;
	return scalar_text(mem, value);
}

struct file {
	const char *name;
	const json_t *lines;
};

static bool is_section(const char *path)
{
	size_t n = strlen(path);

	for (size_t k = 0; k < COUNT; k++)
		if (strncmp(TABLE[k].key, path, n) == 0 && TABLE[k].key[n] == '.')
			return true;
	return false;
}

static enum status put_leaf(struct loader *l, const char *from, const char *path,
			    const json_t *value)
{
	int n = find_key(path);

	if (n < 0 && is_section(path))
		return failure(E_INVALID, "%s: %s: is a section: its keys stand below it, indented",
			       from, path);
	if (n < 0)
		return unknown_key(l->mem, from, path, json_is_object(value));
	char *text = value_text(l->mem, SHAPES[n].type, value);
	if (text == NULL)
		return failure(E_INVALID,
			       "%s: %s: must be a plain value, in quotes when in doubt "
			       "(allowed: %s)",
			       from, path, TABLE[n].allowed);
	return put(l, (size_t)n, text, from);
}

static enum status put_tree(struct loader *l, const struct file *f, const json_t *tree,
			    const char *prefix)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)tree, key, value) {
		char *path = *prefix == '\0' ? str_dup(l->mem, key)
					     : str_fmt(l->mem, "%s.%s", prefix, key);
		const char *from =
			str_fmt(l->mem, "%s:%lld", f->name, (long long)json_int(f->lines, path, 1));
		bool section = is_section(path) && (json_is_object(value) || json_is_null(value));
		TRY(section ? put_tree(l, f, value, path) : put_leaf(l, from, path, value));
	}
	return OK;
}

static enum status put_file(struct loader *l, const char *name)
{
	struct file f = {.name = name};
	char *text = NULL;
	size_t n = 0;
	json_t *doc = NULL;
	json_t *lines = NULL;

	if (name == NULL)
		return OK;
	if (file_read(l->mem, name, LIMIT_FILE_BYTES, &text, &n) != OK)
		return failure_in(E_INVALID, "configuration");
	TRY(yaml_parse(l->mem, name, text, n, &doc, &lines));
	if (!json_is_object(doc))
		return failure(E_INVALID, "%s:1: the configuration must be a mapping", name);
	f.lines = lines;
	return put_tree(l, &f, doc, "");
}

/* NAME_FILE is preferred: what stands in the environment shows in /proc. */
static enum status put_secret_file(struct loader *l, size_t n, char *(*environ_of)(const char *))
{
	char *variable = str_fmt(l->mem, "%s_FILE", TABLE[n].environment);
	const char *path = environ_of(variable);
	char *text = NULL;
	size_t bytes = 0;

	if (str_empty(path))
		return OK;
	if (file_read(l->mem, path, LIMIT_FILE_BYTES, &text, &bytes) != OK)
		return failure_in(E_INVALID, "environment %s", variable);
	while (bytes > 0 && strchr(" \r\n\t", text[bytes - 1]) != NULL)
		text[--bytes] = '\0';
	return put(l, n, text, str_fmt(l->mem, "environment %s", variable));
}

static enum status put_environment(struct loader *l, char *(*environ_of)(const char *), bool wipe)
{
	for (size_t n = 0; n < COUNT; n++) {
		char *value =
			*TABLE[n].environment == '\0' ? NULL : environ_of(TABLE[n].environment);
		if (value != NULL && *value != '\0') {
			TRY(put(l, n, value,
				str_fmt(l->mem, "environment %s", TABLE[n].environment)));
			if (wipe && TABLE[n].secret)
				explicit_bzero(value, strlen(value));
		}
		if (TABLE[n].secret)
			TRY(put_secret_file(l, n, environ_of));
	}
	const char *port = environ_of("PORT");
	return str_empty(port) ? OK : put(l, (size_t)find_key("listen"), port, "environment PORT");
}

static enum status put_flags(struct loader *l, const struct setting_flag *flags, size_t count)
{
	for (size_t f = 0; f < count; f++) {
		const char *dot = strrchr(flags[f].key, '.');
		const char *option = dot == NULL ? flags[f].key : dot + 1;
		int n = find_key(flags[f].key);
		if (n < 0)
			return unknown_key(l->mem, "command line", flags[f].key, false);
		TRY(put(l, (size_t)n, flags[f].value, str_fmt(l->mem, "--%s", option)));
	}
	return OK;
}

/* A name that only begins like a loopback address is none. */
static bool listens_on_loopback(void *mem, const char *listen)
{
	struct in_addr ip;
	char *host = NULL;
	unsigned short port;

	if (url_address(mem, listen, &host, &port) != OK)
		return false;
	return str_eq(host, "localhost") || str_eq(host, "::1") ||
	       (str_starts(host, "127.") && inet_pton(AF_INET, host, &ip) == 1);
}

static enum status check_listener(void *mem, const struct settings *s)
{
	bool loopback = listens_on_loopback(mem, s->listen);
	bool tls = !str_empty(s->tls_certificate);

	if (tls != !str_empty(s->tls_key))
		return failure(E_INVALID,
			       "tls.certificate and tls.key belong together: set both or none");
	if (str_empty(s->token) && !str_empty(s->token_previous))
		return failure(E_INVALID, "auth.previous_token needs auth.token beside it");
	if (loopback)
		return OK;
	if (str_empty(s->token) && !s->allow_anonymous)
		return failure(E_INVALID,
			       "listen %s can be reached from other machines: set auth.token "
			       "(AGENT_SRE_TOKEN), or auth.allow_anonymous: true",
			       s->listen);
	if (!tls && !s->allow_plaintext)
		return failure(E_INVALID,
			       "listen %s can be reached from other machines: set tls.certificate "
			       "and tls.key, or tls.allow_plaintext: true",
			       s->listen);
	return OK;
}

static enum status check_plaintext(void *mem, const struct settings *s, const char *key,
				   const char *url)
{
	if (str_empty(url) || !url_is_plaintext_remote(url))
		return OK;
	char *host = url_origin(mem, url) + strlen("http://");
	host[*host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":")] = '\0';
	for (size_t n = 0; s->allow_plaintext_peers[n] != NULL; n++)
		if (str_glob(s->allow_plaintext_peers[n], host))
			return OK;
	return failure(E_INVALID,
		       "%s: http:// to %s is not encrypted: use https://, or add the host to "
		       "allow_plaintext_peers",
		       key, host);
}

/* A default that allow_plaintext_peers does not allow is none: who restricts the list need not know
 * of every peer. */
static enum status drop_refused_default(struct loader *l, const char *key, const char *const *url)
{
	size_t n = (size_t)find_key(key);

	if (!str_eq(l->sources[n].from, "default") ||
	    check_plaintext(l->mem, l->settings, key, *url) == OK)
		return OK;
	return put(l, n, "", "default, not in allow_plaintext_peers");
}

static enum status check_functions(void *mem, const struct settings *s)
{
	const char *scheme = s->function_scheme;

	if (!str_empty(s->function_gateway))
		return check_plaintext(mem, s, "functions.gateway",
				       str_fmt(mem, "%s://%s", scheme, s->function_gateway));
	return check_plaintext(
		mem, s, "functions.domain",
		str_fmt(mem, "%s://any.%s.%s", scheme, s->namespace, s->function_domain));
}

/* A file, or an endpoint. */
static enum status check_schedule(void *mem, const struct settings *s)
{
	const char *source = s->on_call_schedule;

	if (strstr(source, "://") == NULL)
		return OK;
	if (url_check(source) != OK)
		return failure_in(E_INVALID, "ticket.schedule");
	return check_plaintext(mem, s, "ticket.schedule", source);
}

static enum status check_peers(void *mem, const struct settings *s)
{
	TRY(check_schedule(mem, s));
	TRY(check_plaintext(mem, s, "prometheus.url", s->prometheus_url));
	TRY(check_plaintext(mem, s, "alertmanager.url", s->alertmanager_url));
	TRY(check_plaintext(mem, s, "loki.url", s->loki_url));
	TRY(check_plaintext(mem, s, "tempo.url", s->tempo_url));
	TRY(check_plaintext(mem, s, "linear.url", s->linear_url));
	TRY(check_plaintext(mem, s, "backup.s3.endpoint", s->backup_s3_endpoint));
	return check_functions(mem, s);
}

static enum status check_bands(const struct settings *s)
{
	if (s->ask_confidence > s->act_confidence)
		return failure(E_INVALID,
			       "policy.ask_confidence must not be above policy.act_confidence");
	if (s->investigate_source_timeout > s->investigate_timeout)
		return failure(E_INVALID, "investigate.source_timeout must not be above "
					  "investigate.timeout");
	if (s->verify_first > s->verify_budget)
		return failure(E_INVALID, "verify.first must not be above verify.budget");
	if (s->slm_high > s->slm_critical || s->slm_medium > s->slm_high)
		return failure(E_INVALID, "slo.medium_above, slo.high_above and "
					  "slo.critical_above must not fall");
	return OK;
}

static enum status check_rules(const struct settings *s)
{
	if (order_check(s->order_rules) != OK)
		return failure_in(E_INVALID, "ordering.after_dead_letter");
	for (const char *const *rule = s->dlq_retention_by_type; *rule != NULL; rule++) {
		const char *sign = strrchr(*rule, '=');
		long long ms;
		if (sign == NULL || sign == *rule || str_to_duration(sign + 1, &ms) != OK)
			return failure(E_INVALID,
				       "dlq.retention_by_type: \"%.200s\" is no rule; want "
				       "TYPE=DURATION",
				       *rule);
	}
	return OK;
}

static enum status check_slo(void *mem, const struct settings *s)
{
	for (const char *const *source = s->slm_sources; *source != NULL; source++) {
		const char *unused = NULL;
		if (to_word(mem, "openslo|sloth|pyrra|series", *source, &unused) != OK)
			return failure(E_INVALID,
				       "slo.sources: '%.40s' is not one of openslo, sloth, pyrra, "
				       "series",
				       *source);
	}
	for (const char *const *pair = s->slm_sli_names; *pair != NULL; pair++) {
		const char *sign = strchr(*pair, '=');
		if (sign == NULL || sign == *pair || sign[1] == '\0')
			return failure(E_INVALID, "slo.sli_names: \"%.200s\" is none; want SLO=SLI",
				       *pair);
	}
	return OK;
}

enum status settings_load(void *mem, const char *file, const struct setting_flag *flags,
			  size_t flag_count, char *(*environ_of)(const char *), bool wipe,
			  struct settings **out, struct setting_source **sources)
{
	struct loader l = {.mem = mem,
			   .settings = NEW(mem, struct settings),
			   .sources = NEW_ARRAY(mem, struct setting_source, COUNT)};

	for (size_t n = 0; n < COUNT; n++)
		TRY(put(&l, n, TABLE[n].standard, "default"));
	TRY(put_file(&l, file));
	TRY(put_environment(&l, environ_of, wipe));
	TRY(put_flags(&l, flags, flag_count));
	TRY(drop_refused_default(&l, "loki.url", &l.settings->loki_url));
	TRY(drop_refused_default(&l, "tempo.url", &l.settings->tempo_url));
	TRY(check_listener(mem, l.settings));
	TRY(check_peers(mem, l.settings));
	TRY(check_bands(l.settings));
	TRY(check_rules(l.settings));
	TRY(check_slo(mem, l.settings));
	*out = l.settings;
	if (sources != NULL)
		*sources = l.sources;
	return OK;
}
