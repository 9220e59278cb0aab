/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of paging take of the host's time, without a CPU around them: hits, walks, fills,
 * table accesses of the guest, INVLPG, loads of CR3. Writes JSON to standard output: of each row
 * the samples, nanoseconds an operation; bench.py takes medians and prints tables.
 *
 * Seconds are the thread's own processor seconds: what else runs takes none of them, though it
 * takes lines from the host's caches.
 *
 * usage: paging SAMPLES PAGES [LABEL]    LABEL: begins with "name, mode, warm or cold" of a row
 */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#include "paging/shadow.h"
#include "paging_fixture.h"

#define MAX_SAMPLES 101
#define MIN_PAGES   16384
#define MAX_PAGES   450000
#define LINE        64
#define FLAGS       (PTE_P | PTE_W | PTE_A | PTE_D)
#define DATA        (64ull << 20) /* data lies from here on, tables below */
#define REGION      (1ull << 30)  /* of guest-virtual addresses where the pages are */

/* How the pages of a working set lie. */
enum layout {
	LAYOUT_DENSE,  /* one after the other, all tables full */
	LAYOUT_SPARSE, /* each below tables of its own, so that no walk cache knows one */
	LAYOUT_SPREAD, /* the same, and these tables lie far from each other */
};

struct set {
	struct box box;
	uint64_t *gva; /* in random order where dense */
	uint32_t count, next;
};

struct row;

struct sample {
	uint64_t ns, operations;
};

struct row {
	const char *name;
	enum umbra_mode mode;
	enum layout layout;
	uint32_t pages; /* 0: as many as asked for */
	bool cold;      /* what the host's caches hold of tables and maps is flushed before */
	void (*prepare)(struct set *set, const struct row *row); /* before each sample */
	struct sample (*run)(struct set *set, const struct row *row);
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- working sets ------------------------------------------------------------------------- */

static void shuffle(uint64_t *numbers, uint32_t count)
{
	uint64_t random = 1;

	for (uint32_t i = count; i > 1; i--) {
		uint32_t other;
		uint64_t number = numbers[i - 1];

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		other = (random >> 32) % i;
		numbers[i - 1] = numbers[other];
		numbers[other] = number;
	}
}

#define SPARSE_ROOTS 240u /* entries of the PML4, more than its walk cache has */
#define FAR_PAGES    512u /* 2M of the guest, one table after the other in each of ... */
#define FAR_REGIONS  448u
#define NEAR_TABLES  (SPARSE_SET * 3 / FAR_REGIONS + 1)
#define OF_SET       0
#define SPARSE_SET   (SPARSE_ROOTS * 8)

/* Tables of a page that are its own: each in another 2M of the guest than the one before. */
static void map_apart(struct set *set, uint64_t gva, uint64_t gpa, enum layout layout,
		      uint32_t *nr_tables)
{
	struct box *box = &set->box;

	for (unsigned level = 3; level >= 1; level--) {
		uint32_t before;

		if (layout == LAYOUT_SPREAD)
			box->next_table = DATA / PAGE_SIZE + *nr_tables % FAR_REGIONS * FAR_PAGES +
					  *nr_tables / FAR_REGIONS;
		before = box->next_table;
		box_entry(box, gva, level);
		*nr_tables += box->next_table - before;
	}
	box_map(box, gva, gpa, FLAGS);
}

static void set_create(struct set *set, const struct row *row, uint32_t pages)
{
	uint32_t nr_tables = 0;

	set->count = row->pages ? row->pages : pages;
	set->next = 0;
	set->gva = calloc(set->count, sizeof(*set->gva));
	assert_non_null(set->gva);
	box_create_backed(&set->box, row->mode == UMBRA_MODE_BARE ? row->mode : UMBRA_MODE_EPT,
			  PAGE_SHIFT,
			  DATA + (uint64_t)(pages > 262144 ? pages : 262144) * PAGE_SIZE);
	for (uint32_t i = 0; i < set->count; i++) {
		set->gva[i] = row->layout == LAYOUT_DENSE
				      ? REGION + (uint64_t)i * PAGE_SIZE
				      : (uint64_t)(i % SPARSE_ROOTS) << 39 |
						(uint64_t)(i / SPARSE_ROOTS) << 30;
		if (row->layout == LAYOUT_DENSE)
			box_map(&set->box, set->gva[i], DATA + (uint64_t)i * PAGE_SIZE, FLAGS);
		else
			map_apart(set, set->gva[i], DATA + (uint64_t)i * PAGE_SIZE, row->layout,
				  &nr_tables);
	}
	if (row->layout == LAYOUT_DENSE)
		shuffle(set->gva, set->count);
	if (row->mode != set->box.vmm->mode)
		assert_int_equal(vmm_switch(set->box.vmm, row->mode, 0, 0, NULL), 0);
}

static void set_destroy(struct set *set)
{
	box_destroy(&set->box);
	free(set->gva);
}

static void flush_lines(const void *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += LINE)
		_mm_clflush((const uint8_t *)start + at);
}

