/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The law of the core without a CPU: random tables of every format, random changes and
 * invalidations, random accesses by one vCPU and several, in every mode and under random switches,
 * against a walker that knows the manual alone. Translations, error codes and every bit of guest
 * memory must agree; where an entry was changed without the invalidation that the manual demands,
 * with the old tables or with the new ones.
 *
 * UMBRA_FULL=1: many more seeds. LAW_SEED=N: that one alone, to look into what it found.
 */
#include <stdio.h>

#include "law_world.h"
#include "paging/shadow.h"

#define NR_STEPS   40000
#define COMPARE    5000 /* steps between two comparisons of all memory */
#define SEEDS      5    /* as many as processors */
#define SEEDS_FULL 100

/* Behind INVPCID's four types. */
enum { INVLPG = HW_INVPCID_ALL_BUT_GLOBAL + 1, LOAD_AND_KEEP, INVALIDATIONS };

/* What happened. */
struct tally {
	uint64_t accesses, faults, skipped, loose, devices, global, refused;
	uint64_t of_size[REFERENCE_FORMATS][31]; /* [][page_shift] */
	uint64_t bits[REFERENCE_FORMATS][6];     /* faults with this bit of the error code */
	uint64_t invalidations[INVALIDATIONS];
	uint64_t switches[UMBRA_MODE_COUNT], filled[UMBRA_MODE_COUNT]; /* to the mode */
	uint64_t stores, unsyncs, syncs, table_writes, table_reads, remote_flushes, reclaims;
};

struct run {
	struct law law;
	const enum umbra_mode *modes; /* that are switched between; the first one begins */
	unsigned nr_modes;
	uint64_t counted; /* switches of the runs before this one */
	unsigned changed; /* the page whose entries were changed last */
	uint64_t work;    /* what the mode had done when it was switched to */
	struct tally tally;
};

static uint32_t below(struct run *run, uint32_t limit)
{
	return law_below(&run->law, limit);
}

static bool chance(struct run *run, unsigned percent)
{
	return below(run, 100) < percent;
}

static struct law_cpu *any_cpu(struct run *run)
{
	return &run->law.cpu[below(run, run->law.nr_cpus)];
}

static unsigned width_of(const struct law_cpu *cpu)
{
	return law_format(cpu) == REFERENCE_32_BIT ? 4 : 8;
}

static uint64_t random_flags(struct run *run, const struct law_cpu *cpu, uint64_t table)
{
	enum reference_format format = law_format(cpu);
	uint64_t flags = 0;

	flags |= chance(run, 92) ? PTE_P : 0;
	flags |= chance(run, 80) ? PTE_W : 0;
	flags |= chance(run, 75) ? PTE_U : 0;
	flags |= chance(run, 33) ? PTE_A : 0;
	flags |= chance(run, 25) ? PTE_D : 0;
	if (run->law.use[table / PAGE_SIZE] == LAW_KERNEL && chance(run, 50))
		flags |= PTE_G;
	if (width_of(cpu) == 4)
		return flags;
	flags |= chance(run, 10) ? PTE_NX : 0;
	if (chance(run, format == REFERENCE_PAE ? 1 : 33)) /* reserved in PAE */
		flags |= (uint64_t)below(run, 16) << PTE_KEY_SHIFT;
	if (chance(run, 1)) /* reserved, or where nobody is */
		flags |= 1ull << (cpu->registers.maxphyaddr - 1 + below(run, 4));
	return flags;
}

static uint64_t random_page(struct run *run)
{
	if (chance(run, 3))
		return RAM_SIZE + below(run, 128) * PAGE_SIZE; /* nobody, or a device */
	if (chance(run, 12))
		return run->law.table[below(run, run->law.nr_tables)].gfn * PAGE_SIZE;
	return LAW_FIRST_DATA + below(run, 256) * PAGE_SIZE;
}

