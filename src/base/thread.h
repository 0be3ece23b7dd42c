/* What threads say of themselves. */
#pragma once

/* This thread lets others go first when the CPU is short: 0 to 19, as nice(1). In a storm what arrives is taken in first and
 * worked on behind it: senders give up, the store does not. Where it is not allowed, all are alike. */
void thread_step_back(int nice);