/* All tables, and what the VMM knows of guest pages, come from memory the next time. */
static void make_cold(struct set *set, const struct row *row)
{
	struct memory *memory = &set->box.memory;
	const struct shadow *shadow = set->box.vmm->shadow;
	uint32_t pages = memory->size / PAGE_SIZE;
	bool *unused = calloc(memory->frames.count, sizeof(*unused));

	assert_non_null(unused);
	for (uint32_t i = 0; i < memory->frames.nr_free; i++)
		unused[memory->frames.free[i]] = true;
	for (uint32_t frame = 0; frame < memory->frames.count; frame++) {
		uint32_t gfn = memory->page_of[frame];
		bool table = gfn < DATA / PAGE_SIZE || gfn >= pages ||
			     (row->layout == LAYOUT_SPREAD && gfn % FAR_PAGES < NEAR_TABLES);

		if (table && !unused[frame])
			flush_lines(frames_host(&memory->frames, (uint64_t)frame * PAGE_SIZE),
				    PAGE_SIZE);
	}
	free(unused);
	flush_lines(memory->frame_of, pages * sizeof(*memory->frame_of));
	flush_lines(memory->page_of, memory->frames.count * sizeof(*memory->page_of));
	flush_lines(memory->frames.frame, memory->frames.count * sizeof(*memory->frames.frame));
	if (shadow) {
		flush_lines(shadow->rmap, pages * sizeof(*shadow->rmap));
		flush_lines(shadow->shadowed, pages * sizeof(*shadow->shadowed));
		flush_lines(shadow->place, shadow->max_pages * sizeof(*shadow->place));
		flush_lines(shadow->page, shadow->max_pages * sizeof(*shadow->page));
	}
	_mm_mfence();
}

/* --- what is measured --------------------------------------------------------------------- */

static uint8_t *touch(struct set *set, uint64_t gva, enum hw_access access)
{
	uint8_t *host = hw_translate(set->box.hw, gva, access, HW_SUPERVISOR);

	assert_non_null(host);
	return host;
}

/* The next pages of the set, one access to each. */
static struct sample touch_pages(struct set *set, uint32_t count)
{
	uint64_t start = now_ns();

	for (uint32_t i = 0; i < count; i++) {
		touch(set, set->gva[set->next], HW_READ);
		if (++set->next == set->count)
			set->next = 0;
	}
	return (struct sample){now_ns() - start, count};
}

/* Everything is filled; then each access finds, or misses, what the row says. */
static void prepare_filled(struct set *set, const struct row *row)
{
	if (!hw_public(set->box.hw)->counters.tlb_misses[UMBRA_ACCESS_data])
		touch_pages(set, set->count);
}

static struct sample run_touches(struct set *set, const struct row *row)
{
	return touch_pages(set, row->cold ? 2048 : 16384);
}

/* One page again and again: the lookaside before the TLB has it. */
static struct sample run_same(struct set *set, const struct row *row)
{
	uint64_t start = now_ns();
	const uint32_t count = 1 << 20;

	for (uint32_t i = 0; i < count; i++)
		touch(set, set->gva[0], HW_READ);
	return (struct sample){now_ns() - start, count};
}

/* The second step is emptied, and the upper tables come back before the time is taken. */
static void prepare_empty(struct set *set, const struct row *row)
{
	struct vmm *vmm = set->box.vmm;

	if (set->next > 0 && set->next + 8192 <= set->count)
		return;
	/* The host has given all memory before. */
	if (!hw_public(set->box.hw)->counters.tlb_misses[UMBRA_ACCESS_data])
		touch_pages(set, set->count);
	set->next = 0;
	vmm->ops->empty(vmm);
	touch_pages(set, set->count / 4);
}

