/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions, one case a line on the console: what faulted with which error code, or what
 * came out. Runs anywhere; test_qemu.py compares the lines of Umbra and of QEMU. What QEMU 7.2 is
 * known to get wrong is left out here and held by the unit tests: reserved bits of CR4, paging
 * turned off in 64-bit mode (both make it loop), MSRs that do not exist, addresses that are not
 * canonical, P in page faults by reserved bits.
 */
#include "lib/runtime.h"

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS   0x1bu
#define USER_DS   0x23u
#define TSS_GDT   0x30
#define DONE      0x40 /* the vector by which programs come back */
#define NR_GATES  256

struct fault {
	uint64_t vector, code, rip, cs, rflags, rsp, ss, address;
};

struct fault fault_record;
uint64_t recover_rsp, user_rax;
static uint64_t test_page;

/* Stubs of 16 bytes; the vectors with an error code leave it, the others get 0. */
extern const char case_stubs[];
__asm__(".text\n.balign 16\n.globl case_stubs\ncase_stubs:\n.set vec, 0\n.rept 256\n.balign 16\n"
	".if !((vec == 8) || ((vec >= 10) && (vec <= 14)) || (vec == 17) || (vec == 21))\n"
	"pushq $0\n.endif\npushq $vec\njmp case_fault\n.set vec, vec + 1\n.endr\n"
	"case_fault:\n"
	"mov %rax, user_rax\n"
	"pop fault_record\npop fault_record + 8\npop fault_record + 16\npop fault_record + 24\n"
	"pop fault_record + 32\npop fault_record + 40\npop fault_record + 48\n"
	"mov %cr2, %rax\nmov %rax, fault_record + 56\n"
	"mov $0x10, %eax\nmov %eax, %ss\nmov %eax, %ds\nmov %eax, %es\n"
	"mov recover_rsp, %rsp\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\n"
	"pushq $2\npopfq\nmov $1, %eax\nret\n"
	/* bool guarded(void (*function)(void)): true when it faulted */
	".globl guarded\nguarded:\n"
	"push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rsp, recover_rsp\ncall *%rdi\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nxor %eax, %eax\nret\n"
	/* void to_user(uint64_t rip, uint64_t rsp, uint64_t rflags, uint64_t rdi) */
	".globl to_user\nto_user:\n"
	"pushq $0x23\npush %rsi\npush %rdx\npushq $0x1b\npush %rdi\n"
	"mov $0x23, %eax\nmov %eax, %ds\nmov %eax, %es\nmov %rcx, %rdi\nxor %eax, %eax\niretq\n");

bool guarded(void (*function)(void));
void to_user(uint64_t rip, uint64_t rsp, uint64_t rflags, uint64_t rdi);

struct gate {
	uint16_t low, selector;
	uint8_t ist, rights;
	uint16_t middle;
	uint32_t high, zero;
};

static struct gate idt[NR_GATES];
static uint64_t gdt[40] __attribute__((aligned(16)));
static struct {
	uint32_t zero;
	uint64_t rsp[3], reserved, ist[7];
	uint64_t reserved2;
	uint16_t reserved3, map;
} __attribute__((packed)) tss;
static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
static uint8_t user_stack[8192] __attribute__((aligned(16)));

struct pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define DESCRIPTOR(rights) (0x00cf00000000ffffull | (uint64_t)(rights) << 40)

