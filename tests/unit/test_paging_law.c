/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The law of the core without a CPU: random tables, random changes with the invalidations that the
 * manual demands, random accesses, in every mode and under random switches, against a walker that
 * knows the manual alone. Translations, error codes and every bit of guest memory must agree.
 */
#include "paging_fixture.h"
#include "paging/shadow.h"

#define NR_STEPS   60000
#define FIRST_DATA (4ull << 20)
#define DATA_PAGES 256

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % limit;
}

/* A few addresses close together and far apart, so that tables and cache sets are shared. */
static uint64_t random_gva(void)
{
	static const uint64_t regions[] = {
		0, 0x200000, 0x40000000, 0x8000000000, 0x8000200000, 0xffff800000000000};

	return regions[random_below(6)] + random_below(24) * PAGE_SIZE + random_below(512) * 8;
}

static uint64_t random_flags(void)
{
	uint64_t flags = 0;

	if (random_below(8))
		flags |= PTE_P;
	if (random_below(3))
		flags |= PTE_W;
	if (random_below(3))
		flags |= PTE_U;
	if (!random_below(5))
		flags |= PTE_NX;
	if (!random_below(3))
		flags |= PTE_A;
	if (!random_below(4))
		flags |= PTE_D;
	if (!random_below(4))
		flags |= PTE_G;
	if (!random_below(3))
		flags |= (uint64_t)random_below(16) << PTE_KEY_SHIFT;
	if (!random_below(60))
		flags |= 1ull << (40 + random_below(12)); /* reserved */
	return flags;
}

static uint64_t random_data_page(void)
{
	if (!random_below(40))
		return RAM_SIZE + random_below(64) * PAGE_SIZE; /* nobody answers there */
	return FIRST_DATA + random_below(DATA_PAGES) * PAGE_SIZE;
}

struct law {
	struct box box;
	uint8_t *ram; /* what guest memory must be */
	uint64_t accesses, faults;
};

static void write_both(struct law *law, uint64_t gpa, uint64_t entry)
{
	box_guest_write(&law->box, gpa, entry);
	/* The write went through the window: its walk sets bits there too. */
	reference_outcome(law->ram, &law->box, WINDOW + gpa, HW_WRITE, HW_SUPERVISOR);
	memcpy(law->ram + gpa, &entry, sizeof(entry));
}

/* The entry for @gva at @level as the reference has it: its address, 0 when no table is there. */
static uint64_t find_entry(struct law *law, uint64_t gva, unsigned level)
{
	uint64_t table = law->box.regs.cr3;

	for (unsigned l = LEVELS; l > level; l--) {
		uint64_t entry;

		memcpy(&entry, law->ram + table + entry_index(gva, l) * 8, 8);
		table = entry & ENTRY_ADDRESS;
		if (!(entry & PTE_P) || table >= FIRST_DATA || (l <= 3 && (entry & PTE_PS)))
			return 0;
	}
	return table + entry_index(gva, level) * 8;
}

static void load_cr3(struct law *law)
{
	assert_int_equal(hw_load_cr3(law->box.hw, law->box.regs.cr3, false), 0);
	box_attend(&law->box);
}

/* No translation stays, global ones neither. */
static void invalidate_all(struct law *law)
{
	if (!(law->box.regs.cr4 & CR4_PGE) && random_below(2)) {
		load_cr3(law);
		return;
	}
	hw_invpcid(law->box.hw, HW_INVPCID_ALL, 0, 0);
	box_attend(&law->box);
}

/* Changes the leaf entry of a random address; invalidates when the manual demands it. */
static void change_leaf(struct law *law)
{
	uint64_t gva = random_gva(), gpa = find_entry(law, gva, 1), old, new;

	if (!gpa)
		return;
	memcpy(&old, law->ram + gpa, 8);
	if (random_below(2))
		new = random_data_page() | random_flags();
	else
		new = old ^ (1ull << random_below(7)); /* one of P, W, U, PWT, PCD, A, D */
	write_both(law, gpa, new);
	if (!(old & PTE_P))
		return; /* SDM 3A 4.10.4.3: nothing can be cached */
	if (random_below(4))
		hw_invlpg(law->box.hw, gva);
	else
		invalidate_all(law);
	box_attend(&law->box);
}

/* Changes an upper entry: rights, or between a table, a large page and nothing. */
static void change_upper(struct law *law)
{
	unsigned level = 2 + random_below(3);
	uint64_t gva = random_gva(), gpa = find_entry(law, gva, level), old, new;

	if (!gpa)
		return;
	memcpy(&old, law->ram + gpa, 8);
	if (level <= 3 && !random_below(3))
		new = (level == 2 ? FIRST_DATA : 0) | PTE_PS | random_flags();
	else if (level <= 3 && (old & PTE_PS))
		new = 0;
	else
		new = old ^ (1ull << (1 + random_below(6)));
	write_both(law, gpa, new);
	if (old & PTE_P)
		invalidate_all(law);
}

