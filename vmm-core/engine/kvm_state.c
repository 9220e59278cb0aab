/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a vCPU of KVM's is and how it begins; its registers once it stands still. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm.h"
#include "paging/entry.h"
#include "paging/hw.h"
#include "x86/control.h"
#include "x86/flags.h"

#define CPUID_ENTRIES 256u

/* --- CPUID ------------------------------------------------------------------------------------ */

#define LEAF_VERSION         0x1u
#define LEAF_CACHE           0x4u
#define LEAF_POWER           0x6u
#define LEAF_PMU             0xau
#define LEAF_TOPOLOGY        0xbu
#define LEAF_TOPOLOGY2       0x1fu
#define LEAF_KVM             0x40000001u
#define LEAF_ADDRESS         0x80000008u
#define LEAF_AMD             0x8000001eu

#define VERSION_X2APIC       (1u << 21) /* ECX */
#define VERSION_TSC_DEADLINE (1u << 24)
#define VERSION_HYPERVISOR   (1u << 31)
#define VERSION_HTT          (1u << 28) /* EDX */
#define POWER_EPB            (1u << 3)  /* ECX: IA32_ENERGY_PERF_BIAS */
#define CACHE_CORES_SHIFT    26         /* EAX: cores of the package less one */
#define TOPOLOGY_SMT         1u         /* ECX 15:8 */
#define TOPOLOGY_CORE        2u

/* Features of KVM's own that stand on its local APIC: asynchronous page faults, EOIs, IPIs. */
#define KVM_FEATURES_OF_APIC                                                                       \
	((1u << 4) | (1u << 6) | (1u << 7) | (1u << 10) | (1u << 11) | (1u << 14))

/* So many bits number as many vCPUs. */
static unsigned bits_for(unsigned nr)
{
	unsigned bits = 0;

	while (1u << bits < nr)
		bits++;
	return bits;
}

/* One package of cores that have one thread each: a core is a vCPU. */
static void set_topology(struct kvm_cpuid_entry2 *entry, unsigned index, unsigned nr)
{
	bool cores = entry->index == 1;

	entry->eax = cores ? bits_for(nr) : 0;
	entry->ebx = entry->index == 0 ? 1 : cores ? nr : 0;
	entry->ecx = entry->index;
	if (entry->index < 2)
		entry->ecx |= (cores ? TOPOLOGY_CORE : TOPOLOGY_SMT) << 8;
	entry->edx = index;
}

/* What the host's KVM can, made what this vCPU is. */
static void adapt(struct kvm_cpuid_entry2 *entry, const struct kvm_vcpu *vcpu, bool tsc_deadline)
{
	unsigned nr = vcpu->guest->nr_cpus, index = vcpu->index;
	bool own_chips = vcpu->guest->kvm->own_chips;

	switch (entry->function) {
	case LEAF_VERSION:
		entry->ebx = (entry->ebx & 0xffff) | nr << 16 | index << 24;
		entry->ecx |= VERSION_HYPERVISOR;
		entry->ecx &= ~(own_chips ? VERSION_X2APIC | VERSION_TSC_DEADLINE : 0);
		entry->ecx |= tsc_deadline && !own_chips ? VERSION_TSC_DEADLINE : 0;
		entry->edx = nr > 1 ? entry->edx | VERSION_HTT : entry->edx & ~VERSION_HTT;
		break;
	case LEAF_CACHE:
		entry->eax &= 0x3fff; /* nobody shares it */
		entry->eax |= (nr - 1) << CACHE_CORES_SHIFT;
		break;
	case LEAF_POWER: entry->ecx &= ~POWER_EPB; break;
	case LEAF_PMU: entry->eax = entry->ebx = entry->ecx = entry->edx = 0; break;
	case LEAF_TOPOLOGY:
	case LEAF_TOPOLOGY2: set_topology(entry, index, nr); break;
	case LEAF_KVM: entry->eax &= own_chips ? ~KVM_FEATURES_OF_APIC : ~0u; break;
	case LEAF_ADDRESS: entry->ecx = nr - 1; break; /* AMD's; Intel has nothing there */
	case LEAF_AMD:
		entry->eax = entry->ebx = index; /* APIC ID; core ID, one thread each */
		entry->ecx = 0;
		break;
	default: break;
	}
}

static uint8_t maxphyaddr(const struct kvm_cpuid2 *cpuid)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == LEAF_ADDRESS)
			return (uint8_t)cpuid->entries[i].eax;
	}
	return 36;
}

/* --- MSRs ------------------------------------------------------------------------------------- */

#define MISC_ENABLE_STRINGS (1ull << 0)
#define MSR_MTRR_BASE_0     0x200u
#define MSR_MTRR_MASK_0     0x201u
#define MSR_MTRR_FIX_A0000  0x259u
#define MTRR_ENABLED        (1ull << 11)
#define MTRR_FIXED          (1ull << 10)
#define MTRR_VALID          (1ull << 11)
#define TYPE_UC             0ull
#define TYPE_WB             6ull
#define ALL_WB              0x0606060606060606ull
#define DEVICES_BELOW_4G    0xc0000000ull

