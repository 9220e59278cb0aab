/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that makes up code, page tables and registers as it runs and jumps there, for ever: in
 * kernel and in user mode, with a timer that brings it back from loops. Every exception and
 * interrupt takes it back too, on a stack of its own, to known control registers and tables. What
 * it ruins for good (the tables that map it, in most cases) ends it.
 *
 * It wants the instructions clock: where writing a table exits, the next interrupt would be due
 * before its code has begun.
 *
 * rounds=0   jumps (0: endless)
 * seed=1     of all of it
 */
#include "lib/ports.h"
#include "lib/runtime.h"

enum { KERNEL_CS = 0x08, KERNEL_DS = 0x10, USER_CS = 0x1b, USER_DS = 0x23, TSS = 0x28 };
enum {
	NR_TABLES = 12,
	NR_DATA = 8,
	NR_CODE = 4,
	STACK = 16384,
	INTERRUPT_GATE = 0x8e,
	DPL_3 = 0x60
};

static uint64_t rounds, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* What the way back sets; the assembly below reads it. */
uint64_t wild_cr0, wild_cr3, wild_cr4, wild_efer;
struct table_register wild_gdtr, wild_idtr;
uint8_t wild_stack[STACK] __attribute__((aligned(16)));
_Noreturn void wild_turn(void);
extern const uint8_t wild_back[];

/* What IRETQ and POP take: registers in the order of their numbers but RSP, then its frame. */
struct jump {
	uint64_t registers[15];
	uint64_t rip, cs, rflags, rsp, ss;
};
_Noreturn void wild_jump(const struct jump *jump);

__asm__(".globl wild_back, wild_jump\n"
	"wild_back:\n"
	"	cld\n"
	"	movl $wild_stack + 16384, %esp\n"
	"	movq wild_cr3, %rax\n"
	"	movq %rax, %cr3\n"
	"	movq wild_cr4, %rax\n"
	"	movq %rax, %cr4\n"
	"	movq wild_cr0, %rax\n"
	"	movq %rax, %cr0\n"
	"	lgdt wild_gdtr\n"
	"	lidt wild_idtr\n"
	"	movl $0x10, %eax\n"
	"	movl %eax, %ds\n"
	"	movl %eax, %es\n"
	"	movl %eax, %ss\n"
	"	movl $0xc0000080, %ecx\n"
	"	movl wild_efer, %eax\n"
	"	xorl %edx, %edx\n"
	"	wrmsr\n"
	"	call wild_turn\n"
	"wild_jump:\n"
	"	movq %rdi, %rsp\n"
	"	popq %rax\n"
	"	popq %rcx\n"
	"	popq %rdx\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	popq %rsi\n"
	"	popq %rdi\n"
	"	popq %r8\n"
	"	popq %r9\n"
	"	popq %r10\n"
	"	popq %r11\n"
	"	popq %r12\n"
	"	popq %r13\n"
	"	popq %r14\n"
	"	popq %r15\n"
	"	iretq\n");

static struct rng rng;
static uint64_t tables, data, code; /* physical, of the first page each, in one 2M page */
static uint64_t user_tables;
static uint64_t turns;

static uint64_t gdt[7] __attribute__((aligned(8)));
static uint64_t idt[512] __attribute__((aligned(8)));
static struct {
	uint32_t reserved;
	uint64_t rsp[3];
	uint64_t reserved_2;
	uint64_t ist[7];
	uint64_t reserved_3;
	uint16_t reserved_4, io_map;
} __attribute__((packed)) tss;

static uint64_t below(uint64_t n)
{
	return (rng_next(&rng) >> 8) % n;
}

/* A physical address that matters to somebody. */
static uint64_t place(void)
{
	static const uint64_t devices[] = {0xfee00000, 0xfec00000, 0xb8000, 0xe0000, 0xfed00000};

	switch (below(10)) {
	case 0: return devices[below(5)];
	case 1: return data + below(NR_DATA) * PAGE_SIZE;
	case 2: return code + below(NR_CODE) * PAGE_SIZE;
	case 3: return below(20) ? user_tables + below(3) * PAGE_SIZE : wild_cr3;
	case 4: return rng_next(&rng) & PTE_ADDRESS;     /* beyond RAM */
	case 5: return (1024 + below(1024)) * PAGE_SIZE; /* RAM, but not the program */
	default: return tables + below(NR_TABLES) * PAGE_SIZE;
	}
}

static uint64_t entry(void)
{
	uint64_t flags = rng_next(&rng) & 0xfff;

	if (below(4))
		flags |= PTE_P | PTE_W | PTE_U;
	if (below(4))
		flags &= ~PTE_PS;
	if (!below(8))
		flags |= PTE_NX;
	return below(50) ? place() | flags : rng_next(&rng);
}

