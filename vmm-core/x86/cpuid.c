/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID: a model by name and what this CPU executes, nothing else, the same in every paging mode
 * (SDM 2 CPUID; APM 3 appendix E). Features are rows of features.def.
 */
#include <string.h>

#include "paging/processor.h"
#include "x86/control.h"
#include "x86/model.h"
#include "x86/system.h"
#include "x86/xcr.h"

#define LEAF_LAST_INTEL     0x18u
#define LEAF_LAST_AMD       0x0du
#define LEAF_LAST_LIMITED   2u /* under IA32_MISC_ENABLE[22] */
#define LEAF_HYPERVISOR     0x40000000u
#define LEAF_EXTENDED       0x80000000u
#define LEAF_EXTENDED_INTEL 0x80000008u
#define LEAF_EXTENDED_AMD   0x80000019u

#define F1_EDX_APIC         (1u << 9)
#define F1_EDX_HTT          (1u << 28)
#define F1_ECX_OSXSAVE      (1u << 27)
#define F7_ECX_OSPKE        (1u << 4)
#define F8_ECX_CMP_LEGACY   (1u << 1)
#define F8_EDX_SYSCALL      (1u << 11)
/* Bits of leaf 1 EDX that AMD's leaf 80000001H repeats. */
#define F8_EDX_AMD_ALIASES      0x0183f3ffu

#define LEAF2_ROUNDS            0x01u
#define LEAF2_CACHES_IN_LEAF_4  0xffu
#define LEAF2_TLBS_IN_LEAF_18   0xfeu

#define LEAF4_SELF_INITIALIZING (1u << 8)

enum topology_level { TOPOLOGY_NONE, TOPOLOGY_SMT, TOPOLOGY_CORE };

#define NOMINAL_MHZ (MACHINE_TIME_HZ / 1000000)

struct leaf {
	uint32_t reg[4];
};

#define EAX reg[X86_CPUID_EAX]
#define EBX reg[X86_CPUID_EBX]
#define ECX reg[X86_CPUID_ECX]
#define EDX reg[X86_CPUID_EDX]

static uint32_t last_basic(const struct x86_cpu *cpu)
{
	if (x86_is_amd(cpu))
		return LEAF_LAST_AMD;
	return cpu->misc_enable & MISC_ENABLE_LIMIT_CPUID ? LEAF_LAST_LIMITED : LEAF_LAST_INTEL;
}

static uint32_t last_extended(const struct x86_cpu *cpu)
{
	return x86_is_amd(cpu) ? LEAF_EXTENDED_AMD : LEAF_EXTENDED_INTEL;
}

/* How many bits of an APIC ID name one of @count. */
static unsigned id_width(unsigned count)
{
	unsigned width = 0;

	while (1u << width < count)
		width++;
	return width;
}

static void vendor_leaf(const struct x86_cpu *cpu, struct leaf *leaf)
{
	const char *name = x86_is_amd(cpu) ? "AuthenticAMD" : "GenuineIntel";

	memcpy(&leaf->EBX, name, 4);
	memcpy(&leaf->EDX, name + 4, 4);
	memcpy(&leaf->ECX, name + 8, 4);
}

/* Family and model beyond 4 bits go into the extended fields (SDM 2 CPUID, figure 3-6). */
uint32_t x86_signature(const struct x86_model *model)
{
	unsigned family = model->family < 15 ? model->family : 15;

	return model->stepping | (model->model & 0xfu) << 4 | family << 8 |
	       (uint32_t)(model->model >> 4) << 16 | (model->family - family) << 20;
}

/* The bit is clear while IA32_APIC_BASE has the local APIC disabled (SDM 3A 10.4.3). */
static bool apic_enabled(const struct x86_cpu *cpu)
{
	uint64_t base;

	return machine_msr_read(cpu->machine, cpu->index, MSR_APIC_BASE, &base, x86_time(cpu)) &&
	       (base & APIC_BASE_EN);
}

static void features_leaf(const struct x86_cpu *cpu, struct leaf *leaf)
{
	unsigned cpus = machine_cpus(cpu->machine);

	leaf->EAX = x86_signature(cpu->model);
	leaf->EBX =
		X86_CACHE_LINE / 8 << 8 | (1u << id_width(cpus)) << 16 | (uint32_t)cpu->index << 24;
	if (cpus > 1)
		leaf->EDX |= F1_EDX_HTT;
	if (!apic_enabled(cpu))
		leaf->EDX &= ~F1_EDX_APIC;
	if (cpu->cr4 & CR4_OSXSAVE)
		leaf->ECX |= F1_ECX_OSXSAVE;
}

