#include "daemon/openslo_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

static enum status add_file(struct openslo *o, const char *path)
{
	SCOPE(tmp);
	char *text = NULL;
	size_t bytes = 0;

	enum status s = file_read(tmp, path, LIMIT_FILE_BYTES, &text, &bytes);
	if (s == E_NOTFOUND)
		return failure(E_INVALID, "%s: there is no such file", path);
	TRY(s);
	return openslo_add(o, path, text, bytes);
}

static int is_document(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return name[0] != '.' && (str_ends(name, ".yaml") || str_ends(name, ".yml"));
}

static enum status add_files(struct openslo *o, const char *path, struct dirent **names, int count)
{
	SCOPE(tmp);

	if (count > OPENSLO_FILES_MAX)
		return failure(E_INVALID, "%s holds more than %d files", path, OPENSLO_FILES_MAX);
	for (int n = 0; n < count; n++)
		TRY(add_file(o, str_fmt(tmp, "%s/%s", path, names[n]->d_name)));
	return OK;
}

static enum status add_directory(struct openslo *o, const char *path)
{
	char reason[128];
	struct dirent **names = NULL;
	int count = scandir(path, &names, is_document, alphasort);

	if (count < 0)
		return failure(E_INVALID, "%s cannot be read: %s", path,
			       strerror_r(errno, reason, sizeof(reason)));
	enum status s = add_files(o, path, names, count);
	for (int n = 0; n < count; n++)
		free(names[n]); /* scandir's own memory */
	free(names);
	return s;
}

enum status openslo_files_load(void *mem, const char *const *paths, struct openslo **out)
{
	struct openslo *o = openslo_new(mem);

	for (; *paths != NULL; paths++) {
		struct stat st;
		bool directory = stat(*paths, &st) == 0 && S_ISDIR(st.st_mode);
		TRY(directory ? add_directory(o, *paths) : add_file(o, *paths));
	}
	TRY(openslo_finish(o));
	*out = o;
	return OK;
}
