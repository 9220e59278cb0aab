/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Umbra's side: a user program's world in 64-bit and 32-bit code, with pages where the host has
 * them and the selectors of Linux. What an instruction raises ends in a handler that halts.
 */
#include <stdlib.h>
#include <string.h>

#include "native.h"

#include "host_vendor.h"
#include "x86_fixture.h"
#include "x86/x87.h"
#include "x86/control.h"
#include "x86/segment.h"

/* The fixture's own pages move to the upper half of the addresses. */
#define HIGH        0xffff800000000000ull
#define FRAMES      (DATA + 0x10000)
#define USER_PDPT   0x44000ull
#define USER_PD     0x45000ull
#define USER_PT     0x46000ull /* of the data pages; one page further: of the code pages */
#define TSS         0x48000ull
#define TSS_RSP0    4
#define TSS_IO_MAP  102
#define KERNEL_TOP  (HIGH + STACK)
#define PTE_NX      (1ull << 63)
#define RIGHTS_USER (3u << SEG_DPL_SHIFT | SEG_P | SEG_S | SEG_ACCESSED | SEG_G)

struct native_guest {
	struct box box;
	uint8_t *window[2]; /* in two frames that do not follow each other */
	uint8_t *edge;
	struct x86_segment segment[NATIVE_NR_MODES][X86_NR_SEGMENTS];
	uint8_t bytes[16]; /* at the place of the last instruction */
	uint8_t length;
	uint64_t at;
};

/* Frames in no order, none next to its neighbour. */
static uint64_t frame_of(uint64_t address)
{
	switch (address & ~0xfffull) {
	case NATIVE_DATA: return FRAMES + 0x6000;
	case NATIVE_MIDDLE: return FRAMES + 0x2000;
	case NATIVE_READ_ONLY: return FRAMES + 0xa000;
	case NATIVE_CODE: return FRAMES + 0xe000;
	default: return FRAMES + 0xc000;
	}
}

static uint8_t *host_of(struct native_guest *g, uint64_t address)
{
	size_t span;
	uint8_t *host = memory_span_write(&g->box.memory, frame_of(address) + (address & PAGE_MASK),
					  1, &span);

	assert_non_null(host);
	return host;
}

static void map_page(struct native_guest *g, uint64_t address, uint64_t rights)
{
	uint64_t table = address >= NATIVE_CODE ? USER_PT + PAGE_SIZE : USER_PT;

	box_write64(&g->box, table + 8 * (address >> PAGE_SHIFT & 511),
		    frame_of(address) | PTE_P | PTE_U | rights);
}

static void build_tables(struct native_guest *g)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;
	struct box *box = &g->box;

	box_write64(box, PML4 + 8 * (HIGH >> 39 & 511), PDPT | PTE_P | PTE_W);
	box_write64(box, PML4, USER_PDPT | all);
	box_write64(box, USER_PDPT, USER_PD | all);
	box_write64(box, USER_PD + 8 * (NATIVE_DATA >> 21), USER_PT | all);
	box_write64(box, USER_PD + 8 * (NATIVE_CODE >> 21), (USER_PT + PAGE_SIZE) | all);
	map_page(g, NATIVE_DATA, PTE_W | PTE_NX);
	map_page(g, NATIVE_MIDDLE, PTE_W | PTE_NX);
	map_page(g, NATIVE_READ_ONLY, PTE_NX);
	map_page(g, NATIVE_CODE, PTE_W);
	map_page(g, NATIVE_CODE + PAGE_SIZE, PTE_W);
}

static uint64_t descriptor(unsigned rights)
{
	return 0x000f00000000ffff | (uint64_t)rights << 40;
}

static void build_segments(struct native_guest *g)
{
	const unsigned data = RIGHTS_USER | SEG_DB | SEG_WRITABLE;
	const unsigned code_32 = RIGHTS_USER | SEG_CODE | SEG_READABLE | SEG_DB;
	const unsigned code_64 = RIGHTS_USER | SEG_CODE | SEG_READABLE | SEG_L;

	box_write64(&g->box, GDT + (NATIVE_CS_32 & ~7u), descriptor(code_32));
	box_write64(&g->box, GDT + (NATIVE_DS & ~7u), descriptor(data));
	box_write64(&g->box, GDT + (NATIVE_CS_64 & ~7u), descriptor(code_64));
	box_write64(&g->box, TSS + TSS_RSP0, KERNEL_TOP);
	box_write(&g->box, TSS + TSS_IO_MAP, "\x68\0",
		  2); /* beyond the limit: no port is allowed */
	for (unsigned mode = 0; mode < NATIVE_NR_MODES; mode++) {
		struct x86_segment *s = g->segment[mode];

		for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
			s[i] = (struct x86_segment){.limit = UINT32_MAX,
						    .selector = NATIVE_DS,
						    .rights = (uint16_t)data};
		s[X86_FS] = (struct x86_segment){.selector = 0};
		s[X86_GS] = (struct x86_segment){.base = NATIVE_GS_BASE};
		s[X86_CS].selector = mode == NATIVE_64 ? NATIVE_CS_64 : NATIVE_CS_32;
		s[X86_CS].rights = (uint16_t)(mode == NATIVE_64 ? code_64 : code_32);
	}
}