static void set_up(void)
{
	const struct pointer gdtr = {sizeof(gdt) - 1, (uint64_t)gdt};
	const struct pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};
	uint64_t base = (uint64_t)&tss, target;
	uint64_t *tables[3] = {at(cr3_read() & PTE_ADDRESS)};

	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00affb000000ffff; /* user: 64-bit code, data */
	gdt[4] = 0x00cff3000000ffff;
	gdt[5] = 0x00cffb000000ffff; /* user: 32-bit code */
	gdt[6] = (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56 | 0x890000000067ull |
		 (sizeof(tss) - 1);
	gdt[7] = base >> 32;
	for (unsigned type = 0; type < 16; type++) /* 8 ... 23: code and data of each type */
		gdt[8 + type] = DESCRIPTOR(0x90 | type) & ~(type & 8 ? 0x0040000000000000ull : 0);
	gdt[24] = DESCRIPTOR(0x12);                /* not present */
	gdt[25] = DESCRIPTOR(0xf2);                /* DPL 3 */
	gdt[26] = DESCRIPTOR(0xd2);                /* DPL 2 */
	gdt[27] = 0x00af9b000000ffff | 1ull << 54; /* L and D */
	target = (uint64_t)case_stubs + 16 * DONE;
	/* 28: a call gate to the kernel, DPL 3; 30: the same, not present; 32: to data */
	gdt[28] = (target & 0xffff) | KERNEL_CS << 16 | 0xec0000000000ull | (target >> 16) << 48;
	gdt[30] = (target & 0xffff) | KERNEL_CS << 16 | 0x6c0000000000ull | (target >> 16) << 48;
	gdt[32] = (target & 0xffff) | KERNEL_DS << 16 | 0xec0000000000ull | (target >> 16) << 48;
	gdt[34] = DESCRIPTOR(0x82); /* an LDT */
	gdt[36] = DESCRIPTOR(0x8b); /* a busy TSS */
	gdt[38] = DESCRIPTOR(0x86); /* no type of long mode */
	tss.rsp[0] = (uint64_t)kernel_stack + sizeof(kernel_stack);
	tss.map = sizeof(tss);
	for (unsigned i = 0; i < NR_GATES; i++) {
		target = (uint64_t)case_stubs + 16ul * i;
		idt[i] = (struct gate){.low = (uint16_t)target,
				       .selector = KERNEL_CS,
				       .rights = i == DONE || i == 3 || i == 4 ? 0xee : 0x8e,
				       .middle = (uint16_t)(target >> 16),
				       .high = (uint32_t)(target >> 32)};
	}
	__asm__ volatile("mov $0xff, %%al\nout %%al, $0x21\nout %%al, $0xa1" : : : "eax");
	__asm__ volatile("lgdt %0\nlidt %1" : : "m"(gdtr), "m"(idtr));
	__asm__ volatile("ltr %w0" : : "r"(TSS_GDT));
	/* Programs share the first GiB; the pages of cases have rights of their own. */
	tables[0][0] |= PTE_U;
	tables[1] = at(tables[0][0] & PTE_ADDRESS);
	tables[1][0] |= PTE_U;
	tables[2] = at(tables[1][0] & PTE_ADDRESS);
	for (unsigned i = 0; i < 512; i++)
		tables[2][i] |= PTE_U;
	cr3_load(cr3_read());
}

static void report(bool faulted, bool with_rip)
{
	if (!faulted)
		print("ok");
	else if (fault_record.vector == 14)
		print("#PF code %lx", fault_record.code);
	else
		print("vector %lu code %lx cpl %lu", fault_record.vector, fault_record.code,
		      fault_record.cs & 3);
	if (with_rip)
		print(" flags %lx", fault_record.rflags & 0x4d5ul);
}

/* --- MSRs and control registers ----------------------------------------------------------- */

static uint32_t msr;
static uint64_t value;

static void read_msr(void)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	value = (uint64_t)high << 32 | low;
}

static void write_msr(void)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static const struct {
	uint32_t msr;
	uint64_t value;
} msr_cases[] = {
	{0xc0000080, 0xd01},
	{0xc0000080, 0xd00},
	{0xc0000081, 0x0023001000000000},
	{0xc0000081, ~0ul},
	{0xc0000082, 0xffffffff81000000},
	{0xc0000083, 0xffffffff81000000},
	{0xc0000084, 0x47700},
	{0xc0000100, 0x7fffffffffff},
	{0xc0000101, 0xffff800000000000},
	{0xc0000102, 0x1000},
	{0xc0000103, 7},
	{0x174, 0x10},
	{0x175, 0xffffffff80000000},
	{0x176, 0x1000},
	{0x277, 0x0007040600070406},
	{0x277, 0x0007010600070106},
	{0x277, 0},
	{0x200, 0x6},
	{0x201, 0x80000800},
	{0x20e, 0x80000000},
	{0x20f, 0xc0000800},
	{0x250, 0x0606060606060606},
	{0x258, 0},
	{0x26f, 0x0505050505050505},
	{0x2ff, 0xc06},
};