/* Leaf 4: deterministic cache parameters. The last level is everybody's, the others a core's. */
static void cache_leaf(const struct x86_cpu *cpu, uint32_t subleaf, struct leaf *leaf)
{
	const struct x86_cache *cache;
	unsigned ids = 1u << id_width(machine_cpus(cpu->machine));

	if (subleaf >= X86_NR_CACHES)
		return;
	cache = &cpu->model->caches[subleaf];
	leaf->EAX = cache->type | (uint32_t)cache->level << 5 | LEAF4_SELF_INITIALIZING |
		    (cache->level >= 3 ? ids - 1 : 0) << 14 | (ids - 1) << 26;
	leaf->EBX = (X86_CACHE_LINE - 1) | (cache->ways - 1u) << 22;
	leaf->ECX = cache->size * 1024 / (cache->ways * X86_CACHE_LINE) - 1;
}

/* Leaf 0BH: every vCPU is a core of one package. */
static void topology_leaf(const struct x86_cpu *cpu, uint32_t subleaf, struct leaf *leaf)
{
	unsigned cpus = machine_cpus(cpu->machine);

	leaf->ECX = subleaf & 0xff;
	leaf->EDX = cpu->index;
	if (subleaf == 0) {
		leaf->EBX = 1;
		leaf->ECX |= TOPOLOGY_SMT << 8;
	} else if (subleaf == 1) {
		leaf->EAX = id_width(cpus);
		leaf->EBX = cpus;
		leaf->ECX |= TOPOLOGY_CORE << 8;
	}
}

/* Leaf 0DH: XSAVE areas. */
static void xsave_leaf(const struct x86_cpu *cpu, uint32_t subleaf, struct leaf *leaf)
{
	uint64_t offered = x86_xcr0_offered(cpu);

	if (!x86_offers(cpu, X86_FEATURE_XSAVE))
		return;
	if (subleaf == 0) {
		leaf->EAX = (uint32_t)offered;
		leaf->EBX = x86_xsave_size(cpu->xcr0);
		leaf->ECX = x86_xsave_size(offered);
		leaf->EDX = (uint32_t)(offered >> 32);
	} else if (subleaf == 1) {
		leaf->EBX = x86_offers(cpu, X86_FEATURE_XSAVEC) ? x86_xsave_size(cpu->xcr0) : 0;
	} else if (subleaf == XCR0_PKRU_BIT && (offered & XCR0_PKRU)) {
		leaf->EAX = XSAVE_PKRU_SIZE;
		leaf->EBX = XSAVE_PKRU_OFFSET;
	}
}

/* Leaf 18H, EBX by enum tlb_size: an entry of 2M is half of a 4M page. */
static const uint8_t leaf18_sizes[TLB_SIZES] = {1, 2 | 4, 8};
/* EDX by the kinds of access. */
static const uint8_t leaf18_types[TLB_BOTH + 1] = {
	[TLB_DATA] = 1, [TLB_INSTRUCTION] = 2, [TLB_BOTH] = 3};
#define LEAF18_FULLY_ASSOCIATIVE (1u << 8)

static void tlb_leaf(const struct x86_cpu *cpu, uint32_t subleaf, struct leaf *leaf)
{
	const struct tlb_array *tlbs = hw_processor(cpu->hw)->tlb;
	const struct tlb_array *tlb = &tlbs[subleaf];
	unsigned count = 0;

	while (count < TLB_MAX_ARRAYS && tlbs[count].sets)
		count++;
	if (subleaf >= count)
		return;
	if (subleaf == 0)
		leaf->EAX = count - 1;
	for (enum tlb_size size = TLB_4K; size < TLB_SIZES; size++)
		leaf->EBX |= tlb->sizes >> size & 1 ? leaf18_sizes[size] : 0;
	leaf->EBX |= (uint32_t)tlb->ways << 16;
	leaf->ECX = tlb->sets;
	leaf->EDX = leaf18_types[tlb->kinds] | (tlb->level + 1u) << 5 |
		    (tlb->sets == 1 ? LEAF18_FULLY_ASSOCIATIVE : 0);
}

static void brand_leaf(const struct x86_cpu *cpu, unsigned part, struct leaf *leaf)
{
	char text[48] = "";

	strncpy(text, cpu->model->brand, sizeof(text) - 1);
	memcpy(leaf->reg, text + 16 * (size_t)part, sizeof(leaf->reg));
}

