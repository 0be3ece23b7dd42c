#include "cli/load.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

enum status load_settings(const struct invocation *i, bool wipe, struct settings **out,
			  struct setting_source **sources)
{
	static const struct {
		const char *option, *key;
	} FLAGS[] = {{"listen", "listen"},
		     {"data", "data"},
		     {"catalogue", "catalogue"},
		     {"mode", "policy.mode"}};
	struct setting_flag flags[sizeof(FLAGS) / sizeof(FLAGS[0])];
	size_t count = 0;

	for (size_t n = 0; n < sizeof(FLAGS) / sizeof(FLAGS[0]); n++) {
		const char *value = option_value(i, FLAGS[n].option);
		if (value != NULL)
			flags[count++] = (struct setting_flag){FLAGS[n].key, value};
	}
	return settings_load(i->mem, option_value(i, "config"), flags, count, getenv, wipe, out,
			     sources);
}