static void msrs(void)
{
	for (unsigned i = 0; i < sizeof(msr_cases) / sizeof(msr_cases[0]); i++) {
		uint64_t old;
		bool faulted;

		msr = msr_cases[i].msr;
		if (guarded(read_msr)) {
			print("msr %lx does not exist\n", (uint64_t)msr);
			continue;
		}
		old = value;
		value = msr_cases[i].value;
		print("wrmsr %lx %lx: ", (uint64_t)msr, value);
		faulted = guarded(write_msr);
		report(faulted, false);
		guarded(read_msr);
		print(" = %lx\n", value);
		value = old;
		guarded(write_msr);
	}
}

static void write_cr0(void)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(value));
}

static void write_cr8(void)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(value));
}

static void write_cr4(void)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value));
}

static uint64_t cr0(void)
{
	uint64_t result;

	__asm__ volatile("mov %%cr0, %0" : "=r"(result));
	return result;
}

static void control_registers(void)
{
	static const uint64_t flips[] = {0,       1 << 1,  1 << 2,  1 << 3,   1 << 5,
					 1 << 16, 1 << 18, 1 << 30, 3ul << 29};
	uint64_t old = cr0(), cr4;

	for (unsigned i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
		value = old ^ flips[i];
		print("mov cr0 ^%lx: ", flips[i]);
		report(guarded(write_cr0), false);
		print(" = %lx\n", cr0());
		value = old;
		guarded(write_cr0);
	}
	for (value = 0; value < 16; value += 5) {
		uint64_t was;

		print("mov cr8 %lx: ", value);
		report(guarded(write_cr8), false);
		__asm__ volatile("mov %%cr8, %0" : "=r"(was));
		print(" = %lx\n", was);
	}
	value = 0;
	guarded(write_cr8);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	for (unsigned bit = 2; bit < 11; bit++) {
		if (bit == 5 || bit == 8)
			continue;
		value = cr4 ^ 1ul << bit;
		print("mov cr4 ^%lx: ", 1ul << bit);
		report(guarded(write_cr4), false);
		print("\n");
		value = cr4;
		guarded(write_cr4);
	}
	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	print("cr4 = %lx\n", value);
}

/* --- descriptors -------------------------------------------------------------------------- */

static uint16_t selector;

#define LOADER(name, code)                                                                         \
	static void name(void)                                                                     \
	{                                                                                          \
		__asm__ volatile(code : : "a"((uint32_t)selector));                                \
	}
LOADER(load_ds, "mov %%eax, %%ds")
LOADER(load_ss, "mov %%eax, %%ss")
LOADER(load_fs, "mov %%eax, %%fs")
LOADER(load_ldt, "lldt %%ax")
LOADER(load_tr, "ltr %%ax")

static const struct {
	const char *name;
	void (*load)(void);
} loaders[] = {
	{"ds", load_ds}, {"ss", load_ss}, {"fs", load_fs}, {"ldtr", load_ldt}, {"tr", load_tr},
};

static void descriptors(void)
{
	for (unsigned i = 1; i < 40; i++) {
		for (unsigned rpl = 0; rpl < 4; rpl += 3) {
			uint32_t rights = 0, limit = 0;
			bool lar, lsl, verr, verw;

			selector = (uint16_t)(i * 8 + rpl);
			if (i == 6 || i == 7) /* the TSS in use */
				continue;
			for (unsigned j = 0; j < sizeof(loaders) / sizeof(loaders[0]); j++) {
				print("%s %lx: ", loaders[j].name, (uint64_t)selector);
				report(guarded(loaders[j].load), false);
				print("\n");
				if (j == 4) { /* back to ours, which is busy */
					gdt[6] &= ~(2ull << 40);
					__asm__ volatile("ltr %w0" : : "r"(TSS_GDT));
				}
				__asm__ volatile("mov %0, %%ss\nmov %0, %%ds" : : "r"(KERNEL_DS));
			}
			__asm__ volatile("lar %3, %0\nsetz %1"
					 : "+r"(rights), "=q"(lar), "+m"(limit)
					 : "r"((uint32_t)selector)
					 : "cc");
			limit = 0;
			__asm__ volatile("lsl %2, %0\nsetz %1"
					 : "+r"(limit), "=q"(lsl)
					 : "r"((uint32_t)selector)
					 : "cc");
			__asm__ volatile("verr %w1\nsetz %0" : "=q"(verr) : "r"(selector) : "cc");
			__asm__ volatile("verw %w1\nsetz %0" : "=q"(verw) : "r"(selector) : "cc");
			print("look at %lx: lar %lu %lx lsl %lu %lx verr %lu verw %lu\n",
			      (uint64_t)selector, (uint64_t)lar, (uint64_t)(rights & 0xf0ff00),
			      (uint64_t)lsl, (uint64_t)limit, (uint64_t)verr, (uint64_t)verw);
		}
	}
}

