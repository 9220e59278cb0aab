/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The world itself: tables, walks by hand, writes of entries, accesses and what they must be. */
#include "law_world.h"

/* Guest pages of what does not change. Roots, one page each, but PAE's, which are 32 bytes. */
#define ROOT_2_LEVEL   300
#define WINDOW_2_LEVEL 303 /* two tables */
#define KERNEL_2_LEVEL 305
#define ROOT_PAE       310
#define KERNEL_PAE     311 /* a page directory, with the window */
#define ROOT_4_LEVEL   320
#define KERNEL_4_LEVEL 323 /* a page-directory-pointer table */
#define ROOT_5_LEVEL   330

/*
 * How the guest reaches its tables where addresses have 32 bits (else WINDOW). No page of the law
 * has an index, at any level, of an entry of a root that all roots share: those never change, also
 * where a root is used as another table.
 */
#define WINDOW_32   0xff000000ull
#define KERNEL_32   0xc0000000ull
#define KERNEL_64   0xffff800000000000ull
#define ROOT_SHARED 256 /* index of KERNEL_64 in a PML4 */
#define ROOT_LAST   511 /* of WINDOW in PML4 and PML5 */

#define CHANGEABLE  (PTE_A | PTE_D)

uint64_t law_bits(struct law *law)
{
	uint64_t z = law->random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint32_t law_below(struct law *law, uint32_t limit)
{
	return (law_bits(law) >> 32) * limit >> 32;
}

/* A few addresses close together and far apart, so that tables and cache sets are shared. */
uint64_t law_linear(enum reference_format format, unsigned page)
{
	static const uint64_t regions[REFERENCE_FORMATS][LAW_REGIONS] = {
		[REFERENCE_NONE] = {0, 2 << 20, 4 << 20, 6 << 20, 7 << 20, RAM_SIZE},
		/* The first two, and the next two, are in a page of 4M. */
		[REFERENCE_32_BIT] = {0, 0x200000 + 0x40000, 0x400000, 0x600000 + 0x40000,
				      0x80000000, KERNEL_32},
		[REFERENCE_PAE] = {0, 0x200000, 0x40000000, 0x40200000, 0x80000000, KERNEL_32},
		[REFERENCE_4_LEVEL] = {0, 0x200000, 0x40000000, 0x8000000000, 0x8000200000,
				       KERNEL_64},
		[REFERENCE_5_LEVEL] = {0, 0x200000, 0x8000000000, 0x1000000000000, 0xab000000200000,
				       KERNEL_64},
	};

	return regions[format][page / LAW_PER_REGION] +
	       (uint64_t)(page % LAW_PER_REGION) * PAGE_SIZE;
}

enum reference_format law_format(const struct law_cpu *cpu)
{
	return reference_format(&cpu->registers);
}

uint64_t law_root(enum reference_format format, unsigned root)
{
	switch (format) {
	case REFERENCE_32_BIT: return (ROOT_2_LEVEL + root) * PAGE_SIZE;
	case REFERENCE_PAE: return ROOT_PAE * PAGE_SIZE + (5 * root + 1) * 32;
	case REFERENCE_4_LEVEL: return (ROOT_4_LEVEL + root) * PAGE_SIZE;
	case REFERENCE_5_LEVEL: return (ROOT_5_LEVEL + root) * PAGE_SIZE;
	default: return 0;
	}
}

static uint64_t window(enum reference_format format)
{
	switch (format) {
	case REFERENCE_NONE: return 0;
	case REFERENCE_32_BIT:
	case REFERENCE_PAE: return WINDOW_32;
	default: return WINDOW;
	}
}

static void put_4(struct box *box, uint64_t gpa, uint32_t entry)
{
	assert_int_equal(memory_write(&box->memory, gpa, &entry, sizeof(entry)), 0);
}

void law_add_table(struct law *law, uint32_t gfn, unsigned width, unsigned level)
{
	law->use[gfn] = LAW_TABLE;
	law->table[law->nr_tables++] = (struct law_table){gfn, (uint8_t)width, (uint8_t)level};
}

/* The window and the kernel's region under every root of every format. */
static void make_roots(struct law *law)
{
	const uint64_t flags = PTE_P | PTE_W | PTE_A | PTE_D, user = flags | PTE_U;
	const unsigned window_index = WINDOW_32 >> 22, pae_index = WINDOW_32 >> 21 & ROOT_LAST;
	struct box *box = &law->box;
	uint64_t old_root = box->regs.cr3;

	/* Whoever has them cached under another root need not walk by them: no walk changes them.
	 */
	for (unsigned level = 2; level <= LEVELS; level++)
		for (uint64_t at = WINDOW; at < WINDOW + RAM_SIZE; at += 1ull << 21) {
			uint64_t gpa = box_entry(box, at, level);

			box_put(box, gpa, box_get(box, gpa) | PTE_A);
		}
	for (unsigned i = 0; i < RAM_SIZE / PAGE_SIZE; i++)
		put_4(box, WINDOW_2_LEVEL * PAGE_SIZE + 4ull * i, i * PAGE_SIZE | flags);
	/* The tables of 4K pages that map the window are the same in all formats of 8 bytes. */
	for (unsigned i = 0; i < RAM_SIZE >> 21; i++)
		box_put(box, KERNEL_PAE * PAGE_SIZE + 8ull * (pae_index + i),
			(box_entry(box, WINDOW + ((uint64_t)i << 21), 1) & ~PAGE_MASK) | flags);
	box_put(box, KERNEL_4_LEVEL * PAGE_SIZE, 0);
	for (unsigned root = 0; root < LAW_ROOTS; root++) {
		uint64_t at = law_root(REFERENCE_32_BIT, root);

		for (unsigned i = 0; i < 2; i++)
			put_4(box, at + 4ull * (window_index + i),
			      (WINDOW_2_LEVEL + i) * PAGE_SIZE | flags);
		put_4(box, at + 4 * (KERNEL_32 >> 22), KERNEL_2_LEVEL * PAGE_SIZE | user);
		law_add_table(law, at / PAGE_SIZE, 4, 2);
		box_put(box, law_root(REFERENCE_PAE, root) + 8 * 3, KERNEL_PAE * PAGE_SIZE | PTE_P);
		at = law_root(REFERENCE_4_LEVEL, root);
		box_put(box, at + 8 * ROOT_LAST, box_get(box, old_root + 8 * ROOT_LAST));
		box_put(box, at + 8 * ROOT_SHARED, KERNEL_4_LEVEL * PAGE_SIZE | user);
		law_add_table(law, at / PAGE_SIZE, 8, 4);
		at = law_root(REFERENCE_5_LEVEL, root);
		box_put(box, at + 8 * ROOT_LAST, law_root(REFERENCE_4_LEVEL, 0) | user);
		law_add_table(law, at / PAGE_SIZE, 8, 5);
	}
	law->use[KERNEL_2_LEVEL] = law->use[KERNEL_PAE] = law->use[KERNEL_4_LEVEL] = LAW_KERNEL;
	law->next_table = LAW_FIRST_TABLE / PAGE_SIZE;
}

static const struct processor *processor_of(uint64_t seed)
{
	unsigned count = 0;

	while (processor_at(count))
		count++;
	return processor_at(seed % count);
}

void law_create(struct law *law, enum umbra_mode mode, unsigned cpus, unsigned backing_shift,
		unsigned maxphyaddr, uint64_t seed)
{
	struct box *box = &law->box;
	struct hw *hw[LAW_MAX_CPUS];

	memset(law, 0, sizeof(*law));
	law->seed = law->random_state = seed;
	law->nr_cpus = cpus;
	box_create_backed(box, mode, backing_shift, RAM_SIZE);
	assert_int_equal(memory_add_mmio(&box->memory, LAW_DEVICE, LAW_DEVICE_SIZE), 0);
	/* The guest begins anew, with this processor and its width of addresses. */
	vmm_destroy(box->vmm);
	hw_destroy(box->hw);
	make_roots(law);
	box->regs.cr3 = law_root(REFERENCE_4_LEVEL, 0);
	for (unsigned i = 0; i < cpus; i++) {
		assert_int_equal(
			hw_create(&box->memory, &umbra_cost_default, processor_of(seed), &hw[i]),
			0);
		hw_set_maxphyaddr(hw[i], maxphyaddr);
	}
	box->hw = hw[0];
	assert_int_equal(vmm_create(hw, cpus, &box->memory, mode, &box->vmm, NULL), 0);
	for (unsigned i = 0; i < cpus; i++) {
		assert_int_equal(hw_paging_changed(hw[i], &box->regs), 0);
		law->cpu[i].hw = hw[i];
		law->cpu[i].registers = box_registers(box);
	}
	law->flat = (struct reference_memory){malloc(RAM_SIZE), RAM_SIZE};
	assert_non_null(law->flat.ram);
	assert_int_equal(memory_read(&box->memory, 0, law->flat.ram, RAM_SIZE), 0);
}

void law_destroy(struct law *law)
{
	for (unsigned i = 1; i < law->nr_cpus; i++)
		hw_destroy(law->cpu[i].hw);
	free(law->flat.ram);
	box_destroy(&law->box);
}

void law_attend(struct law *law, struct law_cpu *cpu)
{
	if (hw_public(cpu->hw)->attention)
		hw_attend(cpu->hw);
	if (hw_failed(cpu->hw))
		fail_msg("seed %lu, step %lu: %s", law->seed, law->step, hw_error_text(cpu->hw));
}

void law_compare_memory(struct law *law)
{
	for (uint64_t gpa = 0; gpa < RAM_SIZE; gpa += PAGE_SIZE) {
		uint64_t page[PAGE_SIZE / 8];
		const uint64_t *want = (const uint64_t *)(law->flat.ram + gpa);

		assert_int_equal(memory_read(&law->box.memory, gpa, page, PAGE_SIZE), 0);
		for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
			if (page[i] != want[i])
				fail_msg("seed %lu, step %lu, in %s: memory at %#lx is %#lx, must "
					 "be %#lx",
					 law->seed, law->step, umbra_mode_name(law->box.vmm->mode),
					 gpa + i * 8, page[i], want[i]);
	}
}

static uint64_t load(const struct law *law, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, law->flat.ram + gpa, size);
	return value;
}

