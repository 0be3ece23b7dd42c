#include "chart/module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { PATH_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct chart_module *loaded;

/* The directory of the running program, or NULL. */
static char *program_directory(void *mem)
{
	char path[PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	if (slash == NULL)
		return NULL;
	return str_ndup(mem, path, (size_t)(slash - path));
}

static const struct chart_module *open_in(void *mem, const char *dir)
{
	void *handle = dlopen(str_fmt(mem, "%s/%s", dir, CHART_MODULE_FILE), RTLD_NOW | RTLD_LOCAL);

	return handle == NULL ? NULL : dlsym(handle, CHART_MODULE_SYMBOL);
}

static enum status load(void)
{
	SCOPE(mem);
	const char *const places[] = {program_directory(mem), CHART_MODULE_DIR};
	char *why = str_dup(mem, "");

	for (size_t n = 0; n < sizeof(places) / sizeof(places[0]); n++) {
		if (places[n] == NULL)
			continue;
		loaded = open_in(mem, places[n]);
		if (loaded != NULL)
			return OK;
		str_add(&why, "%s%s", *why == '\0' ? "" : "; ", dlerror());
	}
	return failure(E_INTERNAL, "charts cannot be drawn: %s", why);
}

enum status chart_module_load(const struct chart_module **out)
{
	pthread_mutex_lock(&lock);
	enum status s = loaded == NULL ? load() : OK;
	*out = loaded;
	pthread_mutex_unlock(&lock);
	return s;
}

enum status chart_png(void *mem, const struct chart *c, unsigned char **out, size_t *n)
{
	const struct chart_module *m = NULL;

	TRY(chart_module_load(&m));
	enum status s = m->png(mem, c, out, n);
	return s == OK ? OK : failure(s, "%s", m->why());
}

enum status chart_svg(void *mem, const struct chart *c, char **out, size_t *n)
{
	const struct chart_module *m = NULL;

	TRY(chart_module_load(&m));
	enum status s = m->svg(mem, c, out, n);
	return s == OK ? OK : failure(s, "%s", m->why());
}
