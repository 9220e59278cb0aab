/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What software invalidates itself: INVLPG (SDM 3A 4.10.4.1); WBINVD and its like. */
#include "x86/control.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

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

/* WBINVD, WBNOINVD, INVD: this CPU has no data cache. */
enum x86_result x86_exec_cache_privileged(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return cpu->cpl ? gp(cpu) : X86_DONE;
}