void law_walk(const struct law *law, const struct law_cpu *cpu, unsigned pcid, unsigned page,
	      struct law_path *ret_path)
{
	enum reference_format format = law_format(cpu);
	unsigned width = format == REFERENCE_32_BIT ? 4 : 8;
	unsigned bits = width == 4 ? 10 : 9, level;
	uint64_t linear = law_linear(format, page), table = law_root(format, cpu->root[pcid]);
	const bool pse = width == 8 || (cpu->registers.cr4 & CR4_PSE);
	const unsigned largest = width == 4 || format == REFERENCE_PAE ? 2 : 3;

	ret_path->nr = ret_path->shift = 0;
	level = format == REFERENCE_5_LEVEL ? 5 : format == REFERENCE_4_LEVEL ? 4 : 2;
	if (format == REFERENCE_NONE)
		return;
	if (format == REFERENCE_PAE) {
		table = cpu->registers.pdpte[linear >> 30 & 3];
		if (!(table & PTE_P))
			return;
		table &= ENTRY_ADDRESS;
	}
	for (; level > 0; level--) {
		unsigned shift = 12 + bits * (level - 1);
		uint64_t gpa = table + (linear >> shift & ((1u << bits) - 1)) * width, entry;

		if (gpa >= RAM_SIZE)
			return;
		entry = load(law, gpa, width);
		ret_path->at[ret_path->nr].gpa = gpa;
		ret_path->at[ret_path->nr].entry = entry;
		ret_path->at[ret_path->nr++].level = level;
		if (!(entry & PTE_P))
			return;
		if (level == 1 || (level <= largest && pse && (entry & PTE_PS))) {
			ret_path->shift = shift;
			return;
		}
		table = entry & ENTRY_ADDRESS;
	}
}