/* The page's entry at @level, in a table; false: there is none. */
static bool find_entry(struct run *run, const struct law_cpu *cpu, unsigned page, unsigned level,
		       uint64_t *ret_gpa, uint64_t *ret_entry)
{
	struct law_path path;

	law_walk(&run->law, cpu, cpu->pcid, page, &path);
	for (unsigned i = 0; i < path.nr; i++) {
		if (path.at[i].level != level || path.at[i].gpa >= LAW_FIRST_DATA ||
		    run->law.use[path.at[i].gpa / PAGE_SIZE] == LAW_FIXED)
			continue;
		/* What all roots share stays. */
		if (law_is_kernel(page) && (level >= 4 || (level == 2 && width_of(cpu) == 4)))
			continue;
		*ret_gpa = path.at[i].gpa;
		*ret_entry = path.at[i].entry;
		return true;
	}
	return false;
}

static unsigned top_level(const struct law_cpu *cpu)
{
	switch (law_format(cpu)) {
	case REFERENCE_4_LEVEL: return 4;
	case REFERENCE_5_LEVEL: return 5;
	default: return 2;
	}
}

static void invalidate_any(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned page = below(run, LAW_PAGES);
	unsigned pcid = chance(run, 60) ? cpu->pcid : below(run, LAW_PCIDS);
	unsigned kind = below(run, 8);

	if (kind <= HW_INVPCID_ALL_BUT_GLOBAL) {
		law_invpcid(&run->law, cpu, (enum hw_invpcid)kind, pcid, page);
		run->tally.invalidations[kind]++;
	} else {
		law_invlpg(&run->law, cpu, page);
		run->tally.invalidations[INVLPG]++;
	}
}

/* On every vCPU: all that may hold on to what the page's entries were. */
static void shoot_down(struct run *run, unsigned page, bool one)
{
	for (unsigned i = 0; i < run->law.nr_cpus; i++) {
		struct law_cpu *cpu = &run->law.cpu[i];

		if (!one) {
			law_invpcid(&run->law, cpu, HW_INVPCID_ALL, 0, 0);
			continue;
		}
		law_invlpg(&run->law, cpu, page);
		for (unsigned pcid = 0; pcid < LAW_PCIDS; pcid++)
			if (pcid != cpu->pcid && cpu->stale[pcid][page].changes)
				law_invpcid(&run->law, cpu,
					    chance(run, 70) ? HW_INVPCID_ADDRESS
							    : HW_INVPCID_CONTEXT,
					    pcid, page);
	}
}

/* One vCPU changes an entry that another one walks by, or the same one. */
static void change_leaf(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned page = below(run, LAW_PAGES);
	uint64_t gpa, old, new;

	if (!find_entry(run, cpu, page, 1, &gpa, &old))
		return;
	if (!old || chance(run, 50))
		new = random_page(run) | random_flags(run, cpu, gpa);
	else
		new = old ^ (1ull << below(run, 7)); /* one of P, W, U, PWT, PCD, A, D */
	law_write(&run->law, any_cpu(run), gpa, new, width_of(cpu), false);
	run->changed = page;
	if (chance(run, 50))
		shoot_down(run, page, true);
	else if (chance(run, 50))
		law_invlpg(&run->law, cpu, page); /* the others will, some time */
}

/* A large page; of 4M sometimes with address bits from 32 on (PSE-36), or a reserved one. */
static uint64_t random_large(struct run *run, const struct law_cpu *cpu, unsigned level)
{
	if (level == 3)
		return PTE_PS;
	if (width_of(cpu) == 8)
		return PTE_PS | (uint64_t)below(run, 4) << 21;
	return PTE_PS | (uint64_t)below(run, 2) << 22 |
	       (chance(run, 25) ? 1ull << (chance(run, 50) ? 21 : 13 + below(run, 8)) : 0);
}

