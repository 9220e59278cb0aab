/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an address leads without an access: random tables of every format under random registers,
 * in guests of all modes that stand at the same place. What is said must agree with a walker that
 * knows the manual alone, with what an access then does, and between the modes; and to say it must
 * change nothing.
 */
#include "paging_fixture.h"

#include <errno.h>
#include <stdio.h>

#include "engine/guest.h"
#include "paging/shadow.h"
#include "umbra/guest.h"
#include "umbra/translate.h"

#define MEMORY      (4ull << 20)
#define FIRST_TABLE (1ull << 20)
#define NR_TABLES   24u
#define DEVICE      0xfec00000ull /* the I/O APIC's page */

struct world {
	struct umbra_guest *guest[UMBRA_MODE_COUNT]; /* [mode], all with the same memory */
	struct umbra_counters published[UMBRA_MODE_COUNT];
	struct hw_paging regs;
	enum hw_privilege privilege;
	uint8_t ram[MEMORY]; /* what the manual's walker reads */
	uint64_t pdpte[4];
	uint64_t random;
};

static struct world world;

/* What was seen at least once. */
static uint64_t outcomes[UMBRA_OUTCOME_COUNT], ends[UMBRA_MODE_COUNT][UMBRA_WALK_END_COUNT];
static uint64_t unknowns[UMBRA_UNKNOWN_COUNT], page_shifts[31], codes[6];

static uint32_t below(uint32_t limit)
{
	world.random ^= world.random << 13;
	world.random ^= world.random >> 7;
	world.random ^= world.random << 17;
	return (uint32_t)(world.random >> 20) % limit;
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

static uint64_t random_table(void)
{
	return FIRST_TABLE + below(NR_TABLES) * PAGE_SIZE;
}

static uint64_t random_entry(bool wide)
{
	uint64_t entry = (chance(95) ? PTE_P : 0) | (chance(80) ? PTE_W : 0) |
			 (chance(75) ? PTE_U : 0) | (chance(20) ? PTE_A : 0) |
			 (chance(20) ? PTE_D : 0);

	if (wide)
		entry |= (chance(8) ? PTE_NX : 0) | (chance(1) ? 1ull << (39 + below(3)) : 0);
	if (chance(12)) /* where PS means nothing it is reserved, or PAT */
		return entry | PTE_PS | below(8) << 22;
	if (chance(3))
		return entry | DEVICE;
	if (chance(3))
		return entry | (MEMORY + below(64) * PAGE_SIZE);
	if (chance(20))
		return entry | below(MEMORY / PAGE_SIZE) * PAGE_SIZE;
	return entry | random_table();
}

static void put_all(uint64_t gpa, const void *bytes, size_t size)
{
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		assert_int_equal(memory_write(&world.guest[mode]->memory, gpa, bytes, size), 0);
	memcpy(world.ram + gpa, bytes, size);
}

static void make_tables(bool wide)
{
	static uint64_t table[ENTRIES];

	for (unsigned n = 0; n < NR_TABLES; n++) {
		for (unsigned i = 0; i < ENTRIES; i++)
			table[i] = wide ? random_entry(true)
					: (random_entry(false) & UINT32_MAX) | random_entry(false)
										       << 32;
		put_all(FIRST_TABLE + n * PAGE_SIZE, table, sizeof(table));
	}
}

/* PDPTEs that can be loaded: behind the tables. */
static void make_pdptes(void)
{
	for (unsigned i = 0; i < 4; i++)
		world.pdpte[i] = random_table() | (i < 3 ? PTE_P : 0);
	world.regs.cr3 = FIRST_TABLE + NR_TABLES * PAGE_SIZE;
	put_all(world.regs.cr3, world.pdpte, sizeof(world.pdpte));
}

static void random_registers(enum umbra_paging paging)
{
	uint64_t cr4 = (chance(50) ? CR4_SMEP : 0) | (chance(40) ? CR4_SMAP : 0) |
		       (chance(50) ? CR4_PGE : 0) | (chance(50) ? CR4_PSE : 0);
	bool is_long = paging == UMBRA_PAGING_4_LEVEL || paging == UMBRA_PAGING_5_LEVEL;

	world.regs = (struct hw_paging){
		.cr0 = CR0_PE | (chance(60) ? CR0_WP : 0),
		.cr3 = random_table(),
		.cr4 = cr4,
		.efer = chance(70) ? EFER_NXE : 0,
	};
	if (paging != UMBRA_PAGING_OFF)
		world.regs.cr0 |= CR0_PG;
	if (paging != UMBRA_PAGING_OFF && paging != UMBRA_PAGING_32_BIT)
		world.regs.cr4 |= CR4_PAE;
	if (is_long)
		world.regs.efer |= EFER_LME | EFER_LMA;
	if (paging == UMBRA_PAGING_5_LEVEL)
		world.regs.cr4 |= CR4_LA57;
	if (is_long && chance(50)) {
		world.regs.cr4 |= CR4_PKE;
		world.regs.pkru = below(UINT32_MAX);
	}
	if (paging == UMBRA_PAGING_PAE)
		make_pdptes();
	world.privilege = below(HW_PRIVILEGES);
}

static void create(enum umbra_paging paging, enum umbra_page_size backing, unsigned ept_levels,
		   uint64_t seed)
{
	world.random = seed * 0x9e3779b97f4a7c15ull + 1;
	memset(world.ram, 0, sizeof(world.ram));
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		const struct umbra_guest_config config = {
			.name = "world",
			.mode = mode,
			.memory = MEMORY,
			.backing = mode == UMBRA_MODE_BARE ? UMBRA_PAGE_4k : backing,
			.ept_levels = (uint8_t)ept_levels,
			.seed = seed,
		};

		assert_int_equal(umbra_guest_create(&config, &world.published[mode],
						    &world.guest[mode], NULL),
				 0);
	}
	make_tables(paging != UMBRA_PAGING_32_BIT);
	random_registers(paging);
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		world.guest[mode]->cpu[0]->privilege = world.privilege;
		assert_int_equal(hw_paging_changed(world.guest[mode]->hw[0], &world.regs), 0);
	}
}

