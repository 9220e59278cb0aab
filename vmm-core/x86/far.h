/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What far JMP, CALL, RET and IRET share. */
#ifndef X86_FAR_H
#define X86_FAR_H

#include "x86/segment.h"

/* The rules for code that every far transfer shares. False: raised. */
bool x86_check_far_code(struct x86_cpu *cpu, uint16_t selector, uint64_t rip,
			const struct x86_descriptor *d);
/* Loads CS, RIP and CPL. */
void x86_enter_code(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *code,
		    uint64_t rip, unsigned cpl);

#endif
