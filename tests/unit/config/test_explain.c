#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/settings.h"

static char *environ_of(const char *name)
{
	static char token[] = "open-sesame-open-sesame";

	return strcmp(name, "AGENT_SRE_TOKEN") == 0 ? token : NULL;
}

static struct setting_source *load(void *mem)
{
	const struct setting_flag flag = {"policy.mode", "shadow"};
	struct settings *s = NULL;
	struct setting_source *sources = NULL;

	assert_int_equal(settings_load(mem, NULL, &flag, 1, environ_of, false, &s, &sources), OK);
	return sources;
}

static void every_setting_is_explained_with_value_and_source(void **state)
{
	SCOPE(mem);
	char *text = settings_explain(mem, load(mem));
	size_t count;
	const struct setting_info *table = settings_table(&count);

	(void)state;
	for (size_t n = 0; n < count; n++) {
		assert_non_null(strstr(text, str_fmt(mem, "%s = ", table[n].key)));
		assert_non_null(strstr(text, table[n].meaning));
		assert_non_null(strstr(text, table[n].environment));
	}
	assert_non_null(strstr(text, "policy.mode = shadow\n"));
	assert_non_null(strstr(text, "from --mode; mode, allowed: "));
	assert_non_null(strstr(text, "public_url = (not set)\n"));
	assert_non_null(strstr(text, "AGENT_SRE_TOKEN or AGENT_SRE_TOKEN_FILE"));
}

static void secrets_are_hidden(void **state)
{
	SCOPE(mem);
	struct setting_source *sources = load(mem);
	char *text = settings_explain(mem, sources);
	char *json = json_text(mem, settings_explain_json(mem, sources));

	(void)state;
	assert_non_null(strstr(text, "auth.token = (set, hidden)\n"));
	assert_non_null(strstr(text, "from environment AGENT_SRE_TOKEN;"));
	assert_null(strstr(text, "sesame"));
	assert_null(strstr(json, "sesame"));
}

static void json_has_one_entry_per_setting(void **state)
{
	SCOPE(mem);
	json_t *list = settings_explain_json(mem, load(mem));
	size_t count;
	const struct setting_info *table = settings_table(&count);

	(void)state;
	assert_int_equal(json_array_size(list), count);
	for (size_t n = 0; n < count; n++) {
		const json_t *entry = json_array_get(list, n);
		assert_string_equal(json_str(entry, "key"), table[n].key);
		assert_string_equal(json_str(entry, "default"), table[n].standard);
		assert_non_null(json_str(entry, "source"));
		if (strcmp(table[n].key, "policy.mode") == 0)
			assert_string_equal(json_str(entry, "value"), "shadow");
		if (strcmp(table[n].key, "public_url") == 0)
			assert_null(json_object_get(entry, "value"));
		if (strcmp(table[n].key, "auth.token") == 0)
			assert_string_equal(json_str(entry, "value"), "(set, hidden)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_setting_is_explained_with_value_and_source),
		cmocka_unit_test(secrets_are_hidden),
		cmocka_unit_test(json_has_one_entry_per_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
