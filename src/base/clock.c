#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef AGENT_SRE_TESTING
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "base/str.h"

#ifdef AGENT_SRE_TESTING
static _Atomic int64_t *fake;

enum status clock_init(void)
{
	const char *path = getenv("AGENT_SRE_TEST_CLOCK");

	if (path == NULL || fake != NULL)
		return OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failure(E_INVALID, "AGENT_SRE_TEST_CLOCK: cannot open %s", path);
	struct stat file;
	bool whole = fstat(fd, &file) == 0 && file.st_size >= (off_t)sizeof(*fake);
	void *map = whole ? mmap(NULL, sizeof(*fake), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
	close(fd);
	if (map == MAP_FAILED)
		return failure(E_INVALID, "AGENT_SRE_TEST_CLOCK: %s is not a file of 8 bytes",
			       path);
	fake = map;
	return OK;
}

bool clock_is_fake(void)
{
	return fake != NULL;
}
#else
enum status clock_init(void)
{
	return OK;
}

bool clock_is_fake(void)
{
	return false;
}
#endif

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_now(void)
{
#ifdef AGENT_SRE_TESTING
	if (fake != NULL)
		return atomic_load(fake);
#endif
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void clock_condition_init(pthread_cond_t *c)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(c, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct timespec clock_deadline(int64_t in_ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += in_ms / 1000;
	t.tv_nsec += in_ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
static int64_t days_of(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

/* Reads exactly n digits; -1 when they are not all digits. */
static int digits(const char **text, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return -1;
		value = value * 10 + (**text - '0');
	}
	return value;
}

static bool expect(const char **text, const char *any_of)
{
	if (**text == '\0' || strchr(any_of, **text) == NULL)
		return false;
	(*text)++;
	return true;
}

struct moment {
	int year, month, day, hour, minute, second, ms, offset_minutes;
};

static bool parse_fraction(const char **text, struct moment *m)
{
	int scale = 100;
	int n = 0;

	if (**text != '.')
		return true;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++, n++) {
		m->ms += (**text - '0') * scale;
		scale /= 10;
	}
	return n >= 1 && n <= 9;
}

static bool parse_offset(const char **text, struct moment *m)
{
	if (expect(text, "Zz"))
		return true;
	int sign = **text == '-' ? -1 : 1;
	if (!expect(text, "+-"))
		return false;
	int hours = digits(text, 2);
	if (hours < 0 || hours > 23 || !expect(text, ":"))
		return false;
	int minutes = digits(text, 2);
	m->offset_minutes = sign * (hours * 60 + minutes);
	return minutes >= 0 && minutes <= 59;
}

static int days_in(int year, int month)
{
	static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return DAYS[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool parse_moment(const char *text, struct moment *m)
{
	bool shape = (m->year = digits(&text, 4)) >= 0 && expect(&text, "-") &&
		     (m->month = digits(&text, 2)) >= 1 && expect(&text, "-") &&
		     (m->day = digits(&text, 2)) >= 1 && expect(&text, "Tt ") &&
		     (m->hour = digits(&text, 2)) >= 0 && expect(&text, ":") &&
		     (m->minute = digits(&text, 2)) >= 0 && expect(&text, ":") &&
		     (m->second = digits(&text, 2)) >= 0 && parse_fraction(&text, m) &&
		     parse_offset(&text, m) && *text == '\0';
	return shape && m->month <= 12 && m->day <= days_in(m->year, m->month) && m->hour <= 23 &&
	       m->minute <= 59 && m->second <= 60;
}

/* 0001-01-01T00:00:00Z, Go's way to say that there is no time. */
static const int64_t ZERO_TIME_MS = -62135596800000;

enum status clock_parse(const char *text, int64_t *out_ms)
{
	struct moment m = {0};

	if (!parse_moment(text, &m))
		return failure(E_INVALID,
			       "'%.40s' is not an RFC 3339 time such as 2026-01-15T10:45:00Z",
			       text);
	int64_t minutes = m.hour * 60 + m.minute - m.offset_minutes;
	int64_t seconds = days_of(m.year, m.month, m.day) * 86400 + minutes * 60 + m.second;
	int64_t ms = seconds * 1000 + m.ms;
	*out_ms = ms == ZERO_TIME_MS ? 0 : ms;
	return OK;
}

char *clock_format(void *mem, int64_t ms)
{
	int rest = (int)((ms % 1000 + 1000) % 1000);
	time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0 ? 1 : 0));
	struct tm tm;

	gmtime_r(&seconds, &tm);
	char *text = str_fmt(mem, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
			     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (rest != 0)
		str_add(&text, ".%03d", rest);
	str_add(&text, "Z");
	return text;
}