static void mark_stale(struct law_stale *stale, bool fresh, const struct law_stale *value)
{
	if (stale->changes)
		stale->changes = 2;
	else if (fresh)
		*stale = *value;
}

/* What @cpu may have cached by the @size bytes at @gpa, which are about to change. */
static void mark_cpu(struct law *law, struct law_cpu *cpu, unsigned pcid, uint64_t gpa,
		     unsigned size, bool widens)
{
	const unsigned width = law_format(cpu) == REFERENCE_32_BIT ? 4 : 8;
	bool global = cpu->registers.cr4 & CR4_PGE;

	for (unsigned page = 0; page < LAW_PAGES; page++) {
		struct law_path path;
		struct law_stale value = {.changes = 1,
					  .size = (uint8_t)size,
					  .gpa = gpa,
					  .old = load(law, gpa, size)};
		unsigned i = 0;
		bool fresh;

		law_walk(law, cpu, pcid, page, &path);
		while (i < path.nr &&
		       (path.at[i].gpa >= gpa + size || path.at[i].gpa + width <= gpa))
			i++;
		if (i == path.nr)
			continue;
		value.shift = (uint8_t)path.shift;
		value.leaf = path.shift && i == path.nr - 1;
		fresh = (path.at[i].entry & PTE_P) && !widens;
		mark_stale(&cpu->stale[pcid][page], fresh, &value);
		/* G counts in what maps the page, and only the kernel's have it. */
		fresh &= global && law_is_kernel(page) && path.shift &&
			 (path.at[path.nr - 1].entry & PTE_G);
		mark_stale(&cpu->global[page], fresh, &value);
	}
}

