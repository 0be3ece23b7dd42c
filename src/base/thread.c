#include "base/thread.h"

#include <sys/resource.h>
#include <unistd.h>

/* On Linux niceness is a thread's own. */
void thread_step_back(int nice)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
}
