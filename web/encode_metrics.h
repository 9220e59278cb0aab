/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEB_ENCODE_METRICS_H
#define WEB_ENCODE_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "web/process.h"
#include "web/snapshot.h"
#include "web/statistics.h"

struct metrics_view {
	const struct snapshot *snapshot;
	const struct web_statistics *statistics; /* NULL: none */
	const struct process_view *process;      /* NULL: none */
};

/*
 * The Prometheus text format, version 0.0.4, or OpenMetrics 1.0.0; the caller frees it. NULL: out
 * of memory.
 */
char *web_encode_metrics(const struct metrics_view *view, bool open_metrics, size_t *ret_len);

#endif
