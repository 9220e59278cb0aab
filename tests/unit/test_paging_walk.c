/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware's walker against one written from the manual alone: random tables of every format,
 * under random control registers, protection keys and physical address widths, and random accesses.
 * Where an access goes, its error code and every bit of the tables must agree.
 *
 * 1,000,000 accesses; 100,000,000 with UMBRA_FULL=1.
 */
#include <errno.h>
#include <stdio.h>

#include "paging_fixture.h"

#define ACCESSES      1000000u
#define ACCESSES_FULL 100000000u
#define PER_WORLD     256

/* The tables: any of them may be one of any level. Behind them lies what is only data. */
#define FIRST_TABLE (1ull << 20)
#define TABLES      24
#define TABLE_BYTES (TABLES * PAGE_SIZE)

static uint64_t random_state;

static uint64_t random_bits(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint32_t below(uint32_t limit)
{
	return (random_bits() >> 32) * limit >> 32;
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

enum world_mode { BARE, EPT_4, EPT_5, EPT_2M, SHADOW, SHADOW_2M, BRUTE, WORLD_MODES };

static const struct {
	const char *name;
	enum umbra_mode mode;
	unsigned backing_shift;
} world_modes[] = {
	[BARE] = {"bare", UMBRA_MODE_BARE, PAGE_SHIFT},
	[EPT_4] = {"ept, 4 levels", UMBRA_MODE_EPT, PAGE_SHIFT},
	[EPT_5] = {"ept, 5 levels", UMBRA_MODE_EPT, PAGE_SHIFT},
	[EPT_2M] = {"ept, 2M", UMBRA_MODE_EPT, SHIFT_2M},
	[SHADOW] = {"shadow", UMBRA_MODE_SHADOW, PAGE_SHIFT},
	[SHADOW_2M] = {"shadow, 2M", UMBRA_MODE_SHADOW, SHIFT_2M},
	[BRUTE] = {"brute", UMBRA_MODE_BRUTE, PAGE_SHIFT},
};

/* What happened, that each kind of it is seen to have happened. */
struct tally {
	uint64_t sizes[REFERENCE_FORMATS][31]; /* [page_shift] */
	uint64_t bits[REFERENCE_FORMATS][6];   /* faults with this bit of the error code */
	uint64_t codes[64];
	uint64_t accesses, faults, devices, global, refused_pdptes;
};

struct world {
	struct box box;
	struct reference_memory flat;
	struct reference_registers registers;
	enum reference_format format;
	struct tally tally;
};

static uint64_t random_address(const struct world *world, bool large)
{
	unsigned bits = world->format == REFERENCE_32_BIT ? 32 : world->registers.maxphyaddr;

	if (chance(3)) /* nobody's, and sometimes wider than addresses are */
		return random_bits() & ((1ull << (chance(90) ? bits : 52)) - 1) & ~PAGE_MASK;
	if (large)
		return (uint64_t)below(4) << 21;
	if (chance(80))
		return FIRST_TABLE + below(TABLES) * PAGE_SIZE;
	return below(RAM_SIZE / PAGE_SIZE) * PAGE_SIZE;
}

static uint64_t random_entry(const struct world *world)
{
	bool wide = world->format != REFERENCE_32_BIT, large = chance(20);
	uint64_t entry = random_bits() & (PTE_A | PTE_D | PTE_G | 7ull << 9 | 3ull << 3);

	entry |= chance(92) ? PTE_P : 0;
	entry |= chance(75) ? PTE_W : 0;
	entry |= chance(70) ? PTE_U : 0;
	if (wide && chance(12))
		entry |= PTE_NX;
	if (wide && (world->format != REFERENCE_PAE || chance(2)))
		entry |= random_bits() & 0x7ffull << 52; /* ignored, or the key */
	if (large) {
		entry |= PTE_PS | random_address(world, true);
		if (!wide)
			entry &= ~(1ull << 21); /* of 4M pages */
		if (chance(3))
			entry |= 1ull << (12 + below(18));
		/* A 1G page within RAM is the one at 0; PAT (bit 12) means nothing here. */
		if (chance(50))
			entry &= ~(0x1ffull << 21);
		if (chance(20))
			entry |= 1ull << 12;
	} else {
		entry |= random_address(world, false);
	}
	if (!wide && chance(3) && large)
		entry |= (uint64_t)below(256) << 13; /* PSE-36 */
	return wide ? entry : (uint32_t)entry;
}

static void write_both(struct world *world, uint64_t gpa, const void *bytes, size_t size)
{
	memcpy(world->flat.ram + gpa, bytes, size);
	assert_int_equal(memory_write(&world->box.memory, gpa, bytes, size), 0);
}

static void write_random_entry(struct world *world, uint64_t gpa)
{
	uint64_t entry = random_entry(world);

	write_both(world, gpa, &entry, world->format == REFERENCE_32_BIT ? 4 : 8);
}

static void fill_tables(struct world *world)
{
	unsigned size = world->format == REFERENCE_32_BIT ? 4 : 8;

	for (uint64_t gpa = FIRST_TABLE; gpa < FIRST_TABLE + TABLE_BYTES; gpa += size) {
		uint64_t entry = random_entry(world);

		memcpy(world->flat.ram + gpa, &entry, size);
	}
	assert_int_equal(memory_write(&world->box.memory, FIRST_TABLE,
				      world->flat.ram + FIRST_TABLE, TABLE_BYTES),
			 0);
}

static uint64_t random_pdpte(const struct world *world)
{
	uint64_t pdpte = random_address(world, false) | (chance(90) ? PTE_P : 0);

	pdpte |= random_bits() & (3ull << 3 | 7ull << 9);
	if (chance(2))
		pdpte |= 1ull << below(64);
	return pdpte;
}

static struct hw_paging random_registers(struct world *world)
{
	struct hw_paging regs = {.cr0 = CR0_PE, .pkru = (uint32_t)random_bits()};
	const uint64_t cr4 = CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE;

	world->format = chance(2) ? REFERENCE_NONE : 1 + below(REFERENCE_FORMATS - 1);
	world->registers.maxphyaddr = 36 + below(17);
	regs.cr4 = random_bits() & cr4;
	regs.cr0 |= random_bits() & CR0_WP;
	regs.efer = random_bits() & EFER_NXE;
	regs.pkru &= (uint32_t)random_bits(); /* a quarter of its bits */
	if (world->format != REFERENCE_NONE)
		regs.cr0 |= CR0_PG;
	if (world->format >= REFERENCE_PAE)
		regs.cr4 |= CR4_PAE;
	if (world->format >= REFERENCE_4_LEVEL)
		regs.efer |= EFER_LME | EFER_LMA;
	if (world->format == REFERENCE_5_LEVEL)
		regs.cr4 |= CR4_LA57;
	if (world->format >= REFERENCE_4_LEVEL && chance(30))
		regs.cr4 |= CR4_PCIDE;
	regs.cr3 = FIRST_TABLE + below(TABLES) * PAGE_SIZE;
	if (world->format == REFERENCE_PAE)
		regs.cr3 += below(128) * 32;
	else
		regs.cr3 += regs.cr4 & CR4_PCIDE ? below(4096) : 0;
	return regs;
}

/* New registers and new tables. */
/* Tables were written behind the VMM's back. */
static void forget_tables(struct world *world)
{
	struct vmm *vmm = world->box.vmm;

	if (vmm->mode != UMBRA_MODE_EPT)
		vmm->ops->empty(vmm);
}

static void begin(struct world *world)
{
	struct hw_paging regs = random_registers(world);
	struct reference_registers *registers = &world->registers;
	bool loaded = true;

	*registers = (struct reference_registers){
		.cr0 = regs.cr0,
		.cr3 = regs.cr3,
		.cr4 = regs.cr4,
		.efer = regs.efer,
		.pkru = regs.pkru,
		.maxphyaddr = registers->maxphyaddr,
	};
	fill_tables(world);
	hw_set_maxphyaddr(world->box.hw, registers->maxphyaddr);
	/* No format has anything left of the last world's. */
	assert_int_equal(hw_paging_changed(world->box.hw, &(struct hw_paging){.cr0 = CR0_PE}), 0);
	hw_flush(world->box.hw);
	do {
		if (world->format == REFERENCE_PAE) {
			for (int i = 0; i < 4; i++) {
				uint64_t pdpte = random_pdpte(world);

				write_both(world, regs.cr3 + i * 8, &pdpte, sizeof(pdpte));
			}
			loaded = reference_load_pdptes(&world->flat, registers);
		}
		assert_int_equal(hw_paging_changed(world->box.hw, &regs), loaded ? 0 : -EINVAL);
		world->tally.refused_pdptes += !loaded;
	} while (!loaded);
	forget_tables(world);
	assert_int_equal(reference_format(registers), world->format);
}

static uint64_t random_linear(const struct world *world)
{
	uint64_t linear = random_bits();

	/* Within RAM where a large page begins at 0, and not. */
	if (chance(60))
		linear &= ~((1ull << 30) - (RAM_SIZE));
	switch (world->format) {
	case REFERENCE_4_LEVEL: return (uint64_t)((int64_t)(linear << 16) >> 16);
	case REFERENCE_5_LEVEL: return (uint64_t)((int64_t)(linear << 7) >> 7);
	default: return (uint32_t)linear;
	}
}

static void count(struct tally *tally, enum reference_format format,
		  const struct reference_result *result)
{
	tally->accesses++;
	if (!result->fault) {
		tally->sizes[format][result->page_shift]++;
		tally->global += result->global;
		return;
	}
	tally->faults++;
	tally->codes[result->code & 63]++;
	for (int i = 0; i < 6; i++)
		tally->bits[format][i] += result->code >> i & 1;
}

/* Where the product's access went: a guest-physical address, or UINT64_MAX for the open bus. */
static uint64_t place(struct box *box, const uint8_t *host, uint64_t linear)
{
	uint64_t frame = hw_frame_of(box->hw, host);

	return frame == HW_NO_PAGE
		       ? UINT64_MAX
		       : (uint64_t)box->memory.page_of[frame] * PAGE_SIZE + (linear & PAGE_MASK);
}

static void access_one(struct world *world, uint64_t linear)
{
	enum hw_access access = below(3);
	enum hw_privilege privilege = below(HW_PRIVILEGES);
	const struct reference_access asked = {linear, (enum reference_kind)access,
					       privilege == HW_USER, privilege == HW_SUPERVISOR_AC};
	struct reference_result want = reference_walk(&world->flat, &world->registers, &asked);
	struct hw_public *p = hw_public(world->box.hw);
	uint8_t *host = hw_translate(world->box.hw, linear, access, privilege);

	count(&world->tally, world->format, &want);
	if (host) {
		uint64_t got = place(&world->box, host, linear);

		if (!want.fault && want.physical >= RAM_SIZE)
			want.physical = UINT64_MAX; /* fetched: all ones */
		if (want.fault || got != want.physical)
			fail_msg("linear %#lx, access %d, privilege %d: went to %#lx, the manual: "
				 "%s %#lx",
				 linear, access, privilege, got, want.fault ? "fault" : "to",
				 want.fault ? want.code : want.physical);
	} else if (p->mmio) {
		world->tally.devices++;
		if (want.fault || p->mmio_gpa != want.physical)
			fail_msg("linear %#lx, access %d, privilege %d: a device at %#lx, the "
				 "manual: %s %#lx",
				 linear, access, privilege, p->mmio_gpa,
				 want.fault ? "fault" : "to",
				 want.fault ? want.code : want.physical);
	} else {
		assert_int_equal(p->fault_address, linear);
		if (!want.fault || p->fault_code != want.code)
			fail_msg("linear %#lx, access %d, privilege %d: fault %#x, the manual: %s "
				 "%#lx",
				 linear, access, privilege, p->fault_code,
				 want.fault ? "fault" : "to",
				 want.fault ? want.code : want.physical);
	}
	box_attend(&world->box);
}

/* An entry changes, and the guest invalidates. */
static void change(struct world *world)
{
	struct hw *hw = world->box.hw;
	unsigned size = world->format == REFERENCE_32_BIT ? 4 : 8;

	write_random_entry(world, FIRST_TABLE + below(TABLE_BYTES / size) * size);
	if (world->format == REFERENCE_PAE) {
		bool loaded = reference_load_pdptes(&world->flat, &world->registers);

		assert_int_equal(hw_load_cr3(hw, world->registers.cr3, false),
				 loaded ? 0 : -EINVAL);
		world->tally.refused_pdptes += !loaded;
	}
	hw_invpcid(hw, HW_INVPCID_ALL, 0, 0);
	forget_tables(world);
}

static void change_keys(struct world *world)
{
	world->registers.pkru = (uint32_t)(random_bits() & random_bits());
	hw_set_pkru(world->box.hw, world->registers.pkru);
}

static void compare_tables(struct world *world)
{
	static uint8_t bytes[TABLE_BYTES];

	assert_int_equal(memory_read(&world->box.memory, FIRST_TABLE, bytes, TABLE_BYTES), 0);
	assert_memory_equal(bytes, world->flat.ram + FIRST_TABLE, TABLE_BYTES);
}

static void print_tally(const struct tally *tally, const char *name)
{
	static const char *const formats[] = {"unpaged", "2-level", "PAE", "4-level", "5-level"};

	printf("# %s: %lu accesses, %lu faults, %lu to devices, %lu global, %lu PDPTEs refused\n",
	       name, tally->accesses, tally->faults, tally->devices, tally->global,
	       tally->refused_pdptes);
	for (int format = REFERENCE_32_BIT; format < REFERENCE_FORMATS; format++)
		printf("#   %s: 4K %lu, 2M %lu, 4M %lu, 1G %lu; P %lu, W %lu, U %lu, RSVD %lu, "
		       "I %lu, PK %lu\n",
		       formats[format], tally->sizes[format][12], tally->sizes[format][21],
		       tally->sizes[format][22], tally->sizes[format][30], tally->bits[format][0],
		       tally->bits[format][1], tally->bits[format][2], tally->bits[format][3],
		       tally->bits[format][4], tally->bits[format][5]);
}

/* Every class of outcome was there, and only those that the format knows. */
static void check_tally(const struct tally *tally)
{
	for (int format = REFERENCE_32_BIT; format < REFERENCE_FORMATS; format++) {
		bool wide = format >= REFERENCE_4_LEVEL, narrow = format == REFERENCE_32_BIT;

		assert_true(tally->sizes[format][12] > 0);
		assert_int_equal(tally->sizes[format][21] > 0, !narrow);
		assert_int_equal(tally->sizes[format][22] > 0, narrow);
		assert_int_equal(tally->sizes[format][30] > 0, wide);
		for (int i = 0; i < 5; i++)
			assert_true(tally->bits[format][i] > 0);
		assert_int_equal(tally->bits[format][5] > 0, wide);
	}
	assert_true(tally->global && tally->devices && tally->refused_pdptes);
	/* Not present, by read, write and fetch of supervisor and user; and the same with P. */
	for (unsigned code = 0; code < 64; code++) {
		bool fetch = code & PF_I, write = code & PF_W, key = code & PF_PK;
		bool present = code & PF_P, reserved = code & PF_RSVD;
		bool possible = !(fetch && (write || key)) && !(reserved && !present) &&
				!(key && (!present || reserved));

		assert_int_equal(tally->codes[code] > 0, possible);
	}
}

static void run(enum world_mode mode)
{
	const char *full = getenv("UMBRA_FULL");
	uint64_t accesses = (full && *full == '1' ? ACCESSES_FULL : ACCESSES) / WORLD_MODES;
	struct world *world = calloc(1, sizeof(*world));
	struct box *box = &world->box;

	assert_non_null(world);
	random_state = 4 + mode;
	box_create_backed(box, world_modes[mode].mode, world_modes[mode].backing_shift, RAM_SIZE);
	if (mode == EPT_5)
		assert_int_equal(vmm_set_ept_levels(box->vmm, 5), 0);
	world->flat = (struct reference_memory){calloc(1, RAM_SIZE), RAM_SIZE};
	assert_non_null(world->flat.ram);
	/* Whatever is not RAM tells where it is asked. */
	assert_int_equal(memory_add_mmio(&box->memory, RAM_SIZE, (1ull << 52) - RAM_SIZE), 0);
	while (world->tally.accesses < accesses) {
		uint64_t recent[8];

		begin(world);
		for (int i = 0; i < PER_WORLD; i++) {
			uint64_t linear =
				i < 8 || chance(50) ? random_linear(world) : recent[below(8)];

			recent[i % 8] = linear;
			access_one(world, linear);
			if (chance(2))
				change(world);
			if (chance(2))
				change_keys(world);
		}
		compare_tables(world);
	}
	print_tally(&world->tally, world_modes[mode].name);
	check_tally(&world->tally);
	if (world_modes[mode].mode == UMBRA_MODE_BARE || world_modes[mode].mode == UMBRA_MODE_EPT)
		assert_true(hw_public(box->hw)->counters.walk_references_ad[0] > 0);
	else
		assert_true(hw_public(box->hw)->counters.shadow_fills[0] > 0);
	free(world->flat.ram);
	box_destroy(box);
	free(world);
}

static void bare_walks_as_the_manual_says(void **state)
{
	run(BARE);
}

static void ept_of_4_levels_walks_as_the_manual_says(void **state)
{
	run(EPT_4);
}

static void ept_of_5_levels_walks_as_the_manual_says(void **state)
{
	run(EPT_5);
}

static void ept_of_large_pages_walks_as_the_manual_says(void **state)
{
	run(EPT_2M);
}

static void shadow_walks_as_the_manual_says(void **state)
{
	run(SHADOW);
}

static void shadow_of_large_pages_walks_as_the_manual_says(void **state)
{
	run(SHADOW_2M);
}

static void brute_walks_as_the_manual_says(void **state)
{
	run(BRUTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bare_walks_as_the_manual_says),
		cmocka_unit_test(ept_of_4_levels_walks_as_the_manual_says),
		cmocka_unit_test(ept_of_5_levels_walks_as_the_manual_says),
		cmocka_unit_test(ept_of_large_pages_walks_as_the_manual_says),
		cmocka_unit_test(shadow_walks_as_the_manual_says),
		cmocka_unit_test(shadow_of_large_pages_walks_as_the_manual_says),
		cmocka_unit_test(brute_walks_as_the_manual_says),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
