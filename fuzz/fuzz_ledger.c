#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dirent.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"
#include "store/ledger.h"

enum { MAGIC = 0x52457361, HEADER = 40, ALIGN = 8 };

/* Input: how the log is opened (1 byte), where it is cut into two files (2 bytes), what they hold.
 */
struct input {
	unsigned char *bytes;
	size_t size, cut;
	uint64_t applied, second; /* the second file begins with this record */
	bool mend; /* checksums are made right first: what is tried then is the rest */
};

static uint64_t checksum(const unsigned char *record, size_t payload)
{
	return XXH3_64bits_withSeed(record + HEADER, payload, XXH3_64bits(record, 32));
}

/* The payload's length when a whole record lies here; else SIZE_MAX. */
static size_t record_at(const unsigned char *at, size_t left)
{
	uint32_t magic, bytes;

	if (left < HEADER)
		return SIZE_MAX;
	memcpy(&magic, at, 4);
	memcpy(&bytes, at + 4, 4);
	return magic == MAGIC && bytes <= left - HEADER ? bytes : SIZE_MAX;
}

static void mend(unsigned char *bytes, size_t size)
{
	for (size_t at = 0; at < size; at += ALIGN) {
		size_t payload = record_at(bytes + at, size - at);
		if (payload == SIZE_MAX)
			continue;
		uint64_t sum = checksum(bytes + at, payload);
		memcpy(bytes + at + 32, &sum, sizeof(sum));
	}
}

static bool holds(const unsigned char *bytes, size_t size, uint64_t number,
		  const unsigned char *payload, size_t n)
{
	for (size_t at = 0; at < size; at += ALIGN) {
		uint64_t have, sum;
		if (record_at(bytes + at, size - at) != n)
			continue;
		memcpy(&have, bytes + at + 8, 8);
		memcpy(&sum, bytes + at + 32, 8);
		if (have == number && sum == checksum(bytes + at, n) &&
		    memcmp(bytes + at + HEADER, payload, n) == 0)
			return true;
	}
	return false;
}

static void put(const char *dir, uint64_t first, const unsigned char *bytes, size_t n)
{
	char path[256];

	str_print(path, sizeof(path), "%s/intake-%016llx.log", dir, (unsigned long long)first);
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

static void sweep(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);

	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		str_print(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
}

/* No record that was not there, none twice, and the log takes and keeps what comes next. */
static void try(void *mem, const char *dir, const struct input *in)
{
	struct ledger *l = NULL;
	const unsigned char *payload;
	uint64_t number, last = in->applied;
	size_t n;

	if (ledger_open(mem, dir, in->applied, 99, &l) != OK)
		return;
	enum status s;
	while ((s = ledger_read(l, &number, &payload, &n)) == OK) {
		assert(number > last);
		last = number;
		assert(holds(in->bytes, in->cut, number, payload, n) ||
		       holds(in->bytes + in->cut, in->size - in->cut, number, payload, n));
	}
	assert(s == E_NOTFOUND);
	if (in->size % 4 != 0)
		return; /* a new segment takes most of the time */
	uint64_t next = ledger_append(l, "next", 4);
	assert(next > last);
	assert(ledger_sync(l) == OK);
	assert(ledger_read(l, &number, &payload, &n) == OK && number == next);
	talloc_free(l);
	assert(ledger_open(mem, dir, next - 1, 100, &l) == OK);
	assert(ledger_read(l, &number, &payload, &n) == OK && number == next && n == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[] = "/dev/shm/fuzz-ledger-XXXXXX";
	SCOPE(mem);
	struct input in = {0};

	if (size < 4)
		return 0;
	if (str_ends(dir, "XXXXXX"))
		assert(mkdtemp(dir) != NULL);
	in.bytes = mem_check(talloc_memdup(mem, data + 3, size - 3));
	in.size = size - 3;
	in.mend = (data[0] & 1) != 0;
	in.applied = data[0] >> 1 & 7;
	in.second = 2 + (data[0] >> 4);
	in.cut = (size_t)(data[1] + 256 * data[2]) / ALIGN * ALIGN;
	in.cut = in.cut > in.size ? in.size : in.cut;
	if (in.mend) {
		mend(in.bytes, in.cut);
		mend(in.bytes + in.cut, in.size - in.cut);
	}
	put(dir, 1, in.bytes, in.cut);
	if (in.cut < in.size)
		put(dir, in.second, in.bytes + in.cut, in.size - in.cut);
	try(mem, dir, &in);
	sweep(dir);
	return 0;
}
