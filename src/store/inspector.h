/*
 * Notices a damaged database (docs/decisions/0010-damage.md). At start only what is cheap is looked at; then a thread
 * reads every page once, table by table, and condemns the writer when one is not whole.
 */
#pragma once

#include "base/status.h"
#include "store/database.h"
#include "store/writer.h"

struct inspector;

/* At start, alone with the database: its length, and one row of each table. E_INTERNAL, with what to do. */
NODISCARD enum status inspector_look(struct database *db, const char *path);

NODISCARD enum status inspector_start(void *mem, const char *path, struct writer *w, struct inspector **out);
void inspector_stop(struct inspector *i); /* NULL: does nothing */