/* Rights of an upper entry, or between a table, a large page and nothing. */
static void change_upper(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned level = 2 + below(run, top_level(cpu) - 1), page = below(run, LAW_PAGES);
	bool can_be_large = level == 2 || (level == 3 && top_level(cpu) >= 4);
	uint64_t gpa, old, new;

	if (!find_entry(run, cpu, page, level, &gpa, &old))
		return;
	if (can_be_large && chance(run, 20))
		new = random_large(run, cpu, level) | random_flags(run, cpu, gpa);
	else if (can_be_large && (old & PTE_PS))
		new = 0;
	else
		new = old ^ (1ull << (1 + below(run, 6)));
	law_write(&run->law, any_cpu(run), gpa, new, width_of(cpu), false);
	run->changed = page;
	if (chance(run, 80))
		shoot_down(run, page, false);
}

/* Widening rights needs no invalidation: at most a fault that the walk does not confirm. */
static void widen(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned level = 1 + below(run, top_level(cpu)), page = below(run, LAW_PAGES);
	uint64_t gpa, entry, denied = 0;

	if (!find_entry(run, cpu, page, level, &gpa, &entry) || !(entry & PTE_P))
		return;
	/* What a user may, SMEP, SMAP and keys deny a supervisor: then U stays. */
	for (unsigned i = 0; i < run->law.nr_cpus; i++)
		denied |= run->law.cpu[i].registers.cr4 & (CR4_SMEP | CR4_SMAP | CR4_PKE);
	entry |= PTE_W | (denied ? 0 : PTE_U);
	if (width_of(cpu) == 8)
		entry &= ~PTE_NX;
	law_write(&run->law, any_cpu(run), gpa, entry, width_of(cpu), true);
}

/* A table that is there already, mostly one that was made for such a place. */
static const struct law_table *other_table(struct run *run, unsigned width, unsigned level)
{
	const struct law_table *table = NULL;
	bool any = chance(run, 20);

	for (int tries = 0; tries < 20 && run->law.nr_tables; tries++) {
		table = &run->law.table[below(run, run->law.nr_tables)];
		if (any || (table->width == width && table->level == level))
			return table;
	}
	return NULL;
}

static uint64_t new_table(struct run *run, unsigned width, unsigned level, bool kernel)
{
	struct law *law = &run->law;
	const struct law_table *other;

	if (!kernel && (chance(run, 25) || law->next_table == LAW_FIRST_DATA / PAGE_SIZE)) {
		other = other_table(run, width, level);
		if (other)
			return other->gfn * PAGE_SIZE;
	}
	if (law->next_table == LAW_FIRST_DATA / PAGE_SIZE)
		return 0;
	if (kernel)
		law->use[law->next_table] = LAW_KERNEL;
	else
		law_add_table(law, law->next_table, width, level);
	return law->next_table++ * PAGE_SIZE;
}

/* Puts tables where there are none on the way to a page. */
static void grow(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned page = below(run, LAW_PAGES), width = width_of(cpu);
	uint64_t gpa, entry, table;

	for (unsigned level = top_level(cpu); level > 1; level--) {
		if (!find_entry(run, cpu, page, level, &gpa, &entry) || (entry & PTE_P))
			continue;
		table = new_table(run, width, level - 1, law_is_kernel(page));
		if (table)
			law_write(&run->law, any_cpu(run), gpa, table | PTE_P | PTE_W | PTE_U,
				  width, false);
	}
}

/* One instruction that writes several entries: of one table, in two pages, or of many. */
static void write_several(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned page = below(run, LAW_PAGES), pages = 2 + below(run, chance(run, 80) ? 2 : 8);

	law_attend(&run->law, cpu);
	run->law.executing = true;
	for (unsigned i = 0; i < pages; i++) {
		uint64_t gpa, old;

		/* The next one, mostly; its level too. */
		page = chance(run, 60) ? (page + 1) % LAW_PAGES : below(run, LAW_PAGES);
		if (find_entry(run, cpu, page, 1 + below(run, top_level(cpu)), &gpa, &old))
			law_write(&run->law, cpu, gpa,
				  old ^ (chance(run, 20) ? PTE_P : PTE_W | PTE_A), width_of(cpu),
				  false);
	}
	run->law.executing = false;
	law_attend(&run->law, cpu);
	shoot_down(run, page, false);
	run->changed = page;
}

