#include "config/settings.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* A secret shows only that it is there. */
static const char *shown(const struct setting_info *i, const struct setting_source *s)
{
	if (str_empty(s->value))
		return "(not set)";
	return i->secret ? "(set, hidden)" : s->value;
}

char *settings_explain(void *mem, const struct setting_source *sources)
{
	size_t count;
	const struct setting_info *table = settings_table(&count);
	char *out = str_dup(mem, "");

	for (size_t n = 0; n < count; n++) {
		const struct setting_info *i = &table[n];
		char *type = str_lower(mem, i->type);
		str_add(&out, "%s = %s\n", i->key, shown(i, &sources[n]));
		str_add(&out, "    %s\n", i->meaning);
		str_add(&out, "    from %s; %s, allowed: %s; default: %s", sources[n].from, type,
			i->allowed, str_empty(i->standard) ? "(not set)" : i->standard);
		if (!str_empty(i->environment))
			str_add(&out, "; environment: %s%s%s%s", i->environment,
				i->secret ? " or " : "", i->secret ? i->environment : "",
				i->secret ? "_FILE" : "");
		str_add(&out, "\n\n");
	}
	return out;
}

json_t *settings_explain_json(void *mem, const struct setting_source *sources)
{
	size_t count;
	const struct setting_info *table = settings_table(&count);
	json_t *list = mem_own(mem, json_array());

	for (size_t n = 0; n < count; n++) {
		const struct setting_info *i = &table[n];
		bool set = !str_empty(sources[n].value);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s, s:s, s:s}", "key",
						i->key, "type", str_lower(mem, i->type), "default",
						i->standard, "environment", i->environment, "value",
						set ? shown(i, &sources[n]) : NULL, "source",
						sources[n].from, "allowed", i->allowed, "meaning",
						i->meaning));
	}
	return list;
}
