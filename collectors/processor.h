/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which processor this host has: it decides which events count what, and what things cost. */
#ifndef COLLECTORS_PROCESSOR_H
#define COLLECTORS_PROCESSOR_H

#include "collectors/collector.h"

enum processor_kind {
#define PROCESSOR(name, pmu) PROCESSOR_##name,
#include "collectors/processors.def"
	PROCESSOR_COUNT, /* none of them */
};

struct processor {
	enum processor_kind kind;
	char vendor[16];            /* "GenuineIntel"; empty: /proc/cpuinfo does not say */
	unsigned int family, model; /* 0 where it does not say */
	double frequency;           /* nominal, in hertz; 0: not known */
};

/* Of the first CPU in cpuinfo. What cannot be read is not known. */
void processor_detect(const struct collector_roots *roots, struct processor *ret);
/* "skylake"; "unknown" of PROCESSOR_COUNT. Static strings, as is the next. */
const char *processor_name(enum processor_kind kind);
/* libpfm4's name of its counters; NULL of PROCESSOR_COUNT. */
const char *processor_pmu(enum processor_kind kind);

#endif