/* Widening rights needs no invalidation: at most a fault that the walk does not confirm. */
static void widen(struct law *law)
{
	unsigned level = 1 + random_below(4);
	uint64_t gva = random_gva(), gpa = find_entry(law, gva, level), old;

	if (!gpa)
		return;
	memcpy(&old, law->ram + gpa, 8);
	if (!(old & PTE_P))
		return;
	/* What a user may, SMEP and SMAP deny a supervisor. */
	if (!(law->box.regs.cr4 & (CR4_SMEP | CR4_SMAP | CR4_PKE)))
		old |= PTE_U;
	write_both(law, gpa, (old | PTE_W) & ~PTE_NX);
}

/* Puts a table (fresh, from the pool behind the window's) where there is none. */
static void grow(struct law *law, uint32_t *next)
{
	uint64_t gva = random_gva();

	for (unsigned level = LEVELS; level > 1; level--) {
		uint64_t gpa = find_entry(law, gva, level), entry;

		if (!gpa)
			return;
		memcpy(&entry, law->ram + gpa, 8);
		if (entry & PTE_P)
			continue;
		if (*next >= FIRST_DATA / PAGE_SIZE)
			return;
		write_both(law, gpa, (uint64_t)(*next)++ * PAGE_SIZE | PTE_P | PTE_W | PTE_U);
	}
}

static void access_one(struct law *law)
{
	uint64_t gva = random_gva();
	enum hw_access access = random_below(3);
	enum hw_privilege privilege = random_below(HW_PRIVILEGES);
	struct outcome want = reference_outcome(law->ram, &law->box, gva, access, privilege);
	struct outcome got = box_access(&law->box, gva, access, privilege);

	if (!want.fault && want.gpa >= RAM_SIZE)
		want.gpa = UINT64_MAX;
	assert_int_equal(got.fault, want.fault);
	assert_int_equal(got.code, want.code);
	assert_int_equal(got.gpa, want.gpa);
	law->accesses++;
	law->faults += want.fault;
}

static void change_control(struct law *law)
{
	static const uint64_t cr4[] = {CR4_PGE, CR4_SMEP, CR4_SMAP, CR4_PKE};
	uint32_t which = random_below(12);

	if (which >= 8) {
		/* A third of the bits: each key has its own rights, and most some. */
		law->box.regs.pkru = random_below(1u << 31) & random_below(1u << 31);
		hw_set_pkru(law->box.hw, law->box.regs.pkru);
		return;
	}
	if (which < 2)
		law->box.regs.cr0 ^= CR0_WP;
	else if (which < 4)
		law->box.regs.efer ^= EFER_NXE;
	else
		law->box.regs.cr4 ^= cr4[which - 4];
	assert_int_equal(hw_paging_changed(law->box.hw, &law->box.regs), 0);
	box_attend(&law->box);
}

static void compare_memory(struct law *law)
{
	for (uint64_t gpa = 0; gpa < RAM_SIZE; gpa += PAGE_SIZE) {
		uint8_t page[PAGE_SIZE];

		assert_int_equal(memory_read(&law->box.memory, gpa, page, PAGE_SIZE), 0);
		assert_memory_equal(page, law->ram + gpa, PAGE_SIZE);
	}
}

/* Each shadow entry's reference is in the list of what it points at, and nothing else is there. */
static void check_lists(const struct shadow *shadow)
{
	uint64_t references = 0, entries = 0;

	for (uint64_t gfn = 0; gfn < RAM_SIZE / PAGE_SIZE; gfn++)
		references += shadow->rmap[gfn].generation == shadow->generation
				      ? shadow->rmap[gfn].count
				      : 0;
	for (uint32_t number = 0; number < shadow->max_pages; number++) {
		const struct shadow_page *page = &shadow->page[number];

		references += page->used ? page->parents.count : 0;
		for (unsigned index = 0; page->used && index < ENTRIES; index++) {
			const struct ref_list *list;
			uint32_t to;

			if (!(page->entry[index] & PTE_P))
				continue;
			to = shadow_child(shadow, page->entry[index]);
			if (to == GFN_NONE) /* the frame of all ones */
				continue;
			list = page->role.level == 1 ? &shadow->rmap[to]
						     : &shadow->page[to].parents;
			assert_true(shadow->place[number][index] < list->count);
			assert_int_equal(list->ref[shadow->place[number][index]],
					 SPTE_REF(number, index));
			entries++;
		}
	}
	assert_int_equal(references, entries);
	assert_true(shadow->unsync.count <= shadow->max_pages);
}