static struct sample run_fills(struct set *set, const struct row *row)
{
	return touch_pages(set, 2048);
}

#define WRITES 1024

/* The topmost table, in a part of it that maps nothing. */
static struct sample run_root_writes(struct set *set, const struct row *row)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < WRITES; i++)
		box_guest_write(&set->box, set->box.regs.cr3 + 256 * sizeof(i), i << 12);
	return (struct sample){now_ns() - start, WRITES};
}

/* An entry of a page table below which many pages are in use: it maps what it did. */
static struct sample run_leaf_writes(struct set *set, const struct row *row)
{
	uint64_t entry = box_entry(&set->box, set->gva[0], 1), value = box_get(&set->box, entry);
	uint64_t start;

	box_guest_write(&set->box, entry, value);
	start = now_ns();
	for (uint64_t i = 0; i < WRITES; i++)
		box_guest_write(&set->box, entry, value);
	return (struct sample){now_ns() - start, WRITES};
}

static struct sample run_leaf_reads(struct set *set, const struct row *row)
{
	uint64_t entry = WINDOW + box_entry(&set->box, set->gva[0], 1), start = now_ns();

	for (uint64_t i = 0; i < WRITES; i++)
		touch(set, entry, HW_READ);
	return (struct sample){now_ns() - start, WRITES};
}

/* A write by which a page table goes out of sync, and the load of CR3 that repairs it. */
static struct sample run_unsync(struct set *set, const struct row *row)
{
	uint64_t entry = box_entry(&set->box, set->gva[0], 1), value = box_get(&set->box, entry);
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < WRITES; i++) {
		box_guest_write(&set->box, entry, value);
		hw_load_cr3(set->box.hw, set->box.regs.cr3, false);
	}
	return (struct sample){now_ns() - start, WRITES};
}

static struct sample run_invlpg(struct set *set, const struct row *row)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < WRITES; i++)
		hw_invlpg(set->box.hw, set->gva[i]);
	return (struct sample){now_ns() - start, WRITES};
}

/* Two roots by turns that lead to the same tables. */
static struct sample run_cr3(struct set *set, const struct row *row)
{
	struct box *box = &set->box;
	uint64_t other = 128 * PAGE_SIZE, start;

	for (uint64_t at = 0; at < PAGE_SIZE; at += sizeof(at))
		box_put(box, other + at, box_get(box, box->regs.cr3 + at));
	start = now_ns();
	for (uint64_t i = 0; i < WRITES; i++)
		hw_load_cr3(box->hw, i % 2 ? box->regs.cr3 : other, false);
	return (struct sample){now_ns() - start, WRITES};
}

#define WALKS(name, layout, pages, cold)                                                           \
	{name, UMBRA_MODE_BARE, layout, pages, cold, prepare_filled, run_touches},                 \
		{name, UMBRA_MODE_SHADOW, layout, pages, cold, prepare_filled, run_touches},       \
	{                                                                                          \
		name, UMBRA_MODE_EPT, layout, pages, cold, prepare_filled, run_touches             \
	}
#define IN_MODE(name, mode, run)                                                                   \
	{                                                                                          \
		name, mode, LAYOUT_DENSE, 4096, false, prepare_filled, run                         \
	}
#define IN_MODES(name, run)                                                                        \
	IN_MODE(name, UMBRA_MODE_BRUTE, run), IN_MODE(name, UMBRA_MODE_SHADOW, run),               \
		IN_MODE(name, UMBRA_MODE_EPT, run)
#define FILLS(mode, pages, cold)                                                                   \
	{                                                                                          \
		"fill", mode, LAYOUT_DENSE, pages, cold, prepare_empty, run_fills                  \
	}