struct native_guest *native_guest_create(void)
{
	struct native_guest *g = calloc(1, sizeof(*g));
	struct x86_cpu *cpu;
	uint8_t page[PAGE_SIZE];

	assert_non_null(g);
	box_create(&g->box, UMBRA_MODE_BARE, UMBRA_CLOCK_INSTRUCTIONS);
	cpu = g->box.cpu;
	cpu->model = host_model();
	build_tables(g);
	build_segments(g);
	/* Handlers by high addresses; all vectors may be asked for by what an INT n finds there. */
	for (unsigned vector = 0; vector < 256; vector++) {
		bool user = vector == X86_BP || vector == X86_OF;

		box_write64(&g->box, IDT + 16 * vector,
			    (box_handler(vector) & 0xffff) | SELECTOR_CODE << 16 |
				    (user ? 0xee00ull : 0x8e00ull) << 32 |
				    (box_handler(vector) >> 16) << 48);
		box_write64(&g->box, IDT + 16 * vector + 8, HIGH >> 32);
	}
	memset(page, NATIVE_INT3, sizeof(page));
	box_write(&g->box, frame_of(NATIVE_CODE), page, sizeof(page));
	box_write(&g->box, frame_of(NATIVE_CODE + PAGE_SIZE), page, sizeof(page));
	g->window[0] = host_of(g, NATIVE_WINDOW);
	g->window[1] = host_of(g, NATIVE_MIDDLE);
	g->edge = host_of(g, NATIVE_EDGE);

	cpu->idtr.base += HIGH;
	cpu->gdtr = (struct x86_table_register){HIGH + GDT, 0x3f};
	cpu->tr.base = HIGH + TSS;
	cpu->tr.limit = 0x67;
	cpu->cr0 |= CR0_WP | CR0_MP | CR0_NE;
	cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	cpu->efer |= EFER_NXE | EFER_SCE;
	x86_update_paging(cpu);
	return g;
}

void native_guest_destroy(struct native_guest *g)
{
	if (!g)
		return;
	box_destroy(&g->box);
	free(g);
}

bool native_guest_has(const struct native_guest *g, const char *feature)
{
	static const struct {
		const char *name;
		enum x86_feature feature;
	} features[] = {
		{"sse3", X86_FEATURE_SSE3},     {"ssse3", X86_FEATURE_SSSE3},
		{"cx16", X86_FEATURE_CX16},     {"sse4.1", X86_FEATURE_SSE4_1},
		{"sse4.2", X86_FEATURE_SSE4_2}, {"movbe", X86_FEATURE_MOVBE},
		{"popcnt", X86_FEATURE_POPCNT}, {"xsave", X86_FEATURE_XSAVE},
		{"bmi1", X86_FEATURE_BMI1},     {"bmi2", X86_FEATURE_BMI2},
		{"adx", X86_FEATURE_ADX},       {"clflushopt", X86_FEATURE_CLFLUSHOPT},
		{"clwb", X86_FEATURE_CLWB},     {"lahf", X86_FEATURE_LAHF64},
		{"lzcnt", X86_FEATURE_LZCNT},   {"prefetchw", X86_FEATURE_PREFETCHW},
	};

	for (unsigned i = 0; feature && i < sizeof(features) / sizeof(features[0]); i++)
		if (!strcmp(features[i].name, feature))
			return x86_offers(g->box.cpu, features[i].feature);
	return !feature;
}

uint64_t native_guest_rest(struct native_guest *g)
{
	return native_rest(host_of(g, NATIVE_DATA), host_of(g, NATIVE_MIDDLE));
}

/* Writes the instruction, and INT3 where the last one was. */
static void place(struct native_guest *g, const struct native_case *c)
{
	uint8_t none[16];

	if (g->length == c->length && g->at == c->at && !memcmp(g->bytes, c->bytes, c->length))
		return;
	memset(none, NATIVE_INT3, sizeof(none));
	for (unsigned pass = 0; pass < 2; pass++) {
		const uint8_t *bytes = pass ? c->bytes : none;
		uint64_t at = pass ? c->at : g->at;
		unsigned length = pass ? c->length : g->length, first;

		first = (unsigned)(PAGE_SIZE - (at & PAGE_MASK));
		if (first > length)
			first = length;
		if (first)
			box_write(&g->box, frame_of(at) + (at & PAGE_MASK), bytes, first);
		if (length > first)
			box_write(&g->box, frame_of(at + first), bytes + first, length - first);
	}
	memcpy(g->bytes, c->bytes, sizeof(g->bytes));
	g->length = c->length;
	g->at = c->at;
}