static void run_law(enum umbra_mode mode, bool switching, uint64_t seed)
{
	struct law law = {0};
	uint32_t next = 512;
	uint64_t switches = 0, fills_before = 0, filled = 0;
	struct umbra_counters *counters;

	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	box_create(&law.box, mode);
	counters = &hw_public(law.box.hw)->counters;
	law.ram = malloc(RAM_SIZE);
	assert_int_equal(memory_read(&law.box.memory, 0, law.ram, RAM_SIZE), 0);
	for (int step = 0; step < NR_STEPS; step++) {
		uint32_t dice = random_below(1000);

		if (dice < 100)
			change_leaf(&law);
		else if (dice < 110)
			change_upper(&law);
		else if (dice < 140)
			widen(&law);
		else if (dice < 190)
			grow(&law, &next);
		else if (dice < 198)
			change_control(&law);
		else if (dice < 204)
			load_cr3(&law);
		else if (dice < 207 && switching) {
			static const enum umbra_mode modes[] = {UMBRA_MODE_EPT, UMBRA_MODE_SHADOW,
								UMBRA_MODE_BRUTE};
			enum umbra_mode to = modes[random_below(3)];

			if (to == law.box.vmm->mode)
				continue;
			if (law.box.vmm->mode != UMBRA_MODE_EPT)
				filled += counters->shadow_fills[0] > fills_before;
			fills_before = counters->shadow_fills[0];
			assert_int_equal(vmm_switch(law.box.vmm, to, step, step, NULL), 0);
			switches++;
		} else
			access_one(&law);
		if (step % 5000 == 0) {
			compare_memory(&law);
			if (law.box.vmm->shadow)
				check_lists(law.box.vmm->shadow);
		}
	}
	compare_memory(&law);
	assert_true(law.faults > law.accesses / 20);
	assert_true(law.faults < law.accesses * 19 / 20);
	assert_int_equal(counters->switches[0], switches);
	if (switching) {
		assert_true(switches > 50);
		assert_true(filled > switches / 2 - 10);
	}
	if (mode == UMBRA_MODE_SHADOW)
		assert_true(counters->shadow_unsyncs[0] && counters->shadow_syncs[0] &&
			    counters->shadow_table_writes[0]);
	if (mode == UMBRA_MODE_BARE)
		assert_int_equal(counters->exit_cycles[0], 0);
	free(law.ram);
	box_destroy(&law.box);
}

static void bare_follows_the_manual(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_law(UMBRA_MODE_BARE, false, seed);
}

static void ept_follows_the_manual(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_law(UMBRA_MODE_EPT, false, seed);
}

static void shadow_follows_the_manual(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_law(UMBRA_MODE_SHADOW, false, seed);
}

static void brute_follows_the_manual(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_law(UMBRA_MODE_BRUTE, false, seed);
}

static void switching_follows_the_manual(void **state)
{
	for (uint64_t seed = 1; seed <= 8; seed++)
		run_law(UMBRA_MODE_EPT, true, seed);
}

/* A guest that makes the same table go out of sync again and again takes no memory for it. */
static void a_page_is_once_in_the_list_of_those_out_of_sync(void **state)
{
	const uint64_t gva = 0x40000000, rights = PTE_P | PTE_W | PTE_U | PTE_A;
	uint64_t upper, leaf, table;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	leaf = box_entry(&box, gva, 1);
	upper = box_entry(&box, gva, 2);
	table = box_get(&box, upper);
	box_put(&box, leaf, FIRST_DATA | rights);
	for (unsigned i = 0; i < 100; i++) {
		assert_false(box_access(&box, gva, HW_READ, false).fault);
		box_guest_write(&box, leaf, (FIRST_DATA + i * PAGE_SIZE) | rights);
		/* The path to it goes and comes back: the table is in sync again. */
		box_guest_write(&box, upper, table ^ (i & 1 ? PTE_U : PTE_U | PTE_W));
	}
	assert_true(hw_public(box.hw)->counters.shadow_unsyncs[0] > 50);
	assert_true(box.vmm->shadow->unsync.count < 10);
	box_destroy(&box);
}

static void no_table_lies_at_host_address_zero(void **state)
{
	struct memory memory;
	uint64_t hpa;

	assert_int_equal(memory_create(&memory, RAM_SIZE, false, 1, NULL), 0);
	while ((hpa = memory_table_alloc(&memory)) != UINT64_MAX)
		assert_int_not_equal(hpa, 0);
	for (uint32_t gfn = 0; gfn < RAM_SIZE / PAGE_SIZE; gfn++)
		assert_int_not_equal(memory_frame(&memory, gfn), 0);
	assert_int_equal(memory.frames.nr_free, 0);
	memory_destroy(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_once_in_the_list_of_those_out_of_sync),
		cmocka_unit_test(no_table_lies_at_host_address_zero),
		cmocka_unit_test(bare_follows_the_manual),
		cmocka_unit_test(ept_follows_the_manual),
		cmocka_unit_test(shadow_follows_the_manual),
		cmocka_unit_test(brute_follows_the_manual),
		cmocka_unit_test(switching_follows_the_manual),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
