/* Text of unknown origin, made fit for JSON, labels and messages. */
#pragma once

#include <stddef.h>

/* Copies `text` into out[room] (room ≥ 1) and ends it with a NUL. Every byte that is not part of
 * valid UTF-8 becomes '?'; what does not fit is cut off between code points. Returns the bytes
 * written, without the NUL: never more than strlen(text). */
size_t utf8_copy(char *out, size_t room, const char *text);
