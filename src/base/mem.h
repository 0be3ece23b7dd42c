/*
 * Memory: one talloc tree per request or job. A first parameter `void *mem` means "the result
 * lives under this context". Out of memory aborts: the store makes a restart safe.
 * A tree belongs to one thread; crossing threads is by MOVE of a rootless tree.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>
#include <talloc.h>

/* Aborts with a line on stderr when `p` is NULL; returns `p`. */
void *mem_check(void *p);

/* A zeroed T, or n zeroed T, under mem. */
#define NEW(mem, T) ((T *)mem_check(talloc_zero(mem, T)))
#define NEW_ARRAY(mem, T, n) ((T *)mem_check(talloc_zero_array(mem, T, n)))

/* Grows array `a` of T to n elements (contents kept, new ones not zeroed). */
#define GROW(mem, a, T, n) ((T *)mem_check(talloc_realloc(mem, a, T, n)))

/* Hangs `p` under `mem` from now on; returns `p`. (talloc_steal is a statement expression, which clang warns about.) */
#define MOVE(mem, p) __extension__ talloc_steal(mem, p)

void mem_scope_done(void **scope);

/* A context that ends with the enclosing block. */
#define SCOPE(name) __attribute__((cleanup(mem_scope_done))) void *name = mem_check(talloc_new(NULL))

/* Hands a jansson reference to the tree: it is dropped when `mem` is freed. Returns `value`,
 * borrowed. NULL (jansson is out of memory) aborts. */
json_t *mem_own(void *mem, json_t *value);
