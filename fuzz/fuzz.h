/* What every fuzz target defines: it takes any bytes, returns 0 and aborts on a broken promise. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
