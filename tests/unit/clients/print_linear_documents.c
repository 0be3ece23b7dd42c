/* Prints every GraphQL document of the Linear client as a JSON array: for the schema test. */
#include <stdio.h>

#include <jansson.h>

#include "clients/linear.h"

int main(void)
{
	json_t *list = json_array();

	for (int n = 0; linear_documents[n] != NULL; n++)
		json_array_append_new(list, json_string(linear_documents[n]));
	json_dumpf(list, stdout, JSON_INDENT(1));
	json_decref(list);
	return 0;
}