/* APM 3 E.4.5, CPUID Fn8000_0006: associativity in 4 bits. */
static uint32_t amd_ways(unsigned sets, unsigned ways)
{
	static const struct {
		uint8_t ways, code;
	} codes[] = {{1, 1},   {2, 2},   {4, 4},   {8, 6},   {16, 8},
		     {32, 10}, {48, 11}, {64, 12}, {96, 13}, {128, 14}};
	uint32_t code = 0;

	if (sets == 1)
		return 15;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].ways <= ways)
			code = codes[i].code;
	return code;
}

/* In leaf 80000005H associativity is a number, and 255 is "fully". */
static uint32_t amd_l1_field(struct geometry tlb)
{
	return tlb.sets * tlb.ways | (tlb.sets == 1 ? 0xffu : tlb.ways) << 8;
}

/* In leaves 80000006H and 80000019H it has 4 bits. */
static uint32_t amd_field(struct geometry tlb)
{
	return tlb.sets * tlb.ways | amd_ways(tlb.sets, tlb.ways) << 12;
}

/* A register of those leaves: instructions below, data above; a level that has none says 0. */
static uint32_t amd_tlb(const struct x86_cpu *cpu, enum tlb_level level, enum tlb_size size,
			uint32_t (*field)(struct geometry tlb))
{
	uint32_t value = 0;

	for (unsigned kind = 0; kind < UMBRA_ACCESS_COUNT; kind++) {
		const struct tlb_array *tlb =
			processor_tlb(hw_processor(cpu->hw), level, kind, size);

		if (tlb)
			value |= field(tlb_array_reach(tlb, size)) << 16 * kind;
	}
	return value;
}

static uint32_t amd_l1_cache(const struct x86_cache *cache)
{
	return X86_CACHE_LINE | 1u << 8 | (uint32_t)cache->ways << 16 | cache->size << 24;
}

static void amd_l1_leaf(const struct x86_cpu *cpu, struct leaf *leaf)
{
	leaf->EAX = amd_tlb(cpu, TLB_L1, TLB_2M, amd_l1_field);
	leaf->EBX = amd_tlb(cpu, TLB_L1, TLB_4K, amd_l1_field);
	leaf->ECX = amd_l1_cache(&cpu->model->caches[0]);
	leaf->EDX = amd_l1_cache(&cpu->model->caches[1]);
}

static uint32_t l2_cache(const struct x86_cpu *cpu)
{
	const struct x86_cache *cache = &cpu->model->caches[2];

	return X86_CACHE_LINE | amd_ways(2, cache->ways) << 12 | cache->size << 16;
}

static void amd_l2_leaf(const struct x86_cpu *cpu, struct leaf *leaf)
{
	const struct x86_cache *l3 = &cpu->model->caches[3];

	leaf->EAX = amd_tlb(cpu, TLB_L2, TLB_2M, amd_field);
	leaf->EBX = amd_tlb(cpu, TLB_L2, TLB_4K, amd_field);
	leaf->ECX = l2_cache(cpu);
	leaf->EDX = X86_CACHE_LINE | amd_ways(2, l3->ways) << 12 | l3->size / 512 << 18;
}

static void basic_leaf(const struct x86_cpu *cpu, uint32_t number, uint32_t subleaf,
		       struct leaf *leaf)
{
	bool amd = x86_is_amd(cpu);

	switch (number) {
	case 0:
		leaf->EAX = last_basic(cpu);
		vendor_leaf(cpu, leaf);
		break;
	case 1: features_leaf(cpu, leaf); break;
	case 2:
		if (!amd)
			leaf->EAX = LEAF2_ROUNDS | LEAF2_CACHES_IN_LEAF_4 << 8 |
				    LEAF2_TLBS_IN_LEAF_18 << 16;
		break;
	case 4:
		if (!amd)
			cache_leaf(cpu, subleaf, leaf);
		break;
	case 7:
		if (subleaf == 0 && (cpu->cr4 & CR4_PKE))
			leaf->ECX |= F7_ECX_OSPKE;
		break;
	case 0xb: topology_leaf(cpu, subleaf, leaf); break;
	case 0xd: xsave_leaf(cpu, subleaf, leaf); break;
	case 0x15: /* the crystal counts what TSC counts, one to one */
		leaf->EAX = leaf->EBX = 1;
		leaf->ECX = (uint32_t)MACHINE_TIME_HZ;
		break;
	case 0x16: leaf->EAX = leaf->EBX = leaf->ECX = NOMINAL_MHZ; break;
	case 0x18: tlb_leaf(cpu, subleaf, leaf); break;
	default: break;
	}
}