static void destroy(void)
{
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		umbra_guest_destroy(world.guest[mode]);
}

static uint64_t random_address(enum umbra_paging paging)
{
	uint64_t bits = (uint64_t)below(1u << 30) << 34 ^ (uint64_t)below(1u << 30) << 12 ^
			below(PAGE_SIZE);

	switch (paging) {
	case UMBRA_PAGING_4_LEVEL: return (uint64_t)((int64_t)(bits << 16) >> 16);
	case UMBRA_PAGING_5_LEVEL: return (uint64_t)((int64_t)(bits << 7) >> 7);
	case UMBRA_PAGING_OFF:
		return chance(10) ? DEVICE + below(PAGE_SIZE) : below(MEMORY + (1u << 20));
	default: return bits & UINT32_MAX;
	}
}

/* --- what must not change --------------------------------------------------------------------- */

struct state {
	char hash[33];
	struct umbra_counters counters;
	uint32_t touched, tables;
	uint8_t hw[sizeof(struct hw)];
	uint64_t caches, frames, cycles;
};

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3ull;
	return hash;
}

static uint64_t mix_cache(uint64_t hash, const struct cache *cache)
{
	size_t ways = (size_t)cache->sets * cache->stride;

	if (!cache->sets)
		return hash;
	hash = mix(hash, cache->tag, ways * sizeof(*cache->tag));
	hash = mix(hash, cache->value, ways * sizeof(*cache->value));
	return mix(hash, cache->newest, cache->sets);
}

static void take_state(struct umbra_guest *guest, struct state *ret)
{
	struct hw *hw = guest->hw[0];

	memset(ret, 0, sizeof(*ret));
	umbra_guest_memory_hash(guest, ret->hash);
	memcpy(ret->hw, hw, sizeof(*hw)); /* counters, look-aside and registers are in it */
	hw_counters(hw, &ret->counters);
	ret->touched = guest->memory.touched;
	ret->tables = guest->memory.tables;
	for (unsigned i = 0; i < TLB_MAX_ARRAYS; i++)
		ret->caches = mix_cache(ret->caches, &hw->tlb.array[i]);
	for (unsigned i = 0; i < WALK_CACHE_COUNT; i++) {
		ret->caches = mix_cache(ret->caches, &hw->tlb.linear[i]);
		ret->caches = mix_cache(ret->caches, &hw->tlb.nested[i]);
	}
	for (uint32_t i = 0; i < guest->memory.frames.count; i++)
		ret->frames = ret->frames * 31 + guest->memory.frames.frame[i].flags;
}

