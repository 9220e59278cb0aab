/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEB_ENCODE_HOST_H
#define WEB_ENCODE_HOST_H

#include <jansson.h>
#include <time.h>

#include "web/snapshot.h"

/* Answer of /api/v1/host. @started: wall time when umbrad started. NULL: out of memory. */
json_t *web_encode_host(const struct snapshot *snapshot, time_t started);

#endif
