/*
 * All pages of one moment of a live database, without holding them: SQLite's own backup interface writes into a
 * virtual file whose pages are handed out as they come. Writers go on meanwhile.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/status.h"

/* Numbers start at 1 and come in no promised order, each once, page 1 last. A failure ends the reading. */
typedef enum status page_fn(uint32_t number, const unsigned char *bytes, size_t n, void *arg);

/* Reads the state that `source` sees; inside a read transaction of it, that of the transaction. */
NODISCARD enum status pages_each(sqlite3 *source, page_fn *page, void *arg, uint32_t *page_size, uint32_t *page_count);