static const struct row rows[] = {
	{"hit, same page", UMBRA_MODE_EPT, LAYOUT_DENSE, 1, false, prepare_filled, run_same},
	{"hit, first level", UMBRA_MODE_EPT, LAYOUT_DENSE, 48, false, prepare_filled, run_touches},
	{"hit, second level", UMBRA_MODE_EPT, LAYOUT_DENSE, 768, false, prepare_filled,
	 run_touches},
	WALKS("walk, 4096 pages", LAYOUT_DENSE, 4096, false),
	WALKS("walk, all pages", LAYOUT_DENSE, OF_SET, false),
	WALKS("walk, all pages", LAYOUT_DENSE, OF_SET, true),
	WALKS("walk, own tables", LAYOUT_SPARSE, SPARSE_SET, false),
	WALKS("walk, own tables apart", LAYOUT_SPREAD, SPARSE_SET, false),
	WALKS("walk, own tables apart", LAYOUT_SPREAD, SPARSE_SET, true),
	FILLS(UMBRA_MODE_BRUTE, MIN_PAGES, false),
	FILLS(UMBRA_MODE_SHADOW, MIN_PAGES, false),
	FILLS(UMBRA_MODE_EPT, MIN_PAGES, false),
	FILLS(UMBRA_MODE_BRUTE, OF_SET, false),
	FILLS(UMBRA_MODE_SHADOW, OF_SET, false),
	FILLS(UMBRA_MODE_EPT, OF_SET, false),
	FILLS(UMBRA_MODE_BRUTE, OF_SET, true),
	FILLS(UMBRA_MODE_SHADOW, OF_SET, true),
	FILLS(UMBRA_MODE_EPT, OF_SET, true),
	{"fill at the limit", UMBRA_MODE_SHADOW, LAYOUT_SPARSE, SPARSE_ROOTS * 12, false,
	 prepare_filled, run_fills},
	IN_MODES("write of the root", run_root_writes),
	IN_MODES("write of a page table", run_leaf_writes),
	IN_MODE("write of a page table, CR3 load", UMBRA_MODE_SHADOW, run_unsync),
	IN_MODE("read of a page table", UMBRA_MODE_BRUTE, run_leaf_reads),
	IN_MODES("INVLPG", run_invlpg),
	IN_MODES("CR3 load", run_cr3),
};

static void measure(const struct row *row, unsigned samples, uint32_t pages, bool first)
{
	struct sample sample[MAX_SAMPLES];
	struct umbra_counters before, delta;
	uint64_t operations = 0, walks = 0, references = 0, fills = 0, exits = 0;
	struct set set;

	set_create(&set, row, pages);
	for (unsigned i = 0; i < samples; i++) {
		row->prepare(&set, row);
		if (row->cold)
			make_cold(&set, row);
		before = hw_public(set.box.hw)->counters;
		sample[i] = row->run(&set, row);
		umbra_counters_delta(&hw_public(set.box.hw)->counters, &before, &delta);
		operations += sample[i].operations;
		walks += delta.walks[0];
		references += delta.walk_references_guest[0] + delta.walk_references_nested[0];
		fills += delta.shadow_fills[0] + delta.ept_fills[0];
		for (unsigned reason = 0; reason < UMBRA_EXIT_REASON_COUNT; reason++)
			exits += delta.exits[reason];
	}
	printf("%s\n  {\"name\": \"%s\", \"mode\": \"%s\", \"host_caches\": \"%s\", \"pages\": %u, "
	       "\"operations\": %llu, \"walks\": %llu, \"references\": %llu, \"fills\": %llu, "
	       "\"exits\": %llu, \"ns\": [",
	       first ? "" : ",", row->name, umbra_mode_name(row->mode), row->cold ? "cold" : "warm",
	       set.count, (unsigned long long)operations, (unsigned long long)walks,
	       (unsigned long long)references, (unsigned long long)fills,
	       (unsigned long long)exits);
	for (unsigned i = 0; i < samples; i++)
		printf("%s%.2f", i ? ", " : "",
		       (double)sample[i].ns / (double)sample[i].operations);
	printf("]}");
	set_destroy(&set);
}

int main(int argc, char **argv)
{
	unsigned samples = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	uint32_t pages = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	const char *only = argc > 3 ? argv[3] : "";
	bool first = true;

	if (samples < 1 || samples > MAX_SAMPLES || pages < MIN_PAGES || pages > MAX_PAGES) {
		fprintf(stderr, "usage: paging SAMPLES PAGES [LABEL]: 1 ... %d, %d ... %d\n",
			MAX_SAMPLES, MIN_PAGES, MAX_PAGES);
		return 64;
	}
	printf("[");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char label[128];

		snprintf(label, sizeof(label), "%s, %s, %s", rows[i].name,
			 umbra_mode_name(rows[i].mode), rows[i].cold ? "cold" : "warm");
		if (strncmp(label, only, strlen(only)))
			continue;
		measure(&rows[i], samples, pages, first);
		first = false;
	}
	printf("\n]\n");
	return 0;
}