/* PAE: one of a root's four, sometimes with reserved bits; what counts is the next load. */
static void change_pdpte(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	uint64_t gpa = law_root(REFERENCE_PAE, below(run, LAW_ROOTS)) + 8ull * below(run, 3);
	uint64_t pdpte = new_table(run, 8, 2, false);

	if (!pdpte)
		return;
	if (chance(run, 90))
		pdpte |= PTE_P;
	if (chance(run, 3))
		pdpte |= 1ull << (chance(run, 50) ? 1 + below(run, 2) : 63 - below(run, 10));
	law_write(&run->law, cpu, gpa, pdpte, 8, false);
}

/* Mostly one that is mapped, whatever its rights. */
static unsigned page_to_access(struct run *run, const struct law_cpu *cpu)
{
	unsigned page = chance(run, 15) ? run->changed : below(run, LAW_PAGES);
	struct law_path path;

	for (int tries = 0; tries < 3; tries++) {
		law_walk(&run->law, cpu, cpu->pcid, page, &path);
		if (path.shift || chance(run, 20))
			break;
		page = below(run, LAW_PAGES);
	}
	return page;
}

static void access_one(struct run *run)
{
	static const unsigned sample[] = {0, 8, 0xff8};
	struct law_cpu *cpu = any_cpu(run);
	enum reference_format format = law_format(cpu);
	unsigned page = page_to_access(run, cpu);
	struct tally *tally = &run->tally;
	const struct law_access access = {law_linear(format, page) + sample[below(run, 3)],
					  (enum hw_access)below(run, HW_FETCH + 1),
					  (enum hw_privilege)below(run, HW_PRIVILEGES)};
	struct reference_result result;

	if (law_is_stale(cpu, page)) {
		if (chance(run, 70) && law_access_loosely(&run->law, cpu, page, &access))
			tally->loose++;
		else
			tally->skipped++;
		return;
	}
	result = law_access(&run->law, cpu, page, &access);
	tally->accesses++;
	tally->faults += result.fault;
	for (int i = 0; i < 6 && result.fault; i++)
		tally->bits[format][i] += result.code >> i & 1;
	if (result.fault)
		return;
	tally->of_size[format][result.page_shift]++;
	tally->global += result.global;
	tally->devices += result.physical - LAW_DEVICE < LAW_DEVICE_SIZE;
}

static void load_cr3(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	unsigned pcid = below(run, LAW_PCIDS);
	unsigned root = chance(run, 75) ? cpu->root[pcid] : below(run, LAW_ROOTS);
	bool keep = chance(run, 70), loaded;

	if (law_format(cpu) == REFERENCE_NONE)
		return;
	loaded = law_load_cr3(&run->law, cpu, root, pcid, keep);
	run->tally.refused += !loaded;
	run->tally.invalidations[LOAD_AND_KEEP] +=
		loaded && keep && (cpu->registers.cr4 & CR4_PCIDE);
}

static void change_control(struct run *run)
{
	static const uint64_t bits[] = {CR4_PGE, CR4_SMEP, CR4_SMAP, CR4_PKE, CR4_PSE};
	struct law_cpu *cpu = any_cpu(run);
	struct reference_registers registers = cpu->registers;
	unsigned which = below(run, 16);

	if (which >= 11) {
		/* A quarter of the bits: each key has its own rights, and most some. */
		cpu->registers.pkru = (uint32_t)(law_bits(&run->law) & law_bits(&run->law));
		hw_set_pkru(cpu->hw, cpu->registers.pkru);
		return;
	}
	if (which < 2) {
		registers.cr0 ^= CR0_WP;
	} else if (which < 4) {
		/* Mostly on: off, many entries have a reserved bit. */
		if (!(registers.efer & EFER_NXE) || chance(run, 25))
			registers.efer ^= EFER_NXE;
	} else if (which < 9) {
		registers.cr4 ^= bits[which - 4];
	} else {
		/* SDM 3A 4.10.1: only in long mode, and turned on only with PCID 0. */
		if (law_format(cpu) < REFERENCE_4_LEVEL)
			return;
		if (registers.cr4 & CR4_PCIDE ? chance(run, 80) : registers.cr3 & CR3_PCID)
			return;
		registers.cr4 ^= CR4_PCIDE;
	}
	run->tally.refused += !law_change_registers(&run->law, cpu, &registers);
	if (cpu->global[0].changes > 1) /* most is in doubt */
		law_invpcid(&run->law, cpu, HW_INVPCID_ALL, 0, 0);
}

