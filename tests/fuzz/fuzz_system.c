/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Templates of system code: ports, tables and their invalidation, control registers, segments. */
#include "fuzz_code.h"
#include "x86/control.h"

void template_ports(struct code *c)
{
	static const uint16_t ports[] = {0x3f8, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd,
					 0x3fe, 0x20,  0x21,  0xa0,  0xa1,  0x40,  0x41,
					 0x42,  0x43,  0x61,  0x70,  0x71,  0x92,  0x4d0,
					 0x4d1, 0xcf8, 0xcfc, 0x40,  0x43,  0x21};
	static const uint8_t ways[] = {0xec, 0xed, 0xee, 0xef, 0xee, 0xee};
	uint16_t port = below(c, 32) ? ports[below(c, sizeof(ports) / sizeof(ports[0]))]
				     : fuzz_random(c->random);

	load(c, RDX, port);
	load(c, RAX, value(c) & (port == 0x92 ? ~1ull : ~0ull));
	if (below(c, 6)) {
		emit(c, ways[below(c, sizeof(ways))], 1);
		return;
	}
	load(c, RSI, address(c)); /* INS, OUTS */
	load(c, RDI, address(c));
	load(c, RCX, below(c, 300));
	if (below(c, 2))
		emit(c, 0xf3, 1);
	emit(c, 0x6c | below(c, 4), 1);
}

void template_self_modify(struct code *c)
{
	load(c, RBX, FUZZ_CODE + below(c, FUZZ_CODE_PAGES * 4096));
	switch (below(c, 3)) {
	case 0:
		EMIT(c, "\xc6\x03"); /* MOV byte [RBX], imm8 */
		emit(c, below(c, 2) ? 0x90 : below(c, 256), 1);
		break;
	case 1: EMIT(c, "\xff\x03"); break; /* INC dword [RBX] */
	default:                            /* the instruction after this one */
		if (c->wide)
			EMIT(c, "\xc6\x05\x02\x00\x00\x00\x48\x90\x90\x90\x90");
		break;
	}
}

void template_flags(struct code *c)
{
	static const uint8_t plain[] = {0xfa, 0xfb, 0xfb, 0xf8, 0xf9, 0xf5, 0xfc, 0xfd,
					0x98, 0x99, 0x9e, 0x9f, 0x90, 0xd7, 0xcc, 0xfb};

	if (below(c, 16) == 0)
		emit_bytes(c, "\xfb\xf4", below(c, 16) ? 2 : 1); /* STI; HLT */
	emit(c, plain[below(c, sizeof(plain))], 1);
	if (below(c, 16) == 0) {
		emit(c, 0xcd, 1);
		emit(c, fuzz_random(c->random), 1);
	}
}

void template_query(struct code *c)
{
	static const char queries[][3] = {"\x0f\xa2", "\x0f\x31", "\x0f\x0b",
					  "\x0f\x06", "\x0f\x09", "\x0f\x33"};

	load(c, RAX, below(c, 8));
	emit_bytes(c, queries[below(c, sizeof(queries) / sizeof(queries[0]))], 2);
}

/* CR3 from and to itself. */
static void reload_cr3(struct code *c)
{
	EMIT(c, "\x0f\x20\xda\x0f\x22\xda");
}

/* A use of the address in RSI. */
static void touch(struct code *c)
{
	static const char *const uses[] = {"\x8b\x06", "\x01\x16", "\xff\x06", "\x89\x16"};

	emit_bytes(c, uses[below(c, 4)], 2);
}

/* A change of a table entry, invalidated at once; most often of an address in use. */
void template_tables(struct code *c)
{
	uint64_t gpa, entry, gva = 0;
	static const uint8_t bits[] = {0, 1, 1, 2, 5, 6, 6, 6, 3, 62};
	bool several = false, large = false;

	if (!c->wide)
		return;
	fuzz_tables_change(c->program, c->random, &gpa, &entry, &gva);
	if (gva) {
		large = gva >= FUZZ_HIGH;
		load(c, RSI, gva + below(c, 4096 / 8) * 8 + (large ? below(c, 4) << 12 : 0));
		touch(c);
	}
	load(c, RBX, FUZZ_WINDOW + gpa);
	load(c, RAX, entry);
	switch (below(c, 10)) {
	case 0:
	case 1:
	case 5: /* BTS or BTR of one bit */
		EMIT(c, "\xf0\x48\x0f\xba");
		emit(c, below(c, 3) ? 0x33 : 0x2b, 1);
		emit(c, bits[below(c, sizeof(bits))], 1);
		break;
	case 2: EMIT(c, "\x48\x87\x03"); break; /* XCHG */
	case 3: EMIT(c, "\x88\x03"); break;     /* MOV byte */
	case 4:                                 /* several */
		load(c, RDI, FUZZ_WINDOW + gpa);
		load(c, RCX, 1 + below(c, 4));
		EMIT(c, "\xf3\x48\xab");
		several = true;
		break;
	default: EMIT(c, "\x48\x89\x03"); break;
	}
	/* The same table lies below two entries; below others too, if there are aliases. */
	if (gva && !several && !c->program->aliases && below(c, 4))
		EMIT(c, "\x0f\x01\x3e\x0f\x01\xbe\x00\x00\x20\x00");
	else
		reload_cr3(c);
	if (gva)
		touch(c);
	if (large) { /* then another page of it */
		load(c, RSI, gva + below(c, 4096 / 8) * 8 + (below(c, 4) << 12));
		touch(c);
	}
	load(c, RBX, FUZZ_WINDOW + gpa);
	EMIT(c, "\x4c\x03\x23");  /* ADD R12, [RBX]: what bits the touches left */
	load(c, RBX, address(c)); /* no more stores to tables by chance */
}

