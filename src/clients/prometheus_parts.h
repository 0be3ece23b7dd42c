/* What the files of Prometheus' client share; for nobody else. */
#pragma once

#include <stddef.h>

#include "base/status.h"
#include "clients/prometheus.h"
#include "net/url.h"

/* OK when a whole reply with code 200 is here; else the statuses of prometheus.h. */
NODISCARD enum status prometheus_judge(void *mem, const struct http_reply *r);

/* A POST of a form: every byte of the values escaped. */
NODISCARD enum status prometheus_form(void *mem, const struct prometheus *p, const char *const *path,
				      const struct url_pair *fields, size_t n, struct http_request *out);

/* "1.5", "NaN", "+Inf", "-Inf". */
NODISCARD enum status prometheus_number(const char *text, double *out);
