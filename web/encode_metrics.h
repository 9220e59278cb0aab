/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEB_ENCODE_METRICS_H
#define WEB_ENCODE_METRICS_H

#include <stddef.h>

#include "web/view.h"

/* The Prometheus text format, version 0.0.4, of @guests; the caller frees it. NULL: out of memory.
 */
char *web_encode_metrics(const struct guest_view *guests, size_t nr_guests, size_t *ret_len);

#endif
