/* What the sanitizers cannot see in the libraries that draw. In every program that may draw, as a
 * whole: nobody refers to it but the sanitizers' own runtime. */
extern int nothing_else_is_in_here;

#ifndef __has_feature
#define __has_feature(x) 0 /* clang's way to tell */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* fontconfig keeps pointers as distances, which the leak sanitizer cannot follow. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig\n";
}
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
/* pango looks for fonts in threads of its own, with GLib's locks, which are futexes that the
 * sanitizer cannot see. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libfontconfig.so.1\n"
	       "called_from_lib:libglib-2.0.so.0\n"
	       "called_from_lib:libgobject-2.0.so.0\n"
	       "deadlock:libgobject-2.0.so.0\n"
	       "called_from_lib:libpango-1.0.so.0\n"
	       "called_from_lib:libpangocairo-1.0.so.0\n"
	       "called_from_lib:libpangoft2-1.0.so.0\n"
	       "called_from_lib:libcairo.so.2\n"
	       "called_from_lib:libfreetype.so.6\n"
	       "called_from_lib:libharfbuzz.so.0\n";
}
#endif
