/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collectors/perf_encode.h"

#ifdef HAVE_LIBPFM
#include <perfmon/pfmlib_perf_event.h>

static int initialise(void)
{
	static int code = -1;

	if (code == PFM_SUCCESS)
		return code;
	/*
	 * We know the processor from /proc/cpuinfo; libpfm4 would refuse the ones that it does not
	 * recognise by itself, like newer models with the same counters.
	 */
	setenv("LIBPFM_ENCODE_INACTIVE", "1", 1);
	code = pfm_initialize();
	return code;
}

int perf_encode(const char *pmu, const char *event, uint32_t *ret_type, uint64_t *ret_config)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};
	pfm_perf_encode_arg_t arg = {.attr = &attr, .size = sizeof(arg)};
	char name[256];

	snprintf(name, sizeof(name), "%s::%s", pmu, event);
	if (initialise() != PFM_SUCCESS ||
	    pfm_get_os_event_encoding(name, PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT, &arg) !=
		    PFM_SUCCESS)
		return -ENOENT;
	*ret_type = attr.type;
	*ret_config = attr.config;
	return 0;
}
#else
int perf_encode(const char *pmu, const char *event, uint32_t *ret_type, uint64_t *ret_config)
{
	return -ENOSYS;
}
#endif