static void mark_all(struct law *law, uint64_t gpa, uint64_t entry, unsigned size, bool widens)
{
	for (unsigned i = 0; i < law->nr_cpus; i++) {
		struct law_cpu *cpu = &law->cpu[i];
		unsigned pcids = cpu->registers.cr4 & CR4_PCIDE ? LAW_PCIDS : 1;

		cpu->widened |= widens && (entry & ~load(law, gpa, size) & PTE_U);
		for (unsigned pcid = 0; pcid < pcids; pcid++)
			mark_cpu(law, cpu, pcid, gpa, size, widens);
	}
}

void law_write(struct law *law, struct law_cpu *writer, uint64_t gpa, uint64_t entry, unsigned size,
	       bool widens)
{
	const struct reference_access write = {window(law_format(writer)) + gpa, REFERENCE_WRITE,
					       false, false};
	struct reference_result result;
	uint8_t *host;

	mark_all(law, gpa, entry, size, widens);
	result = reference_walk(&law->flat, &writer->registers, &write);
	assert_false(result.fault);
	assert_int_equal(result.physical, gpa);
	if (!law->executing)
		law_attend(law, writer);
	host = hw_translate(writer->hw, write.linear, HW_WRITE, HW_SUPERVISOR);
	if (!host)
		fail_msg("seed %lu, step %lu, in %s: no write at %#lx", law->seed, law->step,
			 umbra_mode_name(law->box.vmm->mode), gpa);
	memcpy(host, &entry, size);
	if (!law->executing)
		law_attend(law, writer);
	memcpy(law->flat.ram + gpa, &entry, size);
}

void law_read(struct law *law, struct law_cpu *reader, uint64_t gpa, unsigned size)
{
	const struct reference_access read = {window(law_format(reader)) + gpa, REFERENCE_READ,
					      false, false};
	const uint8_t *host;

	assert_int_equal(reference_walk(&law->flat, &reader->registers, &read).physical, gpa);
	law_attend(law, reader);
	host = hw_translate(reader->hw, read.linear, HW_READ, HW_SUPERVISOR);
	if (!host || memcmp(host, law->flat.ram + gpa, size))
		fail_msg("seed %lu, step %lu, in %s: %#lx is not read as it was written", law->seed,
			 law->step, umbra_mode_name(law->box.vmm->mode), gpa);
	law_attend(law, reader);
}