static void change_format(struct run *run)
{
	struct law_cpu *cpu = any_cpu(run);
	enum reference_format format = 1 + below(run, REFERENCE_FORMATS - 1);

	if (law_format(cpu) != REFERENCE_NONE)
		format = REFERENCE_NONE;
	run->tally.refused += !law_change_format(&run->law, cpu, format, below(run, LAW_ROOTS));
	if (law_format(cpu) >= REFERENCE_4_LEVEL && chance(run, 70)) {
		struct reference_registers registers = cpu->registers;

		registers.cr4 |= CR4_PCIDE;
		law_change_registers(&run->law, cpu, &registers);
	}
}

/* What shows that the mode has been at work. */
static uint64_t work_of(struct run *run, enum umbra_mode mode)
{
	switch (mode) {
	case UMBRA_MODE_BRUTE:
	case UMBRA_MODE_SHADOW: return law_counter(&run->law, shadow_fills[0]);
	case UMBRA_MODE_EPT: return law_counter(&run->law, walk_references_nested[0]);
	default: return 0;
	}
}

static void switch_mode(struct run *run)
{
	struct law *law = &run->law;
	enum umbra_mode from = law->box.vmm->mode;
	enum umbra_mode to = run->modes[below(run, run->nr_modes)];

	if (from == to)
		return;
	run->tally.filled[from] += work_of(run, from) > run->work;
	assert_int_equal(vmm_switch(law->box.vmm, to, law->step, law->step, NULL), 0);
	run->work = work_of(run, to);
	run->tally.switches[to]++;
}

static void read_table(struct run *run)
{
	uint64_t gpa = LAW_FIRST_TABLE + below(run, 1 << 18) * 8ull;

	law_read(&run->law, any_cpu(run), gpa, 8);
}

/* How often, of a thousand steps; all others are accesses. */
static const struct {
	unsigned often;
	void (*step)(struct run *run);
} steps[] = {
	{90, change_leaf}, {8, change_upper},    {30, widen},        {90, grow},
	{5, change_pdpte}, {10, change_control}, {25, load_cr3},     {25, invalidate_any},
	{20, read_table},  {6, switch_mode},     {4, write_several},
};

static void step(struct run *run)
{
	uint32_t dice = below(run, 1000);

	/* Formats are changed rarely; without paging no vCPU stays long. */
	for (unsigned i = 0; i < run->law.nr_cpus; i++) {
		bool unpaged = law_format(&run->law.cpu[i]) == REFERENCE_NONE;

		if (below(run, unpaged ? 40 * run->law.nr_cpus : 1500) == 0)
			change_format(run);
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (dice < steps[i].often) {
			steps[i].step(run);
			return;
		}
		dice -= steps[i].often;
	}
	access_one(run);
}

