/* Replays files, and the files of directories, through a fuzz target: the corpus as an ordinary
 * test, in builds without libFuzzer. */
#include <dirent.h>
#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"
#include "fuzz.h"

static enum status replay_file(const char *path, int *replayed)
{
	SCOPE(tmp);
	char *text = NULL;
	size_t n = 0;

	TRY(file_read(tmp, path, LIMIT_FILE_BYTES, &text, &n));
	/* a block of exactly n bytes lets the address sanitizer see a read beyond it */
	LLVMFuzzerTestOneInput(mem_check(talloc_memdup(tmp, text, n)), n);
	(*replayed)++;
	return OK;
}

static enum status replay_folder(DIR *folder, const char *path, int *replayed)
{
	const struct dirent *entry;

	while ((entry = readdir(folder)) != NULL) {
		SCOPE(tmp);
		if (entry->d_name[0] != '.')
			TRY(replay_file(str_fmt(tmp, "%s/%s", path, entry->d_name), replayed));
	}
	return OK;
}

static enum status replay(const char *path, int *replayed)
{
	DIR *folder = opendir(path);

	if (folder == NULL)
		return replay_file(path, replayed);
	enum status s = replay_folder(folder, path, replayed);
	closedir(folder);
	return s;
}

int main(int argc, char **argv)
{
	int replayed = 0;

	for (int i = 1; i < argc; i++) {
		if (replay(argv[i], &replayed) != OK) {
			fprintf(stderr, "%s\n", status_message());
			return 1;
		}
	}
	printf("%d inputs replayed\n", replayed);
	return replayed == 0;
}