/* The access is a write and came to a table, by whatever page maps that: an entry changes. */
static void store(struct law *law, uint8_t *host, uint64_t gpa)
{
	uint64_t entry;

	if (gpa < LAW_FIRST_TABLE || gpa >= LAW_FIRST_DATA ||
	    law->use[gpa / PAGE_SIZE] != LAW_TABLE)
		return;
	entry = load(law, gpa, 8) ^ (1ull << law_below(law, 7));
	if (law_below(law, 2))
		entry = (LAW_FIRST_DATA + law_below(law, 256) * PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
	mark_all(law, gpa, entry, 8, false);
	memcpy(host, &entry, 8);
	memcpy(law->flat.ram + gpa, &entry, 8);
	law->stores++;
}

/* What the product makes of it, as the reference would put it. */
static struct reference_result access_product(struct law *law, struct law_cpu *cpu,
					      const struct law_access *access)
{
	struct hw_public *p = hw_public(cpu->hw);
	struct reference_result result = {0};
	uint8_t *host;

	law_attend(law, cpu);
	host = hw_translate(cpu->hw, access->linear, access->access, access->privilege);
	if (host) {
		uint64_t frame = hw_frame_of(cpu->hw, host);

		result.physical = frame == HW_NO_PAGE
					  ? UINT64_MAX
					  : (uint64_t)law->box.memory.page_of[frame] * PAGE_SIZE +
						    (access->linear & PAGE_MASK);
		if (access->access == HW_WRITE)
			store(law, host, result.physical);
	} else if (p->mmio) {
		result.physical = p->mmio_gpa;
	} else {
		assert_int_equal(p->fault_address, access->linear);
		result.fault = true;
		result.code = p->fault_code;
	}
	law_attend(law, cpu);
	return result;
}

static struct reference_result access_reference(struct law *law, const struct law_cpu *cpu,
						const struct law_access *access)
{
	const struct reference_access asked = {access->linear, (enum reference_kind)access->access,
					       access->privilege == HW_USER,
					       access->privilege == HW_SUPERVISOR_AC};
	struct reference_result result = reference_walk(&law->flat, &cpu->registers, &asked);

	/* Nobody tells where he does not answer, and no device lets code be fetched. */
	if (!result.fault && result.physical >= RAM_SIZE &&
	    (result.physical - LAW_DEVICE >= LAW_DEVICE_SIZE || access->access == HW_FETCH))
		result.physical = UINT64_MAX;
	return result;
}

static bool same(const struct reference_result *a, const struct reference_result *b)
{
	return a->fault == b->fault && (a->fault ? a->code == b->code : a->physical == b->physical);
}

static void refuse(const struct law *law, const struct law_cpu *cpu,
		   const struct law_access *access, const struct reference_result *got,
		   const struct reference_result *want)
{
	fail_msg("seed %lu, step %lu, vCPU %ld in %s, format %d: linear %#lx, access %d, privilege "
		 "%d: %s %#lx, must be %s %#lx",
		 law->seed, law->step, cpu - law->cpu, umbra_mode_name(law->box.vmm->mode),
		 law_format(cpu), access->linear, access->access, access->privilege,
		 got->fault ? "fault" : "at", got->fault ? got->code : got->physical,
		 want->fault ? "fault" : "at", want->fault ? want->code : want->physical);
}

/*
 * All ones, read as a table where nobody answers, make a global page outside the kernel's region:
 * other roots have another one, so it must not stay.
 */
static void drop_global(struct law *law, struct law_cpu *cpu, unsigned page,
			const struct reference_result *result)
{
	if (result->global && !law_is_kernel(page))
		law_invpcid(law, cpu, HW_INVPCID_ALL, 0, 0);
}

struct reference_result law_access(struct law *law, struct law_cpu *cpu, unsigned page,
				   const struct law_access *access)
{
	struct reference_result want = access_reference(law, cpu, access);
	struct reference_result got = access_product(law, cpu, access);

	if (!same(&got, &want))
		refuse(law, cpu, access, &got, &want);
	drop_global(law, cpu, page, &want);
	return want;
}

bool law_is_stale(const struct law_cpu *cpu, unsigned page)
{
	return cpu->stale[cpu->pcid][page].changes || cpu->global[page].changes;
}

/* The reference's outcome; the bits that it sets in the path are taken back. */
static struct reference_result try_reference(struct law *law, const struct law_cpu *cpu,
					     unsigned page, const struct law_access *access)
{
	struct reference_result result;
	struct law_path path;

	law_walk(law, cpu, cpu->pcid, page, &path);
	result = access_reference(law, cpu, access);
	for (unsigned i = 0; i < path.nr; i++)
		memcpy(law->flat.ram + path.at[i].gpa, &path.at[i].entry, 4);
	return result;
}

/* The bits that the product has set in the path, be it the old one or the new one. */
static void adopt_bits(struct law *law, const struct law_path *path)
{
	for (unsigned i = 0; i < path->nr; i++) {
		uint64_t gpa = path->at[i].gpa, want = load(law, gpa, 4), got = 0;

		assert_int_equal(memory_read(&law->box.memory, gpa, &got, 4), 0);
		if (((got ^ want) & ~CHANGEABLE) || (want & ~got))
			fail_msg("seed %lu, step %lu: the entry at %#lx became %#lx, was %#lx",
				 law->seed, law->step, gpa, got, want);
		memcpy(law->flat.ram + gpa, &got, 4);
	}
}

bool law_access_loosely(struct law *law, struct law_cpu *cpu, unsigned page,
			const struct law_access *access)
{
	const struct law_stale *stale = &cpu->stale[cpu->pcid][page];
	struct reference_result newer, older, got;
	struct law_path path;
	uint64_t entry;

	if (cpu->global[page].changes || stale->changes != 1 || !stale->leaf)
		return false;
	newer = try_reference(law, cpu, page, access);
	entry = load(law, stale->gpa, stale->size);
	memcpy(law->flat.ram + stale->gpa, &stale->old, stale->size);
	older = try_reference(law, cpu, page, access);
	memcpy(law->flat.ram + stale->gpa, &entry, stale->size);
	law_walk(law, cpu, cpu->pcid, page, &path);
	got = access_product(law, cpu, access);
	if (!same(&got, &newer) && !same(&got, &older))
		refuse(law, cpu, access, &got, &newer);
	adopt_bits(law, &path);
	drop_global(law, cpu, page, &newer);
	drop_global(law, cpu, page, &older);
	return true;
}
