#!/bin/sh
# What the style forbids in src/ (CONTRIBUTING.md). TAP output.
set -eu
cd "$(dirname "$0")/../../src"

n=0
bad=0
check() { # description, pattern, files to leave out
	n=$((n + 1))
	found=$(grep -rnE --include='*.c' --include='*.h' "$2" . | grep -vE "$3" || true)
	if [ -z "$found" ]; then echo "ok $n - $1"; else
		echo "not ok $n - $1"
		echo "$found" | sed 's/^/# /'
		bad=1
	fi
}

check "no malloc family" '\b(malloc|calloc|realloc|strdup|strndup)\(' '^\./(base/mem)'
check "no unbounded string functions" '\b(strcpy|strcat|sprintf|vsprintf|strtok|gets)\(' '^$'
check "no unchecked conversions" '\b(atoi|atol|atof|strtol|strtoll|strtoul|strtod)\(' '^\./(base/str|base/json_node|base/metrics|config/settings|clients/otlp)\.c'
check "no shell" '\b(system|popen|execl|execlp|execvp|fork)\(' '^$'
check "no calls that are not thread-safe" '\b(gmtime|localtime|strerror|setlocale|getpwuid|strsignal)\(' '^$'
check "the clock is asked in one place" '\btime\((NULL|&|0)' '^$'
check "no exit outside main" '\b(exit|_exit|quick_exit)\(' '^\./store/writer\.c.*137'
check "no variable-length stack" '\balloca\(' '^$'
check "failures are born in status.c only" 'return E_[A-Z]+;' '^\./(base/status|net/http_client)\.c'
check "no banners" '^/\* -{3}' '^$'
check "nothing is left unfinished" '\b(TODO|FIXME|XXX|HACK)\b' '^$'
echo "1..$n"
exit $bad
