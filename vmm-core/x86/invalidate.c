/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What software invalidates itself: INVLPG, INVPCID (SDM 3A 4.10.4.1); WBINVD and its like. */
#include "x86/control.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

#define INVPCID_LAST     HW_INVPCID_ALL_BUT_GLOBAL
#define INVPCID_RESERVED (~0xfffull) /* of the descriptor's first half: all above the PCID */

static enum x86_result gp(struct x86_cpu *cpu)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

enum x86_result x86_exec_invlpg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t linear;

	if (cpu->cpl)
		return gp(cpu);
	hw_public(cpu->hw)->counters.guest_invlpgs[0]++;
	linear = x86_linear(cpu, insn->segment, x86_effective_address(cpu, insn));
	if (x86_canonical(cpu, linear)) /* else nothing can be cached of it */
		hw_invlpg(cpu->hw, linear);
	return X86_LEAVE;
}

enum x86_result x86_exec_invpcid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t type = cpu->gpr[insn->reg];
	struct {
		uint64_t pcid, address;
	} descriptor;

	if (cpu->cpl)
		return gp(cpu);
	if (cpu->code_mode != X86_CODE_64)
		type = (uint32_t)type;
	if (type > INVPCID_LAST)
		return gp(cpu);
	if (!x86_load_slow(cpu, insn->segment, x86_effective_address(cpu, insn), sizeof(descriptor),
			   &descriptor))
		return X86_FAULT;
	if (descriptor.pcid & INVPCID_RESERVED)
		return gp(cpu);
	if (type <= HW_INVPCID_CONTEXT && descriptor.pcid && !(cpu->cr4 & CR4_PCIDE))
		return gp(cpu);
	if (type == HW_INVPCID_ADDRESS && !x86_canonical_base(cpu, descriptor.address))
		return gp(cpu);
	if (type == HW_INVPCID_ADDRESS && !x86_canonical(cpu, descriptor.address))
		return X86_DONE; /* nothing can be cached of it */
	hw_invpcid(cpu->hw, (enum hw_invpcid)type, (uint16_t)descriptor.pcid, descriptor.address);
	return X86_LEAVE;
}

/* WBINVD, WBNOINVD, INVD: this CPU has no data cache. */
enum x86_result x86_exec_cache_privileged(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return cpu->cpl ? gp(cpu) : X86_DONE;
}