static void extended_leaf(const struct x86_cpu *cpu, uint32_t number, struct leaf *leaf)
{
	bool amd = x86_is_amd(cpu);
	unsigned cpus = machine_cpus(cpu->machine);
	unsigned width = x86_offers(cpu, X86_FEATURE_LA57) ? 57 : 48;

	switch (number) {
	case 0x80000000:
		leaf->EAX = last_extended(cpu);
		if (amd)
			vendor_leaf(cpu, leaf);
		break;
	case 0x80000001:
		if (amd) {
			leaf->EAX = x86_signature(cpu->model);
			leaf->ECX |= cpus > 1 ? F8_ECX_CMP_LEGACY : 0;
		} else if (cpu->code_mode != X86_CODE_64) {
			/* Intel: SYSCALL is of 64-bit mode, and only there the bit is set. */
			leaf->EDX &= ~F8_EDX_SYSCALL;
		}
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004: brand_leaf(cpu, number - 0x80000002, leaf); break;
	case 0x80000005:
		if (amd)
			amd_l1_leaf(cpu, leaf);
		break;
	case 0x80000006:
		if (amd)
			amd_l2_leaf(cpu, leaf);
		else
			leaf->ECX = l2_cache(cpu);
		break;
	case 0x80000008:
		leaf->EAX = x86_maxphyaddr(cpu) | width << 8;
		if (amd)
			leaf->ECX = (cpus - 1) | id_width(cpus) << 12;
		break;
	case 0x80000019:
		leaf->EAX = amd_tlb(cpu, TLB_L1, TLB_1G, amd_field);
		leaf->EBX = amd_tlb(cpu, TLB_L2, TLB_1G, amd_field);
		break;
	default: break;
	}
}

static void feature_bits(const struct x86_cpu *cpu, uint32_t number, uint32_t subleaf,
			 struct leaf *leaf)
{
	bool repeats = number == 0x80000001 && x86_is_amd(cpu);

	for (unsigned i = 0; i < X86_NR_FEATURES; i++) {
		const struct x86_feature_row *row = &x86_features[i];

		if (!x86_offers(cpu, i))
			continue;
		if (row->leaf == number && row->subleaf == subleaf)
			leaf->reg[row->reg] |= 1u << row->bit;
		if (repeats && row->leaf == 1 && row->reg == X86_CPUID_EDX)
			leaf->EDX |= 1u << row->bit & F8_EDX_AMD_ALIASES;
	}
}

/* Most leaves have no subleaves: there ECX does not matter. */
static bool has_subleaves(uint32_t number)
{
	return number == 4 || number == 7 || number == 0xb || number == 0xd || number == 0x18;
}

static void cpuid(const struct x86_cpu *cpu, uint32_t number, uint32_t subleaf, struct leaf *leaf)
{
	bool extended = number >= LEAF_EXTENDED && number <= last_extended(cpu);

	memset(leaf, 0, sizeof(*leaf));
	if (number == LEAF_HYPERVISOR) {
		leaf->EAX = LEAF_HYPERVISOR;
		memcpy(&leaf->EBX, "UmbraUmbraUm", 12);
		return;
	}
	if (!extended && number > last_basic(cpu)) {
		if (x86_is_amd(cpu))
			return;
		number = last_basic(cpu); /* SDM 2 CPUID: beyond all ranges the last one answers */
	}
	if (!has_subleaves(number))
		subleaf = 0;
	feature_bits(cpu, number, subleaf, leaf);
	if (extended)
		extended_leaf(cpu, number, leaf);
	else
		basic_leaf(cpu, number, subleaf, leaf);
}

enum x86_result x86_exec_cpuid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct leaf leaf;

	hw_event(cpu->hw, UMBRA_EXIT_cpuid);
	cpuid(cpu, (uint32_t)cpu->gpr[X86_RAX], (uint32_t)cpu->gpr[X86_RCX], &leaf);
	cpu->gpr[X86_RAX] = leaf.EAX;
	cpu->gpr[X86_RBX] = leaf.EBX;
	cpu->gpr[X86_RCX] = leaf.ECX;
	cpu->gpr[X86_RDX] = leaf.EDX;
	return X86_DONE;
}
