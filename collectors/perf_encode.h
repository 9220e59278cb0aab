/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef COLLECTORS_PERF_ENCODE_H
#define COLLECTORS_PERF_ENCODE_H

#include <stdint.h>

/*
 * What perf_event_open() calls the event @event of the counters @pmu, both as libpfm4 names them.
 * 0; -ENOENT: libpfm4 knows no such event; -ENOSYS: this build has no libpfm4.
 */
int perf_encode(const char *pmu, const char *event, uint32_t *ret_type, uint64_t *ret_config);

#endif
