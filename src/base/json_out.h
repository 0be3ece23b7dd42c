/* Writes JSON text straight into one growing buffer: for answers and records that are made by the thousand. */
#pragma once

#include <stddef.h>

struct json_out {
	void *mem;
	char *text; /* ends with a NUL; talloc'd under mem */
	size_t used, room;
};

void json_out_begin(struct json_out *o, void *mem, size_t room);
/* As it is. */
void json_out_raw(struct json_out *o, const char *text);
/* A string: quoted and escaped as json_text does. */
void json_out_string(struct json_out *o, const char *text);
/* "name":"value", after a comma unless it is the first of its object. `name` needs no escapes. */
void json_out_member(struct json_out *o, const char *name, const char *value);