static void translate(enum umbra_mode mode, uint64_t gva, enum umbra_explain_access access,
		      struct umbra_translation *ret)
{
	struct umbra_error error;

	if (umbra_guest_translate(world.guest[mode], 0, gva, access, ret, &error))
		fail_msg("%#lx: %s: %s", gva, error.place, error.text);
}

static void check_unchanged(enum umbra_mode mode, uint64_t gva, enum umbra_explain_access access,
			    const struct umbra_translation *first)
{
	static struct state before, after;
	static struct umbra_translation again;

	take_state(world.guest[mode], &before);
	translate(mode, gva, access, &again);
	take_state(world.guest[mode], &after);
	assert_memory_equal(&before, &after, sizeof(before));
	/* Its own tables have the same bits as before, too. */
	assert_memory_equal(&again, first, sizeof(again));
}

/* --- the manual ------------------------------------------------------------------------------- */

static void check_reference(const struct umbra_translation *t)
{
	static const enum reference_kind kinds[] = {REFERENCE_READ, REFERENCE_WRITE,
						    REFERENCE_FETCH};
	const struct reference_memory memory = {world.ram, MEMORY};
	struct reference_registers registers = {
		.cr0 = world.regs.cr0,
		.cr3 = world.regs.cr3,
		.cr4 = world.regs.cr4,
		.efer = world.regs.efer,
		.pkru = world.regs.pkru,
		.maxphyaddr = hw_maxphyaddr(world.guest[0]->hw[0]),
	};
	const struct reference_access asked = {t->gva, kinds[t->access], world.privilege == HW_USER,
					       world.privilege == HW_SUPERVISOR_AC};
	struct reference_result result;

	memcpy(registers.pdpte, world.pdpte, sizeof(registers.pdpte));
	/* Its accessed and dirty bits are what accesses have set, and it sets more. */
	memory_read(&world.guest[t->walk[UMBRA_MODE_BARE].on ? UMBRA_MODE_BARE : UMBRA_MODE_EPT]
			     ->memory,
		    FIRST_TABLE, world.ram + FIRST_TABLE, (NR_TABLES + 1) * PAGE_SIZE);
	result = reference_walk(&memory, &registers, &asked);
	assert_int_equal(t->outcome == UMBRA_OUTCOME_FAULT, result.fault);
	if (result.fault) {
		assert_int_equal(t->error_code, result.code);
		for (unsigned i = 0; i < 6; i++)
			codes[i] += result.code >> i & 1;
		return;
	}
	assert_int_equal(t->gpa, result.physical);
	assert_int_equal(t->page_bytes, result.page_shift ? 1ull << result.page_shift : 0);
	page_shifts[result.page_shift]++;
}

/* --- the access ------------------------------------------------------------------------------- */

static const struct umbra_step *first_exit(const struct umbra_explanation *e)
{
	for (size_t i = 0; i < e->steps.nr; i++)
		if (e->steps.step[i].kind == UMBRA_STEP_EXIT)
			return &e->steps.step[i];
	return NULL;
}

/* The walk that was foretold is the one that the hardware does. */
static void check_walk(const struct umbra_mode_walk *walk, const struct umbra_explanation *e)
{
	const uint64_t bits = PTE_A | PTE_D | EPT_A | EPT_D;
	const struct umbra_step *exit = first_exit(e);
	unsigned nr = 0;

	for (size_t i = 0; i < e->steps.nr && &e->steps.step[i] != exit; i++) {
		const struct umbra_step *step = &e->steps.step[i], *told = &walk->step[nr];

		if (step->kind != UMBRA_STEP_REFERENCE)
			continue;
		assert_true(nr++ < walk->nr_steps);
		assert_int_equal(told->table, step->table);
		assert_int_equal(told->level, step->level);
		assert_int_equal(told->index, step->index);
		assert_int_equal(told->hpa, step->hpa);
		assert_int_equal(told->translates, step->translates);
		assert_int_equal(told->entry & ~bits, step->entry & ~bits);
	}
	assert_int_equal(nr, walk->nr_steps);
	assert_int_equal(exit != NULL, walk->end >= UMBRA_WALK_EXIT_FILL);
	if (exit)
		assert_int_equal(exit->reason, walk->reason);
}

