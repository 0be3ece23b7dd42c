#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "store/point.h"

/* What an accepted manifest promises to whoever uses it: names that stay inside, numbers that fit.
 */
static void check(const struct point *p)
{
	assert(point_id_fits(p->id) && point_id_fits(p->series));
	assert(p->page_count >= 1 && p->page_count <= PAGES_MAX && p->pages <= p->page_count);
	assert(*p->parent == '\0' || strcmp(p->parent, p->id) < 0);
	for (size_t n = 0; n < p->part_count; n++) {
		const struct part *part = &p->parts[n];
		assert(strncmp(part->name, p->series, POINT_ID_BYTES - 1) == 0);
		assert(strstr(part->name, "..") == NULL);
		if (part->kind == PART_FILE)
			assert(point_file_fits(part->file) &&
			       part->offset + part->length <= part->size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	struct point *p = NULL;
	struct point *again = NULL;

	enum status s = point_decode(mem, (const char *)data, size, &p);
	assert(s == OK || s == E_INVALID);
	if (s != OK)
		return 0;
	check(p);
	char *text = point_encode(mem, p);
	assert(point_decode(mem, text, strlen(text), &again) == OK);
	assert(strcmp(point_encode(mem, again), text) == 0);
	return 0;
}
