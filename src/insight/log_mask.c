/* What of a log line changes from one to the next, masked in one walk over at most LINE_MAX_BYTES
 * of it. */
#include "insight/log_pattern.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

enum { LINE_MAX_BYTES = 512, QUOTED_MAX = 300, MASK_ROOM = 8 };

struct mask {
	const char *in;
	size_t at, length;
	char *out;
	size_t used;
	bool told;    /* the key before says that its quoted value is the message */
	size_t close; /* where that value ends; 0 = none yet */
};

static void put(struct mask *m, const char *s, size_t n)
{
	memcpy(m->out + m->used, s, n);
	m->used += n;
}

static void put_word(struct mask *m, const char *word)
{
	put(m, word, strlen(word));
}

static bool is_atom(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || (c & 0x80) != 0;
}

static bool is_path_char(char c)
{
	return c != '\0' && !isspace((unsigned char)c) && strchr(",;)'\"]}>", c) == NULL;
}

struct letters {
	size_t digits, alphas, dots, dashes, others;
	bool hex;
};

static struct letters count_letters(const char *s, size_t n)
{
	struct letters l = {.hex = true};

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		l.digits += isdigit(c) != 0;
		l.alphas += isalpha(c) != 0;
		l.dots += c == '.';
		l.dashes += c == '-';
		l.others += !isalnum(c) && c != '.' && c != '-';
		l.hex = l.hex && (isxdigit(c) || c == '-');
	}
	return l;
}

/* "12ms", "5.1GB", "2h" */
static bool is_quantity(const char *s, size_t n)
{
	size_t digits = strspn(s, "0123456789.");

	if (digits == 0 || digits > n || n - digits > 3)
		return false;
	for (size_t i = digits; i < n; i++)
		if (!isalpha((unsigned char)s[i]))
			return false;
	return true;
}

static const char *mask_of(const char *s, size_t n)
{
	struct letters l = count_letters(s, n);

	if (l.digits == 0)
		return NULL;
	if (l.alphas == 0 && l.dots == 3 && l.dashes == 0)
		return "<ip>";
	if (l.alphas == 0)
		return "<n>";
	if (n > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return "<id>";
	if (l.hex && n - l.dashes >= 6)
		return "<id>";
	if (is_quantity(s, n))
		return "<n>";
	return n >= 12 && l.digits >= 3 ? "<id>" : NULL;
}

/* A word: masked as a whole, or with its runs of digits masked. */
static void take_atom(struct mask *m)
{
	const char *s = m->in + m->at;
	size_t n = 0;

	while (m->at + n < m->length && is_atom(s[n]))
		n++;
	m->at += n;
	size_t trail = 0;
	while (trail < n && strchr(".-", s[n - trail - 1]) != NULL)
		trail++;
	const char *whole = mask_of(s, n - trail);
	if (whole != NULL) {
		put_word(m, whole);
		put(m, s + n - trail, trail);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i])) {
			put(m, s + i, 1);
			continue;
		}
		put_word(m, "<n>");
		while (i + 1 < n && isdigit((unsigned char)s[i + 1]))
			i++;
	}
}

static bool tells(const char *key, size_t n)
{
	static const char *const KEYS[] = {"msg",   "message",	"error", "err",
					   "level", "severity", "event", "exception"};

	for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
		if (n == strlen(KEYS[i]) && strncasecmp(key, KEYS[i], n) == 0)
			return true;
	return false;
}

static size_t closing_quote(const struct mask *m)
{
	char quote = m->in[m->at];
	size_t end = m->at + 1;

	while (end < m->length && end - m->at < QUOTED_MAX && m->in[end] != quote)
		end += m->in[end] == '\\' ? 2 : 1;
	return end < m->length && m->in[end] == quote ? end : 0;
}

/* A key stays as it is, a message is read on, everything else between quotes changes. */
static bool take_quoted(struct mask *m)
{
	size_t end = closing_quote(m);

	if (end == 0 ||
	    (m->in[m->at] == '\'' && m->at > 0 && isalnum((unsigned char)m->in[m->at - 1])))
		return false;
	const char *inside = m->in + m->at + 1;
	size_t n = end - m->at - 1;
	size_t next = end + 1;
	while (next < m->length && m->in[next] == ' ')
		next++;
	bool key = next < m->length && m->in[next] == ':' && n < 40;
	if (m->told && !key) {
		m->told = false;
		m->close = end;
		m->at++;
		return true;
	}
	m->told = key && tells(inside, n);
	if (key)
		put(m, inside, n);
	else
		put_word(m, "<text>");
	m->at = end + 1;
	return true;
}

static bool begins_path(const struct mask *m)
{
	char before = m->at == 0 ? ' ' : m->in[m->at - 1];
	char next = m->at + 1 < m->length ? m->in[m->at + 1] : ' ';

	return m->in[m->at] == '/' && next != '/' && next != ' ' && before != '/';
}

static void take_path(struct mask *m)
{
	while (m->at < m->length && is_path_char(m->in[m->at]))
		m->at++;
	put_word(m, "<path>");
}

static void take_one(struct mask *m)
{
	char c = m->in[m->at];

	if (m->close > 0 && m->at == m->close) {
		m->at++;
		return;
	}
	if (m->at >= m->close && (c == '"' || c == '\'') && take_quoted(m))
		return;
	if (begins_path(m)) {
		take_path(m);
	} else if (is_atom(c)) {
		take_atom(m);
	} else {
		bool blank = isspace((unsigned char)c);
		if (blank && m->used > 0 && m->out[m->used - 1] != ' ')
			put(m, " ", 1);
		else if (!blank && c != '"')
			put(m, &c, 1);
		m->at++;
	}
}

char *log_mask(void *mem, const char *text)
{
	size_t n = strnlen(text, LINE_MAX_BYTES);

	bool is_cut = n == LINE_MAX_BYTES;

	while (is_cut && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--; /* not within a character */
	struct mask m = {.in = text, .length = n, .out = NEW_ARRAY(mem, char, n *MASK_ROOM + 1)};
	while (m.at < m.length)
		take_one(&m);
	while (m.used > 0 && m.out[m.used - 1] == ' ')
		m.used--;
	m.out[m.used] = '\0';
	return m.out;
}