/* As firmware leaves them, and as the soft engine's CPU begins (x86/memory_type.c). */
static void set_msrs(const struct kvm_vcpu *vcpu, uint8_t width)
{
	static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	const uint64_t others[][2] = {
		{MSR_MISC_ENABLE, MISC_ENABLE_STRINGS},
		{MSR_MTRR_BASE_0, DEVICES_BELOW_4G | TYPE_UC},
		{MSR_MTRR_MASK_0, (((1ull << width) - 1) & ~0x3fffffffull) | MTRR_VALID},
		{MSR_MTRR_DEF_TYPE, MTRR_ENABLED | MTRR_FIXED | TYPE_WB},
	};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = {.head = {.nmsrs = 1}};

	/* One by one: what this KVM does not have keeps what it has. */
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		one.entry = (struct kvm_msr_entry){
			.index = fixed[i], .data = fixed[i] == MSR_MTRR_FIX_A0000 ? 0 : ALL_WB};
		(void)ioctl(vcpu->fd, KVM_SET_MSRS, &one);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		one.entry = (struct kvm_msr_entry){.index = (uint32_t)others[i][0],
						   .data = others[i][1]};
		(void)ioctl(vcpu->fd, KVM_SET_MSRS, &one);
	}
}

int kvm_set_model(int device, struct kvm_vcpu *vcpu, struct umbra_error *ret_error)
{
	struct kvm_cpuid2 *cpuid;
	bool tsc_deadline = ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	int error = 0;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return umbra_error_set(ret_error, -ENOMEM, vcpu->guest->name, NULL,
				       "out of memory");
	cpuid->nent = CPUID_ENTRIES;
	if (ioctl(device, KVM_GET_SUPPORTED_CPUID, cpuid))
		error = -errno;
	for (uint32_t i = 0; i < cpuid->nent && !error; i++)
		adapt(&cpuid->entries[i], vcpu, tsc_deadline);
	if (!error && ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		error = -errno;
	if (!error)
		set_msrs(vcpu, maxphyaddr(cpuid));
	free(cpuid);
	if (error)
		return umbra_error_set(ret_error, error, vcpu->guest->name, "CPUID", "%s",
				       strerror(-error));
	return 0;
}

/* --- registers -------------------------------------------------------------------------------- */

/* SDM 3A 3.4.5.1: read/write data, execute/read code, both accessed; a busy TSS. */
#define TYPE_DATA 3u
#define TYPE_CODE 11u
#define TYPE_TSS  11u

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool wide)
{
	return (struct kvm_segment){.limit = UINT32_MAX,
				    .selector = selector,
				    .type = type,
				    .present = 1,
				    .s = 1,
				    .g = 1,
				    .l = wide,
				    .db = !wide};
}