static void check_access(enum umbra_mode mode, const struct umbra_translation *before)
{
	const struct umbra_mode_walk *foretold = &before->walk[mode], *walk;
	static struct umbra_translation after;
	struct umbra_explanation *e;

	assert_int_equal(umbra_guest_explain(world.guest[mode], before->gva, before->access, false,
					     &e, NULL),
			 0);
	translate(mode, before->gva, before->access, &after);
	walk = &after.walk[mode];
	assert_int_equal(after.outcome, before->outcome);
	switch (before->outcome) {
	case UMBRA_OUTCOME_RAM:
		assert_int_equal(e->end.kind, UMBRA_STEP_TRANSLATED);
		if (foretold->hpa_unknown == UMBRA_KNOWN)
			assert_int_equal(foretold->hpa, e->end.hpa);
		else
			assert_int_equal(foretold->hpa_unknown, UMBRA_UNKNOWN_UNTOUCHED);
		assert_int_equal(walk->hpa_unknown, UMBRA_KNOWN);
		assert_int_equal(walk->hpa, e->end.hpa);
		break;
	case UMBRA_OUTCOME_FAULT:
		assert_int_equal(e->end.kind, UMBRA_STEP_FAULT);
		assert_int_equal(e->end.error_code, before->error_code);
		break;
	case UMBRA_OUTCOME_DEVICE:
		assert_int_equal(e->end.kind, UMBRA_STEP_DEVICE);
		assert_int_equal(e->end.gpa, before->gpa);
		break;
	default: assert_int_equal(e->end.kind, UMBRA_STEP_NOBODY); break;
	}
	check_walk(walk, e);
	if (walk->end == UMBRA_WALK_TRANSLATED) {
		assert_int_equal(walk->references, e->steps.references);
		if (foretold->walk_unknown == UMBRA_KNOWN) {
			assert_int_equal(foretold->references, e->steps.references);
			assert_int_equal(foretold->page_bytes, walk->page_bytes);
		}
	}
	/* What would fill has filled. */
	assert_int_not_equal(walk->end, UMBRA_WALK_EXIT_FILL);
	ends[mode][walk->end]++;
	umbra_explanation_free(e);
}

/* In the mode that is on, what was foretold where it was not. */
static void check_others(struct umbra_translation t[UMBRA_MODE_COUNT], enum umbra_page_size backing)
{
	for (enum umbra_mode on = 0; on < UMBRA_MODE_COUNT; on++) {
		for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
			const struct umbra_mode_walk *told = &t[on].walk[mode];
			const struct umbra_mode_walk *own = &t[mode].walk[mode];

			assert_int_equal(told->mode, mode);
			assert_int_equal(told->on, on == mode);
			unknowns[told->hpa_unknown]++;
			unknowns[told->walk_unknown]++;
			if (told->walk_unknown || own->walk_unknown ||
			    (on == UMBRA_MODE_BARE && backing != UMBRA_PAGE_4k))
				continue;
			assert_int_equal(told->references, own->references);
			assert_int_equal(told->page_bytes, own->page_bytes);
		}
	}
}

static void check_address(enum umbra_paging paging, enum umbra_page_size backing, unsigned number)
{
	static struct umbra_translation t[UMBRA_MODE_COUNT];
	uint64_t gva = random_address(paging);
	enum umbra_explain_access access = below(3);

	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		translate(mode, gva, access, &t[mode]);
		assert_int_equal(t[mode].paging, paging);
		assert_int_equal(t[mode].outcome, t[0].outcome);
		ends[mode][t[mode].walk[mode].end]++;
		if (number % 16 == 0)
			check_unchanged(mode, gva, access, &t[mode]);
		check_reference(&t[mode]);
	}
	outcomes[t[0].outcome]++;
	check_others(t, backing);
	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		check_access(mode, &t[mode]);
}

static void check_worlds(enum umbra_paging paging, enum umbra_page_size backing,
			 unsigned ept_levels)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		create(paging, backing, ept_levels, seed + 100 * paging);
		for (unsigned number = 0; number < 48; number++)
			check_address(paging, backing, number);
		destroy();
	}
}

static void check_paging(enum umbra_paging paging)
{
	check_worlds(paging, UMBRA_PAGE_4k, 4);
	check_worlds(paging, UMBRA_PAGE_2m, 5);
}

static void paging_off(void **state)
{
	(void)state;
	check_paging(UMBRA_PAGING_OFF);
}

static void paging_32_bit(void **state)
{
	(void)state;
	check_paging(UMBRA_PAGING_32_BIT);
}

