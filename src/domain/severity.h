/* How grave a log line is: "error", "warn", "info", "debug", or "" when nothing tells. Pure. */
#pragma once

/* Of a word or number that names a level in one of the usual ways: "ERR", "warning", "notice", "50" (pino). */
const char *severity_of_word(const char *word);

/* Of a line: the member level, severity, lvl, log.level or loglevel of a JSON object, or such a key of logfmt; klog's
 * first letter; the first word among the line's first ones that names a level in capitals or in brackets; words that
 * only errors have (exception, traceback, panic). */
const char *severity_of_line(const char *line);
