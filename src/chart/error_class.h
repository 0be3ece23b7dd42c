/*
 * What kind of error a log line speaks of, for counting. Pure.
 */
#pragma once

/* "OutOfMemoryError" of "java.lang.OutOfMemoryError: Java heap space": the first word that ends in Error, Exception
 * or Killed, without its package; else the line's pattern (domain/redact.h: numbers, ids and quoted words replaced),
 * cut to 60 code points. Never NULL, never "". Under mem. */
char *error_class_of(void *mem, const char *line);