static void paging_pae(void **state)
{
	(void)state;
	check_paging(UMBRA_PAGING_PAE);
}

static void paging_4_level(void **state)
{
	(void)state;
	check_paging(UMBRA_PAGING_4_LEVEL);
}

static void paging_5_level(void **state)
{
	(void)state;
	check_paging(UMBRA_PAGING_5_LEVEL);
}

/* The tests before this one have met all that there is. */
static void every_kind_was_met(void **state)
{
	static const unsigned shifts[] = {0, 12, 21, 22, 30};
	static const struct {
		enum umbra_mode mode;
		enum umbra_walk_end end;
	} met[] = {
		{UMBRA_MODE_BARE, UMBRA_WALK_TRANSLATED},
		{UMBRA_MODE_BARE, UMBRA_WALK_FAULT},
		{UMBRA_MODE_BARE, UMBRA_WALK_DEVICE},
		{UMBRA_MODE_BARE, UMBRA_WALK_NOBODY},
		{UMBRA_MODE_EPT, UMBRA_WALK_TRANSLATED},
		{UMBRA_MODE_EPT, UMBRA_WALK_FAULT},
		{UMBRA_MODE_EPT, UMBRA_WALK_NOBODY},
		{UMBRA_MODE_EPT, UMBRA_WALK_EXIT_FILL},
		{UMBRA_MODE_EPT, UMBRA_WALK_EXIT_DEVICE},
		{UMBRA_MODE_EPT, UMBRA_WALK_EXIT_NOBODY},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_TRANSLATED},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_NOBODY},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_EXIT_FILL},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_EXIT_FAULT},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_EXIT_EMULATE},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_EXIT_DEVICE},
		{UMBRA_MODE_SHADOW, UMBRA_WALK_EXIT_NOBODY},
		{UMBRA_MODE_BRUTE, UMBRA_WALK_TRANSLATED},
		{UMBRA_MODE_BRUTE, UMBRA_WALK_EXIT_EMULATE},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++)
		assert_true(page_shifts[shifts[i]]);
	for (unsigned i = 0; i < UMBRA_OUTCOME_COUNT; i++)
		assert_true(outcomes[i]);
	for (unsigned i = 0; i < 6; i++)
		assert_true(codes[i]);
	for (unsigned i = 0; i < sizeof(met) / sizeof(met[0]); i++)
		if (!ends[met[i].mode][met[i].end])
			fail_msg("%s never ended %s", umbra_mode_name(met[i].mode),
				 umbra_walk_end_name(met[i].end));
	for (unsigned i = 0; i < UMBRA_UNKNOWN_COUNT; i++)
		if (!unknowns[i])
			fail_msg("nothing was unknown for: %s", umbra_unknown_name(i));
}

/* --- single rules ----------------------------------------------------------------------------- */

static void what_is_no_address_is_refused(void **state)
{
	static const struct {
		enum umbra_paging paging;
		unsigned cpu;
		uint64_t gva;
		const char *place, *text;
	} cases[] = {
		{UMBRA_PAGING_4_LEVEL, 0, 0x0000800000000000, "gva", "not canonical"},
		{UMBRA_PAGING_4_LEVEL, 0, 0xffff7fffffffffff, "gva", "not canonical"},
		{UMBRA_PAGING_5_LEVEL, 0, 0x0100000000000000, "gva", "not canonical"},
		{UMBRA_PAGING_32_BIT, 0, 0x100000000, "gva", "32 bits"},
		{UMBRA_PAGING_PAE, 0, 0x100000000, "gva", "32 bits"},
		{UMBRA_PAGING_OFF, 0, 0x100000000, "gva", "32 bits"},
		{UMBRA_PAGING_4_LEVEL, 1, 0, "cpu", "no vCPU 1"},
	};
	struct umbra_translation t;
	struct umbra_error error;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		create(cases[i].paging, UMBRA_PAGE_4k, 4, 1);
		assert_int_equal(umbra_guest_translate(world.guest[UMBRA_MODE_EPT], cases[i].cpu,
						       cases[i].gva, UMBRA_EXPLAIN_READ, &t,
						       &error),
				 -EINVAL);
		assert_string_equal(error.place, cases[i].place);
		assert_non_null(strstr(error.text, cases[i].text));
		destroy();
	}
	create(UMBRA_PAGING_5_LEVEL, UMBRA_PAGE_4k, 4, 1);
	translate(UMBRA_MODE_EPT, 0x0000800000000000, UMBRA_EXPLAIN_READ, &t);
	destroy();
}

