#include <signal.h>
#include <stdio.h>

#include <jansson.h>

#include "base/clock.h"
#include "cli/command.h"

const struct command *const commands[] = {
	&command_serve,
	&command_incidents,
	&command_show,
	&command_submit,
	&command_approve,
	&command_reject,
	&command_dlq,
	&command_schemas,
	&command_partitions,
	&command_investigate,
	&command_slo,
	&command_backup,
	&command_restore,
	&command_store,
	&command_doctor,
	&command_config,
	&command_forward,
	&command_man,
	NULL,
};

/* Read by jemalloc where that is linked: few arenas, and a thread that gives back what was freed
 * within a second, for a daemon that is idle most of the time and stormy now and then. */
extern const char *malloc_conf;
const char *malloc_conf =
	"narenas:2,background_thread:true,max_background_threads:1,dirty_decay_ms:1000,"
	"muzzy_decay_ms:0";

int main(int argc, char **argv)
{
	json_object_seed(0); /* before threads */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on files is a full disk like any other */
	if (clock_init() != OK)
		return command_failed();
	int code = command_main(argc, argv);
	if (fflush(stdout) != 0 && code == EXIT_DONE) {
		perror("agent-sre: standard output");
		return EXIT_FAILED;
	}
	return code;
}
