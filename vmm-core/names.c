/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of enums and arithmetic over the counters, all from their one table. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "umbra/counters.h"
#include "umbra/end.h"
#include "umbra/mode.h"

static const char *const mode_names[UMBRA_MODE_COUNT] = {
	[UMBRA_MODE_BARE] = "bare",
	[UMBRA_MODE_BRUTE] = "brute",
	[UMBRA_MODE_SHADOW] = "shadow",
	[UMBRA_MODE_EPT] = "ept",
};

static const char *const clock_names[UMBRA_CLOCK_COUNT] = {
	[UMBRA_CLOCK_CYCLES] = "cycles",
	[UMBRA_CLOCK_INSTRUCTIONS] = "instructions",
};

static const char *const end_reason_names[UMBRA_END_REASON_COUNT] = {
	[UMBRA_END_NONE] = "none",
	[UMBRA_END_DEBUG_EXIT] = "debug_exit",
	[UMBRA_END_POWER_OFF] = "power_off",
	[UMBRA_END_RESET] = "reset",
	[UMBRA_END_TRIPLE_FAULT] = "triple_fault",
	[UMBRA_END_HALTED] = "halted",
	[UMBRA_END_UNIMPLEMENTED_OPCODE] = "unimplemented_opcode",
	[UMBRA_END_LIMIT_SECONDS] = "limit_seconds",
	[UMBRA_END_LIMIT_INSTRUCTIONS] = "limit_instructions",
	[UMBRA_END_ERROR] = "error",
};

static const char *const exit_reason_names[UMBRA_EXIT_REASON_COUNT] = {
#define UMBRA_EXIT_REASON(name, help) [UMBRA_EXIT_##name] = #name,
#include "umbra/counters.def"
};

static int find_name(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return -EINVAL;
}

const char *umbra_mode_name(enum umbra_mode mode)
{
	return mode_names[mode];
}

const char *umbra_clock_name(enum umbra_clock clock)
{
	return clock_names[clock];
}

const char *umbra_end_reason_name(enum umbra_end_reason reason)
{
	return end_reason_names[reason];
}

const char *umbra_exit_reason_name(enum umbra_exit_reason reason)
{
	return exit_reason_names[reason];
}

int umbra_mode_parse(const char *name, enum umbra_mode *ret_mode)
{
	int mode = find_name(mode_names, UMBRA_MODE_COUNT, name);

	if (mode < 0)
		return mode;
	*ret_mode = mode;
	return 0;
}

int umbra_clock_parse(const char *name, enum umbra_clock *ret_clock)
{
	int clock = find_name(clock_names, UMBRA_CLOCK_COUNT, name);

	if (clock < 0)
		return clock;
	*ret_clock = clock;
	return 0;
}

/* The struct is nothing but uint64_t counters: copies go through it as an array of them. */
#define NR_COUNTERS (sizeof(struct umbra_counters) / sizeof(uint64_t))

void umbra_counters_read(const struct umbra_counters *shared, struct umbra_counters *ret_copy)
{
	const uint64_t *from = (const uint64_t *)shared;
	uint64_t *to = (uint64_t *)ret_copy;

	for (size_t i = 0; i < NR_COUNTERS; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void umbra_counters_publish(struct umbra_counters *shared, const struct umbra_counters *from)
{
	const uint64_t *source = (const uint64_t *)from;
	uint64_t *to = (uint64_t *)shared;

	for (size_t i = 0; i < NR_COUNTERS; i++)
		__atomic_store_n(&to[i], source[i], __ATOMIC_RELAXED);
}

void umbra_counters_delta(const struct umbra_counters *now, const struct umbra_counters *before,
			  struct umbra_counters *ret)
{
#define COUNTER true
#define GAUGE   false
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	for (int i = 0; i < UMBRA_DIMENSION_##dimension##_COUNT; i++)                              \
		ret->name[i] = now->name[i] - (kind ? before->name[i] : 0);
#include "umbra/counters.def"
}