void template_invalidate(struct code *c)
{
	load(c, RBX, address(c));
	switch (below(c, 6)) {
	case 0: reload_cr3(c); break;
	case 1:
		load(c, RAX, FUZZ_PML4 + below(c, 2) * 4096);
		EMIT(c, "\x0f\x22\xd8");
		break;
	default: EMIT(c, "\x0f\x01\x3b"); break; /* INVLPG [RBX] */
	}
}

void template_control(struct code *c)
{
	static const uint8_t cr0_bits[] = {16, 16, 16, 3, 2, 5, 18, 30};
	static const uint16_t cr4_bits[] = {9, 9, 4, 2, 10, 7};
	unsigned cr4 = below(c, 3) == 0;

	emit(c, 0x0f, 1);
	emit(c, 0x20, 1);
	emit(c, cr4 ? 0xe0 : 0xc0, 1); /* MOV RAX, CRn */
	EMIT(c, "\x0f\xba\xf8");       /* BTC EAX, imm8 */
	emit(c, cr4 ? cr4_bits[below(c, 6)] : cr0_bits[below(c, 8)], 1);
	emit(c, 0x0f, 1);
	emit(c, 0x22, 1);
	emit(c, cr4 ? 0xe0 : 0xc0, 1);
	if (below(c, 4) == 0)
		EMIT(c, "\x0f\x06"); /* CLTS */
}

void template_msr(struct code *c)
{
	static const uint32_t msrs[] = {MSR_EFER,           MSR_EFER,    MSR_STAR,    MSR_LSTAR,
					MSR_SFMASK,         MSR_FS_BASE, MSR_GS_BASE, MSR_TSC,
					MSR_KERNEL_GS_BASE, MSR_PAT};
	uint32_t msr = msrs[below(c, sizeof(msrs) / sizeof(msrs[0]))];

	load(c, RCX, below(c, 32) ? msr : (uint32_t)fuzz_random(c->random));
	EMIT(c, "\x0f\x32"); /* RDMSR */
	if (msr == MSR_EFER) {
		EMIT(c, "\x0f\xba\xf8");
		emit(c, below(c, 4) ? 11 : 0, 1);
	} else if (msr == MSR_STAR) {
		load(c, RDX, FUZZ_SELECTOR_USER_32 << 16 | FUZZ_SELECTOR_CODE);
	} else {
		load(c, RAX, msr == MSR_LSTAR ? FUZZ_CODE + below(c, 0x8000) : address(c));
		load(c, RDX, 0);
	}
	EMIT(c, "\x0f\x30");
}

void template_segments(struct code *c)
{
	static const uint16_t selectors[] = {
		FUZZ_SELECTOR_DATA, FUZZ_SELECTOR_DATA, FUZZ_SELECTOR_USER_DATA, 0, 3,
		FUZZ_SELECTOR_CODE, FUZZ_SELECTOR_TSS};
	unsigned sreg = below(c, 6), table;

	switch (below(c, 8)) {
	case 0: /* LGDT, LIDT */
		table = below(c, 2);
		load(c, RBX, FUZZ_POINTERS + 16 * (below(c, 32) ? table : below(c, 4)));
		emit(c, 0x0f, 1);
		emit(c, 0x01, 1);
		emit(c, table ? 0x1b : 0x13, 1);
		break;
	case 1: /* SGDT, SIDT, SLDT, STR, SMSW */
		load(c, RBX, address(c));
		emit(c, 0x0f, 1);
		emit(c, below(c, 2), 1);
		emit(c, 0x03 | below(c, 2) << 3, 1);
		break;
	case 2:
		load(c, RAX, FUZZ_SELECTOR_TSS);
		EMIT(c, "\x0f\x00\xd8"); /* LTR */
		break;
	case 3:
		if (c->wide)
			EMIT(c, "\x0f\x01\xf8"); /* SWAPGS */
		break;
	case 4: /* LAR, LSL, VERR */
		load(c, RAX, below(c, FUZZ_GDT_SIZE + 16));
		EMIT(c, "\x0f");
		emit(c, 0x02 | below(c, 2), 1);
		emit(c, 0xc8, 1);
		break;
	default:
		load(c, RAX, below(c, 16) ? selectors[below(c, 7)] : below(c, 0x10000));
		emit(c, 0x8e, 1);
		emit(c, 0xc0 | sreg << 3, 1);
		break;
	}
}

/* IRET to somewhere by a frame on the stack, SYSCALL, SYSRET, SYSENTER. */
void template_leave(struct code *c)
{
	unsigned record = FUZZ_RECORDS + FUZZ_RECORD_SIZE * below(c, FUZZ_NR_RECORDS);

	switch (below(c, 8)) {
	case 0: EMIT(c, "\x0f\x05"); break;
	case 1:
		load(c, RCX, FUZZ_CODE + below(c, 0x8000));
		load(c, 3, 0);
		EMIT(c, "\x48\x0f\x07");
		break;
	case 2: EMIT(c, "\xcb"); break;
	case 3: EMIT(c, "\x0f\x34"); break;
	default:
		load(c, RSP, record);
		emit(c, 0x48, 1);
		emit(c, 0xcf, 1);
		break;
	}
}
