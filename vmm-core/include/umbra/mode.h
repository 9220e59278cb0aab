/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UMBRA_MODE_H
#define UMBRA_MODE_H

/* What executes a guest. */
enum umbra_engine {
	UMBRA_ENGINE_SOFT, /* Umbra's own CPU */
	UMBRA_ENGINE_KVM,  /* the host's KVM */
	UMBRA_ENGINE_COUNT,
};

/* Who supplies the second step of a translation. */
enum umbra_mode {
	UMBRA_MODE_BARE,   /* nobody: guest-physical = host-physical, no VMM */
	UMBRA_MODE_BRUTE,  /* the VMM, at each access of the guest to a table (SDM 3C 32.3.3) */
	UMBRA_MODE_SHADOW, /* the VMM: shadow tables (SDM 3C 32.3.4) */
	UMBRA_MODE_EPT,    /* the hardware: extended page tables (SDM 3C 28.3) */
	UMBRA_MODE_COUNT,
};

/* What guest time counts. */
enum umbra_clock {
	UMBRA_CLOCK_CYCLES,       /* time is cycles: memory costs delay the guest */
	UMBRA_CLOCK_INSTRUCTIONS, /* one for each instruction or REP iteration */
	UMBRA_CLOCK_COUNT,
};

/* Static strings, as in options, configuration and JSON. */
const char *umbra_engine_name(enum umbra_engine engine);
const char *umbra_mode_name(enum umbra_mode mode);
const char *umbra_clock_name(enum umbra_clock clock);

/* 0 and *ret_engine, or -EINVAL. */
int umbra_engine_parse(const char *name, enum umbra_engine *ret_engine);
/* 0 and *ret_mode, or -EINVAL. */
int umbra_mode_parse(const char *name, enum umbra_mode *ret_mode);
/* 0 and *ret_clock, or -EINVAL. */
int umbra_clock_parse(const char *name, enum umbra_clock *ret_clock);

#endif
