/*
 * The format of backups: a series is one full point and the increments that build on it; each point is a sealed
 * manifest, written last, and the sealed parts that it names. In the target:
 *     <series>/<point>.point      the manifest (a series is named after its full point)
 *     <series>/<point>-000001.part
 * Point ids sort by time: 20260115T104640123Z-1a2b3c4d.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/seal.h"
#include "base/status.h"

enum {
	POINT_FORMAT = 1,
	POINT_ID_BYTES = 29, /* with the NUL */
	POINT_SHA_BYTES = 64, /* hex digits */
	PART_PLAIN_BYTES = 1024 * 1024,
	DIGEST_BYTES = 16, /* of a page: SHA-256, cut */
	PAGES_MAX = 64 * 1024 * 1024,
};

enum part_kind { PART_PAGES, PART_DIGESTS, PART_FILE, PART_KINDS };

struct part {
	enum part_kind kind;
	char *name;    /* "<series>/<point>-000001.part"; of an older point of the series when nothing changed */
	int64_t bytes; /* sealed */
	char *sha256;  /* of the sealed bytes */
	char *file;    /* PART_FILE: see point_file_fits; else "" and 0 */
	int64_t offset, length; /* where in it */
	int64_t size;  /* of the whole file; what no part brings is zeros */
	char *plain_sha256; /* PART_FILE: of the piece itself */
};

struct table_digest {
	char *name;
	int64_t rows;
	char *digest; /* does not depend on the order of rows */
};

struct point {
	char *id, *series, *parent; /* parent "" for a full one */
	char *store;                /* the uid of the store that it is of; "" = one from before there were uids */
	int64_t time_ms;            /* the moment that it holds */
	int64_t page_size, page_count;
	int64_t pages;              /* that it brings */
	int64_t schema;             /* PRAGMA user_version */
	int64_t took_ms;
	struct part *parts;
	size_t part_count;
	struct table_digest *tables;
	size_t table_count;
};

/* Ids and names. */
void point_id(char out[POINT_ID_BYTES], int64_t time_ms);
bool point_id_fits(const char *id);
int64_t point_id_time(const char *id); /* of an id that fits */
char *point_name(void *mem, const char *series, const char *id);
/* Splits "<series>/<point>.point"; false for anything else. */
bool point_name_parse(void *mem, const char *name, char **series, char **id);
/* A file of the store beside the database: "intake-….log" or "archive/…". */
bool point_file_fits(const char *file);

/* JSON. Decoding checks everything that is used later: names, sizes, order, sums. */
char *point_encode(void *mem, const struct point *p);
NODISCARD enum status point_decode(void *mem, const char *text, size_t n, struct point **out);

/* Parts, before sealing. Pages: "ASPG" size count, then number and bytes of each. Digests: "ASDG" count, then number
 * and digest of each. Little-endian, 32 bits. */
struct page_writer {
	unsigned char *bytes; /* PART_PLAIN_BYTES or a little more */
	size_t used;
	uint32_t entry_bytes, count;
};
void entries_begin(void *mem, struct page_writer *w, enum part_kind kind, uint32_t entry_bytes);
/* True when it is full: seal it and begin anew. */
bool entries_add(struct page_writer *w, uint32_t number, const unsigned char *bytes);

typedef enum status entry_fn(uint32_t number, const unsigned char *bytes, void *arg);
/* `entry_bytes` is the page size, or DIGEST_BYTES. Numbers are 1 to page_count. E_INVALID on anything else. */
NODISCARD enum status entries_each(enum part_kind kind, const char *plain, size_t n, uint32_t entry_bytes,
				   uint32_t page_count, entry_fn *entry, void *arg);

void page_digest(unsigned char out[DIGEST_BYTES], const unsigned char *page, size_t n);