/* --- programs ----------------------------------------------------------------------------- */

static uint64_t user_rip, user_flags = 2, user_argument;

static void start_user(void)
{
	to_user(user_rip, (uint64_t)user_stack + sizeof(user_stack), user_flags, user_argument);
}

#define USER(symbol, text)                                                                         \
	extern const char symbol[];                                                                \
	__asm__(".text\n" #symbol ":\n" text "\nint $0x40\n")

USER(user_nothing, "nop");
USER(user_hlt, "hlt");
USER(user_cli, "cli");
USER(user_sti, "sti");
USER(user_in, "in $0x80, %al");
USER(user_out, "out %al, %dx");
USER(user_cr0, "mov %cr0, %rax");
USER(user_to_cr3, "mov %rax, %cr3");
USER(user_cr8, "mov %cr8, %rax");
USER(user_dr7, "mov %dr7, %rax");
USER(user_clts, "clts");
USER(user_lmsw, "lmsw %ax");
USER(user_invlpg, "invlpg (%rdi)");
USER(user_lgdt, "lgdt (%rsp)");
USER(user_lidt, "lidt (%rsp)");
USER(user_lldt, "lldt %ax");
USER(user_ltr, "ltr %ax");
USER(user_wbinvd, "wbinvd");
USER(user_invd, "invd");
USER(user_rdmsr, "mov $0xc0000080, %ecx\nrdmsr");
USER(user_wrmsr, "mov $0xc0000080, %ecx\nwrmsr");
USER(user_swapgs, "swapgs");
USER(user_sysret, "sysretq");
USER(user_sysexit, "sysexitq");
USER(user_ud2, "ud2");
USER(user_int3, "int3");
USER(user_int_3, "int $3");
USER(user_int_13, "int $13");
USER(user_int_80, "int $0x80");
USER(user_div, "xor %ecx, %ecx\ndiv %ecx");
USER(user_iret_kernel, "pushq $0x10\npush %rsp\npushfq\npushq $8\npushq %rdi\niretq");
USER(user_popf, "pushq $0x3202\npopfq\npushfq\npop %rax");
USER(user_ds_kernel, "mov $0x10, %eax\nmov %eax, %ds");
USER(user_ss_kernel, "mov $0x10, %eax\nmov %eax, %ss");
USER(user_ss_null, "xor %eax, %eax\nmov %eax, %ss");
USER(user_gs_conforming, "mov $0x78, %eax\nmov %eax, %gs");
USER(user_call_gate, "lcall *1f(%rip)\n1: .long 0\n.word 0xe3");
USER(user_call_gate_absent, "lcall *1f(%rip)\n1: .long 0\n.word 0xf3");
USER(user_call_gate_data, "lcall *1f(%rip)\n1: .long 0\n.word 0x103");
USER(user_jmp_gate, "ljmp *1f(%rip)\n1: .long 0\n.word 0xe3");
USER(user_jmp_kernel, "ljmp *1f(%rip)\n1: .long 0\n.word 8");
USER(user_lret_kernel, "pushq $8\npushq %rdi\nlretq");
USER(user_lret_32, "pushq $0x2b\nleaq 1f(%rip), %rax\npushq %rax\nlretq\n1:");
USER(user_not_canonical, "mov $0x800000000000, %rax\nmov (%rax), %rax");
USER(user_stack_not_canonical, "mov $0x800000000000, %rsp\npush %rax");
USER(user_step, "pushfq\norl $0x100, (%rsp)\npopfq\nnop");
USER(user_read, "mov (%rdi), %rax");
USER(user_write, "movb $0, (%rdi)");
USER(user_rmw, "lock incb (%rdi)");
USER(user_fetch, "jmp *%rdi");

static const struct {
	const char *name, *code;
} programs[] = {
#define ROW(name)                                                                                  \
	{                                                                                          \
#name, user_##name                                                                 \
	}
	ROW(nothing),
	ROW(hlt),
	ROW(cli),
	ROW(sti),
	ROW(in),
	ROW(out),
	ROW(cr0),
	ROW(to_cr3),
	ROW(cr8),
	ROW(dr7),
	ROW(clts),
	ROW(lmsw),
	ROW(invlpg),
	ROW(lgdt),
	ROW(lidt),
	ROW(lldt),
	ROW(ltr),
	ROW(wbinvd),
	ROW(invd),
	ROW(rdmsr),
	ROW(wrmsr),
	ROW(swapgs),
	ROW(sysret),
	ROW(sysexit),
	ROW(ud2),
	ROW(int3),
	ROW(int_3),
	ROW(int_13),
	ROW(int_80),
	ROW(div),
	ROW(iret_kernel),
	ROW(popf),
	ROW(ds_kernel),
	ROW(ss_kernel),
	ROW(ss_null),
	ROW(gs_conforming),
	ROW(call_gate),
	ROW(call_gate_absent),
	ROW(call_gate_data),
	ROW(jmp_gate),
	ROW(jmp_kernel),
	ROW(lret_kernel),
	ROW(lret_32),
	ROW(not_canonical),
	ROW(stack_not_canonical),
	ROW(step),
};

static void run_program(const char *name, const char *code, uint64_t flags)
{
	user_rip = (uint64_t)code;
	user_flags = flags;
	print("program %s, flags %lx: ", name, flags);
	report(guarded(start_user), true);
	print(" rip +%lx ss %lx\n", fault_record.rip - user_rip, fault_record.ss);
}

static void programs_run(void)
{
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		for (uint64_t iopl = 0; iopl < 2; iopl++)
			run_program(programs[i].name, programs[i].code,
				    2 | iopl << 12 | iopl << 13);
}

/* --- page faults -------------------------------------------------------------------------- */

static void page_faults(void)
{
	static const struct {
		const char *name;
		uint64_t flags;
	} entries[] = {
		{"absent", 0},
		{"kernel read", PTE_P},
		{"kernel write", PTE_P | PTE_W},
		{"user read", PTE_P | PTE_U},
		{"user write", PTE_P | PTE_U | PTE_W},
		{"user read, no execute", PTE_P | PTE_U | PTE_NX},
		{"user write, no execute", PTE_P | PTE_U | PTE_W | PTE_NX},
		{"kernel write, no execute", PTE_P | PTE_W | PTE_NX},
		{"absent, all else set", PTE_U | PTE_W | PTE_NX | PTE_A | PTE_D},
	};
	static const struct {
		const char *name, *code;
	} accesses[] = {
		{"read", user_read},
		{"write", user_write},
		{"rmw", user_rmw},
		{"fetch", user_fetch},
	};
	uint64_t address = WORK_AREA, root = cr3_read() & PTE_ADDRESS;
	uint64_t *entry = table_entry(root, address);
	uint64_t *upper = at(root);

	upper[1] |= PTE_U;
	for (uint64_t table = upper[1] & PTE_ADDRESS, level = 0; level < 2; level++) {
		uint64_t *first = at(table);

		*first |= PTE_U;
		table = *first & PTE_ADDRESS;
	}
	test_page = page_alloc();
	*(uint8_t *)at(test_page) = 0xcd; /* int 0x40 */
	for (unsigned i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		for (unsigned j = 0; j < 4; j++) {
			*(uint16_t *)at(test_page) = 0x40cd;
			*entry = test_page | entries[i].flags;
			invlpg(address);
			user_rip = (uint64_t)accesses[j].code;
			user_flags = 2;
			user_argument = address;
			print("page %s, %s: ", entries[i].name, accesses[j].name);
			report(guarded(start_user), false);
			print(" entry %lx\n", *entry ^ test_page);
		}
	}
}

static bool run(uint64_t *checksum)
{
	set_up();
	msrs();
	control_registers();
	descriptors();
	programs_run();
	page_faults();
	*checksum = 0;
	return true;
}

static const struct parameter parameters[] = {{0}};

const struct guest guest = {"cases", parameters, run, false};
