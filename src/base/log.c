#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

enum { SCOPE_FIELDS = 8, SCOPE_VALUE_BYTES = 256 };

struct field {
	const char *name;
	char value[SCOPE_VALUE_BYTES];
};

static _Thread_local struct field scope[SCOPE_FIELDS];
static enum log_level threshold = LOG_INFO;
static int out_fd = STDERR_FILENO;

static const char *const LEVELS[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level least, int fd)
{
	threshold = least;
	out_fd = fd;
}

enum status log_level_parse(const char *word, enum log_level *out)
{
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (strcmp(word, LEVELS[i]) == 0) {
			*out = (enum log_level)i;
			return OK;
		}
	}
	return failure(E_INVALID, "'%.40s' is not one of debug, info, warn, error", word);
}

void log_scope(const char *name, const char *value)
{
	struct field *free_field = NULL;

	for (int i = 0; i < SCOPE_FIELDS; i++) {
		if (scope[i].name == NULL) {
			free_field = free_field == NULL ? &scope[i] : free_field;
		} else if (strcmp(scope[i].name, name) == 0) {
			free_field = &scope[i];
			break;
		}
	}
	if (free_field == NULL)
		return;
	free_field->name = value == NULL ? NULL : name;
	if (value != NULL)
		utf8_copy(free_field->value, SCOPE_VALUE_BYTES, value);
}

void log_scope_clear(void)
{
	memset(scope, 0, sizeof(scope));
}

static void put(json_t *line, const char *name, const char *value)
{
	SCOPE(tmp);
	size_t room = strlen(value) + 1;
	char *clean = NEW_ARRAY(tmp, char, room);

	utf8_copy(clean, room, value);
	json_object_set_new(line, name, mem_check(json_string(clean)));
}

static void write_line(const char *text)
{
	size_t left = strlen(text);

	/* one write per line keeps lines of several threads whole, and only what a full pipe cut
	 * off needs another; a lost log line is not an error */
	while (left > 0) {
		ssize_t n = write(out_fd, text, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		left -= (size_t)n;
	}
}

void log_event(enum log_level level, const char *event, ...)
{
	if (level < threshold)
		return;
	SCOPE(tmp);
	json_t *line = mem_own(tmp, json_object());
	put(line, "ts", clock_format(tmp, clock_now()));
	put(line, "level", LEVELS[level]);
	put(line, "event", event);
	for (int i = 0; i < SCOPE_FIELDS; i++)
		if (scope[i].name != NULL)
			put(line, scope[i].name, scope[i].value);
	va_list args;
	va_start(args, event);
	for (const char *name = va_arg(args, const char *); name != NULL;
	     name = va_arg(args, const char *)) {
		const char *value = va_arg(args, const char *);
		if (value != NULL)
			put(line, name, value);
	}
	va_end(args);
	char *raw = mem_check(json_dumps(line, JSON_COMPACT));
	write_line(str_fmt(tmp, "%s\n", raw));
	free(raw);
}