static void put_fx(struct x86_cpu *cpu, const struct native_fx *fx)
{
	struct x86_x87 *x87 = &cpu->x87;

	memset(x87, 0, sizeof(*x87)); /* nor are there pointers to an instruction or operand */
	x86_x87_set_control(x87, fx->control);
	x86_x87_set_status(x87, fx->status);
	x87->used = fx->tag;
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++) {
		memcpy(&x87_st(x87, i)->significand, fx->st[i], 8);
		memcpy(&x87_st(x87, i)->exponent, fx->st[i] + 8, 2);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(&cpu->xmm[i], fx->xmm[i], 16);
	cpu->mxcsr = fx->mxcsr;
}

static void take_fx(struct x86_cpu *cpu, struct native_fx *fx)
{
	struct x86_x87 *x87 = &cpu->x87;

	memset(fx, 0, sizeof(*fx));
	fx->control = x87->control;
	fx->status = x86_x87_status(x87);
	fx->tag = x87->used;
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++) {
		memcpy(fx->st[i], &x87_st(x87, i)->significand, 8);
		memcpy(fx->st[i] + 8, &x87_st(x87, i)->exponent, 2);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(fx->xmm[i], &cpu->xmm[i], 16);
	fx->mxcsr = cpu->mxcsr;
}

static void load(struct native_guest *g, const struct native_case *c)
{
	struct x86_cpu *cpu = g->box.cpu;
	const struct native_state *before = &c->before;

	memcpy(g->window[0], before->window, NATIVE_WINDOW_SIZE / 2);
	memcpy(g->window[1], before->window + NATIVE_WINDOW_SIZE / 2, NATIVE_WINDOW_SIZE / 2);
	memcpy(g->edge, before->edge, NATIVE_EDGE_SIZE);
	memcpy(cpu->gpr, before->gpr, sizeof(before->gpr));
	cpu->gpr[X86_RIP] = c->at;
	memcpy(cpu->segment, g->segment[c->mode], sizeof(cpu->segment));
	cpu->cpl = 3;
	x86_set_flags(cpu, before->rflags);
	cpu->halted = false;
	cpu->interrupt_shadow = false;
	x86_update_code_mode(cpu);
	if (c->fx)
		put_fx(cpu, &before->fx);
}

/* What the processor pushed on the way to its handler (SDM 3A 6.14.2). */
static void take_frame(struct native_guest *g, struct native_state *after)
{
	struct x86_cpu *cpu = g->box.cpu;
	uint64_t frame = cpu->gpr[X86_RSP] - HIGH;

	after->vector = (uint8_t)((cpu->gpr[X86_RIP] - 1 - HIGH - HANDLERS) / 16);
	after->error = 0;
	if (cpu->gpr[X86_RSP] == KERNEL_TOP - 6 * sizeof(uint64_t)) {
		after->error = (uint32_t)box_read64(&g->box, frame);
		frame += sizeof(uint64_t);
	}
	after->address = cpu->cr2;
	after->rip = box_read64(&g->box, frame);
	after->rflags = box_read64(&g->box, frame + 16);
	after->gpr[X86_RSP] = box_read64(&g->box, frame + 24);
}

bool native_guest_run(struct native_guest *g, const struct native_case *c,
		      struct native_state *ret_after, const char **ret_text)
{
	struct native_state *after = ret_after;
	struct x86_cpu *cpu = g->box.cpu;

	place(g, c);
	load(g, c);
	box_run(&g->box, 1);
	if (cpu->cpl != 3 && !cpu->ended && !cpu->halted) /* INT n has retired */
		box_run(&g->box, 1);
	if (cpu->ended) {
		static char text[sizeof(cpu->end.text)];

		memcpy(text, cpu->end.text, sizeof(text));
		*ret_text = text;
		cpu->ended = false;
		memset(&cpu->end, 0, sizeof(cpu->end));
		return false;
	}
	memcpy(after->gpr, cpu->gpr, sizeof(after->gpr));
	after->vector = NATIVE_DONE;
	after->rip = cpu->gpr[X86_RIP];
	if (cpu->halted)
		take_frame(g, after);
	else
		after->rflags = x86_flags(cpu);
	if (c->fx)
		take_fx(cpu, &after->fx);
	memcpy(after->window, g->window[0], NATIVE_WINDOW_SIZE / 2);
	memcpy(after->window + NATIVE_WINDOW_SIZE / 2, g->window[1], NATIVE_WINDOW_SIZE / 2);
	memcpy(after->edge, g->edge, NATIVE_EDGE_SIZE);
	return true;
}