/* 24 references of a 4-level walk through EPT of 4 levels, 35 of 5 through 5; and 4 or 5 else. */
static void a_filled_walk_has_as_many_references_as_the_levels_say(void **state)
{
	const uint64_t gva = 0x7f0012345678;
	struct umbra_translation t;

	(void)state;
	for (unsigned levels = 4; levels <= 5; levels++) {
		struct umbra_counters published;
		const struct umbra_guest_config config = {
			.name = "levels",
			.mode = UMBRA_MODE_SHADOW,
			.memory = MEMORY,
			.ept_levels = (uint8_t)levels,
		};
		struct umbra_guest *guest;

		assert_int_equal(umbra_guest_create(&config, &published, &guest, NULL), 0);
		assert_int_equal(
			umbra_guest_explain_tables(guest, gva, UMBRA_PAGE_4k, levels, NULL), 0);
		assert_int_equal(umbra_guest_translate(guest, 0, gva, UMBRA_EXPLAIN_READ, &t, NULL),
				 0);
		assert_int_equal(t.walk[UMBRA_MODE_EPT].end, UMBRA_WALK_NO_TABLES);
		assert_int_equal(t.walk[UMBRA_MODE_EPT].references, levels == 4 ? 24 : 35);
		assert_int_equal(t.walk[UMBRA_MODE_BARE].references, levels);
		assert_int_equal(t.walk[UMBRA_MODE_BRUTE].references, levels);
		assert_int_equal(t.walk[UMBRA_MODE_SHADOW].references, levels);
		assert_int_equal(t.walk[UMBRA_MODE_SHADOW].end, UMBRA_WALK_EXIT_FILL);
		assert_int_equal(t.walk[UMBRA_MODE_SHADOW].hpa_unknown, UMBRA_UNKNOWN_UNTOUCHED);
		umbra_guest_destroy(guest);
	}
}

/* EPT tables stay over a switch, so their walk is the one that they would have. */
static void kept_ept_tables_are_walked_while_shadow_is_on(void **state)
{
	static struct umbra_translation before, after;
	struct umbra_explanation *e;
	struct umbra_guest *guest;
	uint64_t gva = 0;
	struct umbra_mode_walk *walk = &after.walk[UMBRA_MODE_EPT];

	(void)state;
	create(UMBRA_PAGING_4_LEVEL, UMBRA_PAGE_4k, 4, 7);
	guest = world.guest[UMBRA_MODE_EPT];
	do {
		gva = random_address(UMBRA_PAGING_4_LEVEL);
		translate(UMBRA_MODE_EPT, gva, UMBRA_EXPLAIN_READ, &before);
	} while (before.outcome != UMBRA_OUTCOME_RAM);
	assert_int_equal(before.walk[UMBRA_MODE_EPT].end, UMBRA_WALK_EXIT_FILL);
	assert_int_equal(umbra_guest_explain(guest, gva, UMBRA_EXPLAIN_READ, false, &e, NULL), 0);
	translate(UMBRA_MODE_EPT, gva, UMBRA_EXPLAIN_READ, &before);
	assert_int_equal(umbra_guest_switch(guest, UMBRA_MODE_SHADOW, NULL, NULL), 0);
	translate(UMBRA_MODE_EPT, gva, UMBRA_EXPLAIN_READ, &after);
	assert_false(walk->on);
	assert_int_equal(walk->end, UMBRA_WALK_TRANSLATED);
	assert_int_equal(walk->hpa, e->end.hpa);
	walk->on = true;
	assert_memory_equal(walk, &before.walk[UMBRA_MODE_EPT], sizeof(*walk));
	assert_int_equal(after.walk[UMBRA_MODE_SHADOW].end, UMBRA_WALK_EXIT_FILL);
	assert_int_equal(after.walk[UMBRA_MODE_SHADOW].nr_steps, 1);
	umbra_explanation_free(e);
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paging_off),
		cmocka_unit_test(paging_32_bit),
		cmocka_unit_test(paging_pae),
		cmocka_unit_test(paging_4_level),
		cmocka_unit_test(paging_5_level),
		cmocka_unit_test(every_kind_was_met),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_filled_walk_has_as_many_references_as_the_levels_say),
		cmocka_unit_test(kept_ept_tables_are_walked_while_shadow_is_on),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
