#include "daemon/schema_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

struct found {
	void *mem;
	struct schema_source *sources;
	size_t count;
};

static void add(struct found *f, const json_t *document, const char *origin)
{
	f->sources = GROW(f->mem, f->sources, struct schema_source, f->count + 1);
	f->sources[f->count++] = (struct schema_source){.document = document, .origin = origin};
}

static enum status add_file(struct found *f, const char *path)
{
	char *text = NULL;
	size_t bytes = 0;
	json_t *doc = NULL;
	size_t n;
	json_t *one;

	enum status s = file_read(f->mem, path, LIMIT_FILE_BYTES, &text, &bytes);
	if (s == E_NOTFOUND)
		return failure(E_INVALID, "%s: there is no such file", path);
	TRY(s);
	if (!str_ends(path, ".json"))
		TRY(yaml_parse(f->mem, path, text, bytes, &doc, NULL));
	else if (json_parse(f->mem, text, bytes, &doc) != OK)
		return failure_in(E_INVALID, "%s", path);
	if (!json_is_array(doc))
		add(f, doc, str_dup(f->mem, path));
	else
		json_array_foreach (doc, n, one)
			add(f, one, str_fmt(f->mem, "%s: %zu", path, n + 1));
	return OK;
}

static int is_document(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return name[0] != '.' &&
	       (str_ends(name, ".yaml") || str_ends(name, ".yml") || str_ends(name, ".json"));
}

static enum status add_files(struct found *f, const char *path, struct dirent **names, int count)
{
	if (count > SCHEMA_FILES_MAX)
		return failure(E_INVALID, "%s holds more than %d schema files", path,
			       SCHEMA_FILES_MAX);
	for (int n = 0; n < count; n++)
		TRY(add_file(f, str_fmt(f->mem, "%s/%s", path, names[n]->d_name)));
	return OK;
}

static enum status add_directory(struct found *f, const char *path)
{
	char reason[128];
	struct dirent **names = NULL;
	int count = scandir(path, &names, is_document, alphasort);

	if (count < 0)
		return failure(E_INVALID, "%s cannot be read: %s", path,
			       strerror_r(errno, reason, sizeof(reason)));
	enum status s = add_files(f, path, names, count);
	for (int n = 0; n < count; n++)
		free(names[n]); /* scandir's own memory */
	free(names);
	return s;
}

enum status schema_files_load(void *mem, const char *path, struct schema_source **out,
			      size_t *count)
{
	struct found f = {.mem = mem};
	struct stat st;

	bool directory = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	TRY(directory ? add_directory(&f, path) : add_file(&f, path));
	*out = f.sources;
	*count = f.count;
	return OK;
}

enum status schema_files_registry(const char *const *paths, size_t count,
				  struct schema_registry **out)
{
	SCOPE(mem);
	struct found all = {.mem = mem};

	for (size_t n = 0; n < count; n++) {
		struct schema_source *some = NULL;
		size_t some_count = 0;
		if (!str_empty(paths[n]))
			TRY(schema_files_load(mem, paths[n], &some, &some_count));
		for (size_t k = 0; k < some_count; k++)
			add(&all, some[k].document, some[k].origin);
	}
	return schema_registry_new(all.sources, all.count, out);
}
