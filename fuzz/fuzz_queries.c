/* Labels of an alert, "name=value" with a record separator (0x1e) between them: whatever they are,
 * outside of quotes no byte of a value is left. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "domain/queries.h"
#include "fuzz.h"

static const char OUTSIDE[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			      "_(){}[]=!~,.&|<>+-*/ ";

static void check(const char *query)
{
	bool inside = false;

	if (query == NULL)
		return;
	for (const char *c = query; *c != '\0'; c++) {
		assert((unsigned char)*c >= 0x20);
		if (inside && *c == '\\')
			assert(*++c != '\0');
		else if (*c == '"')
			inside = !inside;
		else
			assert(inside || strchr(OUTSIDE, *c) != NULL);
	}
	assert(!inside);
}

static json_t *labels_of(void *mem, const char *text)
{
	json_t *labels = mem_own(mem, json_object());

	for (const char *end; *text != '\0'; text = *end == '\0' ? end : end + 1) {
		end = text + strcspn(text, "\x1e");
		const char *sign = memchr(text, '=', (size_t)(end - text));
		if (sign == NULL)
			continue;
		json_object_set_new(labels, str_ndup(mem, text, (size_t)(sign - text)),
				    json_stringn(sign + 1, (size_t)(end - sign - 1)));
	}
	return labels;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char *raw = str_ndup(mem, (const char *)data, size);
	char *text = NEW_ARRAY(mem, char, size + 1);
	struct metric_query *list = NULL;
	size_t count = 0;

	utf8_copy(text, size + 1, raw);
	json_t *labels = labels_of(mem, text);
	struct subject *s = subject_of(mem, labels);
	for (int f = 0; f < FACT_COUNT; f++) {
		const json_t *one = labels;
		check(subject_fact_query(mem, s, (enum fact)f));
		subject_learn(s, (enum fact)f, &one, 1);
	}
	subject_settle(s);
	queries_metrics(mem, s, 15000, &list, &count);
	for (size_t n = 0; n < count; n++)
		check(list[n].text);
	check(queries_logs(mem, s, false));
	check(queries_logs(mem, s, true));
	check(queries_log_volume(mem, s, 15000));
	for (int c = 0; c < TRACE_CHOICES; c++)
		check(queries_traces(mem, s, (enum trace_choice)c));
	return 0;
}