int kvm_set_entry(struct kvm_vcpu *vcpu, const struct boot_entry *entry)
{
	struct kvm_regs regs = {.rip = entry->rip,
				.rsp = entry->rsp,
				.rax = entry->rax,
				.rbx = entry->rbx,
				.rsi = entry->rsi,
				.rflags = RFLAGS_ONE};
	struct kvm_segment data = flat(entry->ds, TYPE_DATA, false);
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = flat(entry->cs, TYPE_CODE, entry->long_mode);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.ldt = (struct kvm_segment){.unusable = 1, .type = 2};
	sregs.tr = (struct kvm_segment){.limit = 0xffff, .type = TYPE_TSS, .present = 1};
	sregs.gdt = (struct kvm_dtable){.base = entry->gdt_base, .limit = entry->gdt_limit};
	sregs.cr0 = CR0_PE | CR0_ET;
	if (entry->long_mode) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = entry->cr3;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

/*
 * The full tag word from FXSAVE's (SDM 1 10.5.1.1): KVM keeps one bit a register, which says that
 * it is not empty. @status: its top is ST(0), and the tags are those of physical registers.
 */
static uint16_t full_tags(const struct kvm_fpu *fpu)
{
	uint16_t tags = 0;

	for (unsigned physical = 0; physical < 8; physical++) {
		unsigned st = (physical - (fpu->fsw >> 11 & 7)) & 7, tag = 0;
		uint64_t significand;
		uint16_t exponent;

		memcpy(&significand, fpu->fpr[st], sizeof(significand));
		memcpy(&exponent, fpu->fpr[st] + sizeof(significand), sizeof(exponent));
		exponent &= 0x7fff;
		if (!(fpu->ftwx >> physical & 1))
			tag = 3; /* empty */
		else if (!exponent && !significand)
			tag = 1; /* zero */
		else if (!exponent || exponent == 0x7fff || !(significand >> 63))
			tag = 2; /* special */
		tags |= (uint16_t)(tag << 2 * physical);
	}
	return tags;
}

static void get_fpu(const struct kvm_vcpu *vcpu, struct umbra_registers *ret)
{
	struct kvm_fpu fpu;

	if (ioctl(vcpu->fd, KVM_GET_FPU, &fpu))
		return;
	for (unsigned i = 0; i < 16; i++)
		memcpy(ret->xmm[i], fpu.xmm[i], sizeof(ret->xmm[i]));
	ret->mxcsr = fpu.mxcsr;
	ret->fcw = fpu.fcw;
	ret->fsw = fpu.fsw;
	ret->ftw = full_tags(&fpu);
	ret->fop = fpu.last_opcode;
	ret->fip = fpu.last_ip;
	ret->fdp = fpu.last_dp;
	for (unsigned i = 0; i < 8; i++) {
		memcpy(&ret->st[i].significand, fpu.fpr[i], sizeof(ret->st[i].significand));
		memcpy(&ret->st[i].exponent, fpu.fpr[i] + sizeof(ret->st[i].significand),
		       sizeof(ret->st[i].exponent));
	}
}

void kvm_get_registers(const struct kvm_vcpu *vcpu, struct umbra_registers *ret)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	memset(ret, 0, sizeof(*ret));
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return;
	*ret = (struct umbra_registers){
		.gpr = {regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi,
			regs.rdi, regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13,
			regs.r14, regs.r15},
		.rip = regs.rip,
		.rflags = regs.rflags,
		.cr0 = sregs.cr0,
		.cr2 = sregs.cr2,
		.cr3 = sregs.cr3,
		.cr4 = sregs.cr4,
		.efer = sregs.efer,
		.selector = {sregs.es.selector, sregs.cs.selector, sregs.ss.selector,
			     sregs.ds.selector, sregs.fs.selector, sregs.gs.selector},
		.fs_base = sregs.fs.base,
		.gs_base = sregs.gs.base,
	};
	get_fpu(vcpu, ret);
}

/* As x86_mode_name() calls them. */
static const char *mode_name(const struct kvm_sregs *sregs, uint64_t rflags)
{
	if (!(sregs->cr0 & CR0_PE))
		return sregs->cs.db ? "32-bit real" : "real";
	if (sregs->efer & EFER_LMA) {
		if (sregs->cs.l)
			return "64-bit";
		return sregs->cs.db ? "compatibility" : "16-bit compatibility";
	}
	if (rflags & RFLAGS_VM)
		return "virtual-8086";
	return sregs->cs.db ? "32-bit protected" : "16-bit protected";
}

void kvm_get_place(const struct kvm_vcpu *vcpu, struct umbra_end *end)
{
	struct kvm_translation where;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	size_t len;

	end->nr_bytes = 0;
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return;
	end->rip = regs.rip;
	end->cpu_mode = mode_name(&sregs, regs.rflags);
	where = (struct kvm_translation){.linear_address = regs.rip};
	if (!sregs.cs.l || !(sregs.efer & EFER_LMA))
		where.linear_address = (uint32_t)(regs.rip + sregs.cs.base);
	if (ioctl(vcpu->fd, KVM_TRANSLATE, &where) || !where.valid)
		return;
	/* Only of the page in which it begins. */
	len = PAGE_SIZE - (where.physical_address & PAGE_MASK);
	if (len > sizeof(end->bytes))
		len = sizeof(end->bytes);
	if (!memory_read(&vcpu->guest->memory, where.physical_address, end->bytes, len))
		end->nr_bytes = (uint8_t)len;
}

/* SDM 3A table 9-1. */
int kvm_set_init(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs = {.rip = 0xfff0, .rflags = RFLAGS_ONE};
	struct kvm_segment data = {.limit = UINT16_MAX, .type = TYPE_DATA, .present = 1, .s = 1};
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cs.selector = 0xf000;
	sregs.cs.base = 0xffff0000;
	sregs.cs.type = TYPE_CODE;
	sregs.ldt = (struct kvm_segment){.limit = UINT16_MAX, .type = 2, .present = 1};
	sregs.tr = (struct kvm_segment){.limit = UINT16_MAX, .type = TYPE_TSS, .present = 1};
	sregs.gdt = sregs.idt = (struct kvm_dtable){.limit = UINT16_MAX};
	sregs.cr0 = (sregs.cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	sregs.cr2 = sregs.cr3 = sregs.cr4 = sregs.efer = 0;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

int kvm_set_sipi(struct kvm_vcpu *vcpu, uint8_t vector)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_GET_REGS, &regs))
		return -errno;
	sregs.cs.selector = (uint16_t)(vector << 8);
	sregs.cs.base = (uint64_t)vector << 12;
	regs.rip = 0;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}