/* Tables, data and code for the user at WORK_AREA, as they are before they are changed. */
static void map_for_user(void)
{
	uint64_t *root = at(wild_cr3), *entries = at(user_tables);
	const uint64_t all = PTE_P | PTE_W | PTE_U;

	root[WORK_AREA >> 39] = user_tables | all;
	entries[0] = (user_tables + PAGE_SIZE) | all;
	entries += 512;
	entries[tables >> 21] = (user_tables + 2 * PAGE_SIZE) | all;
	entries += 512;
	for (unsigned i = 0; i < NR_TABLES + NR_DATA + NR_CODE; i++)
		entries[i] = (tables + i * PAGE_SIZE) | all;
}

/* All but the first entry of the root, which maps this program, may lead anywhere. */
static void change_tables(void)
{
	for (uint64_t n = below(12); n; n--) {
		uint64_t *table = at(tables + below(NR_TABLES) * PAGE_SIZE);

		table[below(512)] = entry();
	}
	for (uint64_t n = below(4); n; n--)
		((uint64_t *)at(wild_cr3))[1 + below(511)] = entry();
	if (below(2))
		cr3_load(wild_cr3);
}

/* An operand: an address in the wild tables or that of something itself, a port, a number. */
static uint64_t value(void)
{
	switch (below(8)) {
	case 0: return rng_next(&rng);
	case 1: return below(0x1000);
	case 2: return place() + below(PAGE_SIZE);
	case 3: return place();
	case 4: return 0xc0000080 + below(8);
	default: return (below(512) << 39 | (rng_next(&rng) & 0x7fffffffff)) << 16 >> 16;
	}
}

struct snippet {
	const char *bytes;
	unsigned len;
};
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* What a guest may do a thousand times and live. */
static const struct snippet snippets[] = {
	BYTES("\x0f\x01\x38"),             /* invlpg [rax] */
	BYTES("\x0f\x20\xd8\x0f\x22\xd8"), /* mov rax, cr3; mov cr3, rax */
	BYTES("\x0f\x23\xf8"),             /* mov dr7, rax */
	BYTES("\x0f\x32"),                 /* rdmsr */
	BYTES("\xec"),                     /* in, out, ins, outs */
	BYTES("\xee"),
	BYTES("\xed"),
	BYTES("\xef"),
	BYTES("\xf3\x6e"),
	BYTES("\xf3\x6c"),
	BYTES("\x0f\xae\x00"), /* fxsave, fxrstor, xsave, xrstor */
	BYTES("\x0f\xae\x08"),
	BYTES("\x0f\xae\x20"),
	BYTES("\x0f\xae\x28"),
	BYTES("\x0f\x01\xd1"),         /* xsetbv */
	BYTES("\xf0\x48\x0f\xc7\x0b"), /* lock cmpxchg16b [rbx] */
	BYTES("\xf3\x48\xab"),         /* rep stosq, movsb, cmpsb */
	BYTES("\xf3\xa4"),
	BYTES("\xf3\xa6"),
	BYTES("\x48\x89\x03"), /* mov, add, xadd; to memory and from it */
	BYTES("\x48\x8b\x03"),
	BYTES("\x48\x01\x06"),
	BYTES("\xf0\x48\x0f\xc1\x07"),
	BYTES("\x48\xc7\x00\x01\x00\x00\x00"),
	BYTES("\x0f\x05"), /* syscall, sysret, sysenter, iretq */
	BYTES("\x48\x0f\x07"),
	BYTES("\x0f\x34"),
	BYTES("\x48\xcf"),
	BYTES("\xf4"), /* hlt, sti */
	BYTES("\xfb"),
	BYTES("\x8e\xd8"), /* mov ds, eax; mov fs, eax; jmp far [rbx] */
	BYTES("\x8e\xe0"),
	BYTES("\xff\x2b"),
	BYTES("\xcd\x80"), /* int 0x80, ud2 */
	BYTES("\x0f\x0b"),
	BYTES("\x66\x0f\x38\x82\x03"), /* invpcid rax, [rbx] */
	BYTES("\x0f\x01\xca"),         /* clac, stac, rdpkru, wrpkru */
	BYTES("\x0f\x01\xcb"),
	BYTES("\x0f\x01\xee"),
	BYTES("\x0f\x01\xef"),
	BYTES("\xd9\x30"), /* fnstenv, frstor, fld */
	BYTES("\xdd\x20"),
	BYTES("\xdb\x2b"),
	BYTES("\x0f\x6f\x03"), /* movq mm0, [rbx]; cpuid */
	BYTES("\x0f\xa2"),
	BYTES("\xeb\xfe"), /* jmp . and further on */
	BYTES("\xeb\x10"),
};

