/* The upper bound of this HTTP stack: libmicrohttpd as src/net/http_server.c sets it up (one epoll
 * thread, kept-alive connections), a body that is read, and a 200 that costs nothing. `ceiling
 * PORT`, until a signal. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <microhttpd.h>

enum { MEMORY_PER_CONNECTION = 32 * 1024, CONNECTIONS = 1024 };

static struct MHD_Response *response;

static enum MHD_Result answer(void *arg, struct MHD_Connection *mhd, const char *url,
			      const char *method, const char *version, const char *data, size_t *n,
			      void **context)
{
	static int seen;

	(void)arg, (void)url, (void)method, (void)version, (void)data;
	if (*context == NULL) {
		*context = &seen;
		return MHD_YES;
	}
	if (*n > 0) {
		*n = 0;
		return MHD_YES;
	}
	return MHD_queue_response(mhd, 200, response);
}

int main(int argc, char **argv)
{
	static char text[] = "{\"status\":\"processed\"}";
	unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (port == 0 || port > 65535) {
		fprintf(stderr, "usage: ceiling PORT\n");
		return 2;
	}
	response = MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(response, "Content-Type", "application/json");
	if (MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)port, NULL, NULL, answer,
			     NULL, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
			     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION,
			     MHD_OPTION_END) == NULL) {
		fprintf(stderr, "ceiling: cannot listen on port %lu\n", port);
		return 1;
	}
	for (;;)
		pause();
}