static void run_law(struct run *run, unsigned cpus, unsigned shift, uint64_t seed)
{
	static const uint8_t widths[] = {36, 39, 40, 46, 48, 52};
	struct law *law = &run->law;
	struct tally *tally = &run->tally;
	uint64_t switches = 0;

	law_create(law, run->modes[0], cpus, shift, widths[seed % sizeof(widths)], seed);
	run->work = 0;
	for (law->step = 0; law->step < NR_STEPS; law->step++) {
		step(run);
		if (law->step % COMPARE)
			continue;
		law_compare_memory(law);
		if (law->box.vmm->shadow)
			law_check_lists(law->box.vmm->shadow);
	}
	law_compare_memory(law);
	for (unsigned mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		switches += tally->switches[mode];
	assert_int_equal(law->box.vmm->switches, switches - run->counted);
	run->counted = switches;
	tally->stores += law->stores;
	tally->unsyncs += law_counter(law, shadow_unsyncs[0]);
	tally->syncs += law_counter(law, shadow_syncs[0]);
	tally->table_writes += law_counter(law, shadow_table_writes[0]);
	tally->table_reads += law_counter(law, shadow_table_reads[0]);
	tally->remote_flushes += law_counter(law, shadow_remote_flushes[0]);
	tally->reclaims += law_counter(law, shadow_reclaims[0]);
	if (run->modes[0] == UMBRA_MODE_BARE)
		assert_int_equal(law_counter(law, exit_cycles[0]), 0);
	law_destroy(law);
}

static void print_tally(const struct run *run, const char *name)
{
	static const char *const formats[] = {"unpaged", "2-level", "PAE", "4-level", "5-level"};
	const struct tally *tally = &run->tally;

	printf("# %s: %lu accesses, %lu faults, %lu loose, %lu left out, %lu devices, %lu global, "
	       "%lu refused, %lu stores\n",
	       name, tally->accesses, tally->faults, tally->loose, tally->skipped, tally->devices,
	       tally->global, tally->refused, tally->stores);
	for (int format = REFERENCE_32_BIT; format < REFERENCE_FORMATS; format++)
		printf("#   %s: 4K %lu, 2M %lu, 4M %lu, 1G %lu; P %lu, W %lu, U %lu, RSVD %lu, "
		       "I %lu, PK %lu\n",
		       formats[format], tally->of_size[format][12], tally->of_size[format][21],
		       tally->of_size[format][22], tally->of_size[format][30],
		       tally->bits[format][0], tally->bits[format][1], tally->bits[format][2],
		       tally->bits[format][3], tally->bits[format][4], tally->bits[format][5]);
	for (unsigned i = 0; i < run->nr_modes && run->nr_modes > 1; i++)
		printf("#   to %s: %lu switches, %lu at work\n", umbra_mode_name(run->modes[i]),
		       tally->switches[run->modes[i]], tally->filled[run->modes[i]]);
	printf("#   %lu unsyncs, %lu syncs, %lu table writes, %lu table reads, %lu remote flushes, "
	       "%lu reclaims\n",
	       tally->unsyncs, tally->syncs, tally->table_writes, tally->table_reads,
	       tally->remote_flushes, tally->reclaims);
}

/* That the runs met what they are there for. */
static void check_tally(const struct run *run)
{
	const struct tally *tally = &run->tally;

	assert_true(tally->faults > tally->accesses / 20);
	assert_true(tally->faults < tally->accesses * 19 / 20);
	assert_true(tally->skipped < tally->accesses);
	assert_true(tally->loose && tally->devices && tally->global);
	for (int format = REFERENCE_32_BIT; format < REFERENCE_FORMATS; format++) {
		bool wide = format >= REFERENCE_4_LEVEL, narrow = format == REFERENCE_32_BIT;

		assert_int_equal(tally->of_size[format][12] > 0, true);
		assert_int_equal(tally->of_size[format][21] > 0, !narrow);
		assert_int_equal(tally->of_size[format][22] > 0, narrow);
		assert_int_equal(tally->of_size[format][30] > 0, wide);
		for (int i = 0; i < 6; i++)
			assert_int_equal(tally->bits[format][i] > 0, i < 5 || wide);
	}
	assert_true(tally->refused && tally->stores);
	for (int i = 0; i < INVALIDATIONS; i++)
		assert_true(tally->invalidations[i]);
	for (unsigned i = 0; i < run->nr_modes; i++) {
		enum umbra_mode mode = run->modes[i];

		assert_int_equal(tally->switches[mode] > 0, run->nr_modes > 1);
		/* The next one may come before anything else has happened. */
		assert_true(tally->filled[mode] >= tally->switches[mode] * 9 / 10);
		if (mode == UMBRA_MODE_SHADOW)
			assert_true(tally->unsyncs && tally->syncs && tally->table_writes);
		if (mode == UMBRA_MODE_BRUTE)
			assert_true(tally->table_writes && tally->table_reads);
	}
}

/* All of it with that many vCPUs. */
static void run_all(const enum umbra_mode *list, unsigned nr, unsigned cpus)
{
	const char *full = getenv("UMBRA_FULL"), *one = getenv("LAW_SEED");
	unsigned seeds = full && *full == '1' ? SEEDS_FULL : SEEDS, seed = 1;
	struct run *run = calloc(1, sizeof(*run));
	char name[64];

	assert_non_null(run);
	run->modes = list;
	run->nr_modes = nr;
	if (one)
		seed = seeds = (unsigned)atoi(one);
	for (; seed <= seeds; seed++)
		run_law(run, cpus, seed % 2 ? PAGE_SHIFT : SHIFT_2M, seed);
	snprintf(name, sizeof(name), "%s, %u vCPUs", nr > 1 ? "switched" : umbra_mode_name(list[0]),
		 cpus);
	print_tally(run, name);
	if (!one)
		check_tally(run);
	free(run);
}

static const enum umbra_mode bare[] = {UMBRA_MODE_BARE}, brute[] = {UMBRA_MODE_BRUTE},
			     shadow[] = {UMBRA_MODE_SHADOW}, ept[] = {UMBRA_MODE_EPT},
			     switched[] = {UMBRA_MODE_EPT, UMBRA_MODE_SHADOW, UMBRA_MODE_BRUTE};

#define LAW(mode, name, cpus)                                                                      \
	static void mode##_with_##name##_follows_the_manual(void **state)                          \
	{                                                                                          \
		run_all(mode, sizeof(mode) / sizeof((mode)[0]), cpus);                             \
	}
#define LAWS(mode) LAW(mode, one_vcpu, 1) LAW(mode, two_vcpus, 2) LAW(mode, four_vcpus, 4)

LAWS(bare)
LAWS(brute)
LAWS(shadow)
LAWS(ept)
LAWS(switched)

/* A guest that makes the same table go out of sync again and again takes no memory for it.
 */
static void a_page_is_once_in_the_list_of_those_out_of_sync(void **state)
{
	const uint64_t gva = 0x40000000, rights = PTE_P | PTE_W | PTE_U | PTE_A;
	uint64_t upper, leaf, table;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	leaf = box_entry(&box, gva, 1);
	upper = box_entry(&box, gva, 2);
	table = box_get(&box, upper);
	box_put(&box, leaf, LAW_FIRST_DATA | rights);
	for (unsigned i = 0; i < 100; i++) {
		assert_false(box_access(&box, gva, HW_READ, false).fault);
		box_guest_write(&box, leaf, (LAW_FIRST_DATA + i * PAGE_SIZE) | rights);
		/* The path to it goes and comes back: the table is in sync again. */
		box_guest_write(&box, upper, table ^ (i & 1 ? PTE_U : PTE_U | PTE_W));
		hw_invlpg(box.hw, gva);
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

#define TESTS(mode)                                                                                \
	cmocka_unit_test(mode##_with_one_vcpu_follows_the_manual),                                 \
		cmocka_unit_test(mode##_with_two_vcpus_follows_the_manual),                        \
		cmocka_unit_test(mode##_with_four_vcpus_follows_the_manual)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_once_in_the_list_of_those_out_of_sync),
		cmocka_unit_test(no_table_lies_at_host_address_zero),
		TESTS(bare),
		TESTS(brute),
		TESTS(shadow),
		TESTS(ept),
		TESTS(switched),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