/* What may well be the last that it does. */
static const struct snippet ruin[] = {
	BYTES("\x0f\x22\xe0"), /* mov cr4, rax; mov cr0, rax; mov cr3, rax; mov cr8, rax */
	BYTES("\x0f\x22\xc0"), BYTES("\x0f\x22\xd8"), BYTES("\x44\x0f\x22\xc0"),
	BYTES("\x0f\x30"),     /* wrmsr */
	BYTES("\x0f\x00\xd0"), /* lldt, ltr, lgdt, lidt */
	BYTES("\x0f\x00\xd8"), BYTES("\x0f\x01\x10"), BYTES("\x0f\x01\x18"),
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t *put(uint8_t *to, const struct snippet *snippet)
{
	for (unsigned i = 0; i < snippet->len; i++)
		*to++ = (uint8_t)snippet->bytes[i];
	return to;
}

static void make_code(uint8_t *to, uint8_t *end)
{
	while (to < end - 16) {
		if (!below(80))
			to = put(to, &ruin[below(COUNT(ruin))]);
		else if (below(2))
			to = put(to, &snippets[below(COUNT(snippets))]);
		else
			for (uint64_t n = 1 + below(6); n; n--)
				*to++ = (uint8_t)below(256);
	}
}

static void reset_timer(void)
{
	static const uint8_t words[] = {0x11, 0x20, 0x04, 0x01};

	for (unsigned i = 0; i < sizeof(words); i++)
		outb(i ? 0x21 : 0x20, words[i]);
	outb(0x21, 0xfe);
	outb(0x43, 0x34);
	/* 84 us, as many thousand instructions under the instructions clock: longer than a turn. */
	outb(0x40, 100);
	outb(0x40, 0);
}

_Noreturn void wild_turn(void)
{
	struct jump jump;
	bool user = below(2);
	uint8_t *page = at(code + below(NR_CODE) * PAGE_SIZE);
	uint64_t where = below(PAGE_SIZE - 256);

	if (rounds && turns >= rounds)
		outb(0xf4, 0);
	if (turns++ % 16 == 0)
		reset_timer();
	outb(0x20, 0x20);
	if (below(8))
		map_for_user();
	change_tables();
	make_code(page + where, page + where + 32 + below(224));
	for (unsigned i = 0; i < 15; i++)
		jump.registers[i] = value();
	if (below(2))
		jump.registers[1] = below(32); /* RCX: how often a REP goes */
	jump.rip = (uint64_t)page + where;
	if (user || !below(4))
		jump.rip |=
			WORK_AREA; /* mapped there for the user too, until an entry is changed */
	jump.cs = user ? USER_CS : KERNEL_CS;
	jump.ss = user ? USER_DS : KERNEL_DS;
	jump.rsp = data + below(NR_DATA * PAGE_SIZE);
	if (user)
		jump.rsp |= WORK_AREA;
	jump.rflags = 0x202 | (below(3) ? 0 : 0x3000) | (below(30) ? 0 : 0x100) |
		      (below(30) ? 0 : 0x40000);
	wild_jump(&jump);
}

static uint64_t read_msr(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (uint64_t)high << 32 | low;
}

static void set_up_descriptors(void)
{
	const uint64_t base = (uint64_t)&tss, limit = sizeof(tss) - 1, back = (uint64_t)wild_back;

	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00affb000000ffff;
	gdt[4] = 0x00cff3000000ffff;
	gdt[5] = limit | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
	gdt[6] = base >> 32;
	tss.rsp[0] = tss.ist[0] = (uint64_t)wild_stack + STACK;
	tss.io_map = sizeof(tss);
	for (unsigned i = 0; i < 256; i++)
		idt[2 * i] = (back & 0xffff) | KERNEL_CS << 16 | 1ul << 32 |
			     (uint64_t)(INTERRUPT_GATE | (i % 3 ? 0 : DPL_3)) << 40 |
			     (back >> 16) << 48;
	wild_gdtr = (struct table_register){sizeof(gdt) - 1, (uint64_t)gdt};
	wild_idtr = (struct table_register){sizeof(idt) - 1, (uint64_t)idt};
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(wild_gdtr), "m"(wild_idtr), "r"(TSS));
}

static bool run(uint64_t *checksum)
{
	(void)checksum;
	rng = rng_seed(seed);
	tables = (pages_alloc(1024) + 0x1fffff) & ~0x1ffffful;
	data = tables + NR_TABLES * PAGE_SIZE;
	code = data + NR_DATA * PAGE_SIZE;
	user_tables = pages_alloc(3);
	wild_cr3 = space_create();
	cr3_load(wild_cr3);
	enable_sse();
	__asm__("mov %%cr0, %0; mov %%cr4, %1" : "=r"(wild_cr0), "=r"(wild_cr4));
	wild_efer = read_msr(0xc0000080) | 1; /* SCE */
	set_up_descriptors();
	wild_turn();
}

const struct guest guest = {"wild", parameters, run, false};
