/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of enums and arithmetic over the counters, all from their one table. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "umbra/counters.h"
#include "umbra/end.h"
#include "umbra/mode.h"
#include "umbra/translate.h"

static const char *const engine_names[UMBRA_ENGINE_COUNT] = {
	[UMBRA_ENGINE_SOFT] = "soft",
	[UMBRA_ENGINE_KVM] = "kvm",
};

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

static const char *const paging_names[UMBRA_PAGING_COUNT] = {
	[UMBRA_PAGING_OFF] = "off",         [UMBRA_PAGING_32_BIT] = "32-bit",
	[UMBRA_PAGING_PAE] = "PAE",         [UMBRA_PAGING_4_LEVEL] = "4-level",
	[UMBRA_PAGING_5_LEVEL] = "5-level",
};

static const char *const privilege_names[UMBRA_PRIVILEGE_COUNT] = {
	[UMBRA_PRIVILEGE_SUPERVISOR] = "supervisor",
	[UMBRA_PRIVILEGE_USER] = "user",
	[UMBRA_PRIVILEGE_SUPERVISOR_AC] = "supervisor_ac",
};

static const char *const outcome_names[UMBRA_OUTCOME_COUNT] = {
	[UMBRA_OUTCOME_RAM] = "ram",
	[UMBRA_OUTCOME_FAULT] = "page_fault",
	[UMBRA_OUTCOME_DEVICE] = "device",
	[UMBRA_OUTCOME_NOBODY] = "nobody",
};

static const char *const walk_end_names[UMBRA_WALK_END_COUNT] = {
	[UMBRA_WALK_NO_TABLES] = "no_tables",
	[UMBRA_WALK_TRANSLATED] = "translated",
	[UMBRA_WALK_FAULT] = "page_fault",
	[UMBRA_WALK_DEVICE] = "device",
	[UMBRA_WALK_NOBODY] = "nobody",
	[UMBRA_WALK_EXIT_FILL] = "exit_fill",
	[UMBRA_WALK_EXIT_FAULT] = "exit_page_fault",
	[UMBRA_WALK_EXIT_EMULATE] = "exit_emulate",
	[UMBRA_WALK_EXIT_DEVICE] = "exit_device",
	[UMBRA_WALK_EXIT_NOBODY] = "exit_nobody",
};

static const char *const unknown_names[UMBRA_UNKNOWN_COUNT] = {
	[UMBRA_KNOWN] = "known",
	[UMBRA_UNKNOWN_FAULT] = "page_fault",
	[UMBRA_UNKNOWN_DEVICE] = "device",
	[UMBRA_UNKNOWN_NOBODY] = "nobody",
	[UMBRA_UNKNOWN_UNTOUCHED] = "untouched",
	[UMBRA_UNKNOWN_EMULATED] = "emulated",
	[UMBRA_UNKNOWN_PIECES] = "pieces",
	[UMBRA_UNKNOWN_BARE] = "bare",
};

static const char *const level_names[UMBRA_TABLE_LEVELS + 1] = {
	[1] = "PT", [2] = "PD", [3] = "PDPT", [4] = "PML4", [5] = "PML5",
};

/* Bits of an entry, by the names that the manuals give them. */
struct flag {
	uint64_t bit;
	const char *name;
	bool large; /* only in an entry of a large page, above level 1 */
};

static const struct flag paging_flags[] = {
	{1ull << 0, "P", false},   {1ull << 1, "W", false},   {1ull << 2, "U", false},
	{1ull << 3, "PWT", false}, {1ull << 4, "PCD", false}, {1ull << 5, "A", false},
	{1ull << 6, "D", false},   {1ull << 7, "PS", true},   {1ull << 8, "G", false},
	{1ull << 63, "NX", false}, {0, NULL, false},
};

static const struct flag ept_flags[] = {
	{1ull << 0, "R", false}, {1ull << 1, "W", false}, {1ull << 2, "X", false},
	{1ull << 7, "PS", true}, {1ull << 8, "A", false}, {1ull << 9, "D", false},
	{0, NULL, false},
};

static const char *const error_bits[] = {"P", "W", "U", "RSVD", "I", "PK"};

static int find_name(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return -EINVAL;
}

const char *umbra_engine_name(enum umbra_engine engine)
{
	return engine_names[engine];
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

const char *umbra_paging_name(enum umbra_paging paging)
{
	return paging_names[paging];
}

const char *umbra_privilege_name(enum umbra_privilege privilege)
{
	return privilege_names[privilege];
}

const char *umbra_outcome_name(enum umbra_outcome outcome)
{
	return outcome_names[outcome];
}

const char *umbra_walk_end_name(enum umbra_walk_end end)
{
	return walk_end_names[end];
}

const char *umbra_unknown_name(enum umbra_unknown unknown)
{
	return unknown_names[unknown];
}

const char *umbra_table_name(enum umbra_mode mode, enum umbra_table table)
{
	return table == UMBRA_TABLE_GUEST ? "guest"
	       : table == UMBRA_TABLE_EPT ? "EPT"
					  : umbra_mode_name(mode);
}

const char *umbra_level_name(unsigned level)
{
	return level_names[level];
}

const char *umbra_entry_flag(const struct umbra_step *step, unsigned *position)
{
	const struct flag *flags = step->table == UMBRA_TABLE_EPT ? ept_flags : paging_flags;

	while (flags[*position].bit) {
		const struct flag *flag = &flags[(*position)++];

		if ((step->entry & flag->bit) && !(flag->large && step->level == 1))
			return flag->name;
	}
	return NULL;
}

const char *umbra_error_code_flag(uint32_t code, unsigned *position)
{
	while (*position < sizeof(error_bits) / sizeof(error_bits[0])) {
		unsigned bit = (*position)++;

		if (code >> bit & 1)
			return error_bits[bit];
	}
	return NULL;
}

int umbra_engine_parse(const char *name, enum umbra_engine *ret_engine)
{
	int engine = find_name(engine_names, UMBRA_ENGINE_COUNT, name);

	if (engine < 0)
		return engine;
	*ret_engine = engine;
	return 0;
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
