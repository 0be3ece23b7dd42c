/* OpenSLO definitions from files and directories (of which *.yaml and *.yml count, in the order of their names). */
#pragma once

#include "domain/openslo.h"

enum { OPENSLO_FILES_MAX = 1000 };

/* All of these paths, NULL-terminated. E_INVALID names the file and what is wrong. */
NODISCARD enum status openslo_files_load(void *mem, const char *const *paths, struct openslo **out);
