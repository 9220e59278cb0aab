/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UMBRA_END_H
#define UMBRA_END_H

#include <stdint.h>

enum umbra_end_reason {
	UMBRA_END_NONE, /* still alive */
	UMBRA_END_DEBUG_EXIT,
	UMBRA_END_POWER_OFF,
	UMBRA_END_RESET,
	UMBRA_END_TRIPLE_FAULT,
	UMBRA_END_HALTED,
	UMBRA_END_UNIMPLEMENTED_OPCODE,
	UMBRA_END_LIMIT_SECONDS,
	UMBRA_END_LIMIT_INSTRUCTIONS,
	UMBRA_END_ERROR,
	UMBRA_END_REASON_COUNT,
};

/* How a guest ended; no error of Umbra. */
struct umbra_end {
	enum umbra_end_reason reason;
	uint32_t value;    /* debug_exit: what the guest wrote to port 0xf4 */
	uint64_t rip;      /* of the instruction that ended it */
	uint8_t bytes[15]; /* its opcode bytes, as far as they could be read */
	uint8_t nr_bytes;
	uint8_t cpu;          /* number of the vCPU that executed it, or ran last */
	const char *cpu_mode; /* "32-bit protected", "compatibility", "64-bit"; NULL: not known */
	char text[256];       /* for people; may be empty */
};

/* A static string: "debug_exit"; "none" for UMBRA_END_NONE. */
const char *umbra_end_reason_name(enum umbra_end_reason reason);

#endif
