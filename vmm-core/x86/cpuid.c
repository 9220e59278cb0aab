/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID: offers what this CPU executes and nothing else, the same in every paging mode. */
#include <string.h>

#include "x86/control.h"
#include "x86/system.h"

/* SDM 2 CPUID, leaf 1 EDX and ECX. */
#define F1_EDX_FPU        (1u << 0)
#define F1_EDX_PSE        (1u << 3)
#define F1_EDX_TSC        (1u << 4)
#define F1_EDX_MSR        (1u << 5)
#define F1_EDX_PAE        (1u << 6)
#define F1_EDX_CX8        (1u << 8)
#define F1_EDX_CMOV       (1u << 15)
#define F1_EDX_PAT        (1u << 16)
#define F1_EDX_CLFSH      (1u << 19)
#define F1_EDX_FXSR       (1u << 24)
#define F1_EDX_SSE        (1u << 25)
#define F1_EDX_SSE2       (1u << 26)
#define F1_ECX_HYPERVISOR (1u << 31)
/* Leaf 80000001H */
#define F8_EDX_SYSCALL (1u << 11)
#define F8_EDX_NX      (1u << 20)
#define F8_EDX_LM      (1u << 29)
#define F8_ECX_LAHF64  (1u << 0)

/* Family 6, model 15: the first 64-bit one, on whose features software builds least. */
#define SIGNATURE    0x000006fbu
#define CLFLUSH_LINE 8u /* in units of 8 bytes */
#define LINEAR_WIDTH 48u

struct leaf {
	uint32_t number;
	uint32_t eax, ebx, ecx, edx;
};

#define TEXT4(a, b, c, d)                                                                          \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

#define LEAF_LAST           4u
#define LEAF_HYPERVISOR     0x40000000u
#define LEAF_EXTENDED       0x80000000u
#define LEAF_ADDRESS_WIDTHS 0x80000008u
#define LEAF_EXTENDED_LAST  LEAF_ADDRESS_WIDTHS

/* Leaves that are not listed, up to the last one of their range, are all zero. */
static const struct leaf leaves[] = {
	{0, LEAF_LAST, TEXT4('G', 'e', 'n', 'u'), TEXT4('n', 't', 'e', 'l'),
	 TEXT4('i', 'n', 'e', 'I')},
	{1, SIGNATURE, CLFLUSH_LINE << 8, F1_ECX_HYPERVISOR,
	 F1_EDX_FPU | F1_EDX_PSE | F1_EDX_TSC | F1_EDX_MSR | F1_EDX_PAE | F1_EDX_CX8 | F1_EDX_CMOV |
		 F1_EDX_PAT | F1_EDX_CLFSH | F1_EDX_FXSR | F1_EDX_SSE | F1_EDX_SSE2},
	{2, 1, 0, 0, 0}, /* one round, no descriptor: no caches to tell of */
	{LEAF_HYPERVISOR, LEAF_HYPERVISOR, TEXT4('U', 'm', 'b', 'r'), TEXT4('a', 'U', 'm', 'b'),
	 TEXT4('r', 'a', 'U', 'm')},
	{LEAF_EXTENDED, LEAF_EXTENDED_LAST, 0, 0, 0},
	{0x80000001u, 0, 0, F8_ECX_LAHF64, F8_EDX_SYSCALL | F8_EDX_NX | F8_EDX_LM},
	{0x80000002u, TEXT4('U', 'm', 'b', 'r'), TEXT4('a', ' ', 's', 'o'),
	 TEXT4('f', 't', ' ', 'C'), TEXT4('P', 'U', 0, 0)},
	{LEAF_ADDRESS_WIDTHS, LINEAR_WIDTH << 8, 0, 0, 0},
};

static const struct leaf *find_leaf(uint32_t number)
{
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		if (leaves[i].number == number)
			return &leaves[i];
	return NULL;
}

static bool in_range(uint32_t number)
{
	return number <= LEAF_LAST || number == LEAF_HYPERVISOR ||
	       (number >= LEAF_EXTENDED && number <= LEAF_EXTENDED_LAST);
}

enum x86_result x86_exec_cpuid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	static const struct leaf zero;
	uint32_t number = (uint32_t)cpu->gpr[X86_RAX];
	const struct leaf *leaf;

	hw_event(cpu->hw, UMBRA_EXIT_cpuid);
	/* Beyond all ranges the last basic leaf answers (SDM 2 CPUID). */
	leaf = find_leaf(in_range(number) ? number : LEAF_LAST);
	if (!leaf)
		leaf = &zero;
	cpu->gpr[X86_RAX] = leaf->eax;
	cpu->gpr[X86_RBX] = leaf->ebx;
	cpu->gpr[X86_RCX] = leaf->ecx;
	cpu->gpr[X86_RDX] = leaf->edx;
	if (number == LEAF_ADDRESS_WIDTHS)
		cpu->gpr[X86_RAX] |= hw_maxphyaddr(cpu->hw);
	/* SYSCALL exists in 64-bit mode only, and only there the bit is set. */
	if (number == 0x80000001u && cpu->code_mode != X86_CODE_64)
		cpu->gpr[X86_RDX] &= ~(uint64_t)F8_EDX_SYSCALL;
	return X86_DONE;
}
