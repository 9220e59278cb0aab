/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each invalidation takes and what it leaves, entry by entry: each level, kind of access and
 * page size, global and not, two PCIDs, two VPIDs, and the walk caches (SDM 3A 4.10.4.1, 3C
 * 28.4.3.1, 30.3), of every named processor. Looks into the TLB: an access would fill it.
 */
#include "paging_fixture.h"

#define BASE  0x10000000000ull
#define FLAGS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define DATA  0x400000ull

#define PCIDS 2 /* 1 and 2; 1 is on */
#define OTHER 7 /* another VPID */

/* Page @i is touched at this place, so that each has other sets than the others. */
#define TOUCHED(i) ((i) * ((1ull << 21) + PAGE_SIZE))

/* The pages. No two share a large page. */
static const struct page {
	uint64_t gva;
	unsigned leaf; /* level of the entry: 1 ... 3 */
	bool global;
} pages[] = {
	{BASE, 1, false},
	{BASE + PAGE_SIZE, 1, true},
	{BASE + (1ull << 30) + TOUCHED(2), 2, false},
	{BASE + (1ull << 30) + TOUCHED(3), 2, true},
	{BASE + (2ull << 30) + TOUCHED(4), 3, false},
	{BASE + (3ull << 30) + TOUCHED(5), 3, true},
};
#define NR_PAGES (sizeof(pages) / sizeof(pages[0]))

/* What is cached, by VPID and PCID: pages in each level for each kind of access, walk caches. */
struct cached {
	bool entry[2][PCIDS][NR_PAGES][TLB_LEVELS][UMBRA_ACCESS_COUNT];
	bool walk[2][PCIDS][3]; /* PDE, PDPTE, PML4E of the first page */
	bool nested;            /* EPT's PDE of the first page */
};

static bool in_cache(const struct cache *cache, uint64_t tag)
{
	return cache_way(cache, cache_set(cache, tag), tag) >= 0;
}

/* The number that tags have for a VPID with the present EPTRTA; if none, one that no entry has. */
static uint64_t number_of(const struct tlb *tlb, const struct tlb_contexts *contexts, uint16_t vpid)
{
	for (uint64_t n = contexts->first; n < contexts->next; n++) {
		if (contexts->of[n].vpid == vpid && contexts->of[n].eptrta == tlb->eptrta)
			return n << TAG_NUMBER_SHIFT;
	}
	return TAG_NUMBER;
}

static bool holds(const struct tlb *tlb, uint16_t vpid, uint16_t pcid, const struct page *page,
		  enum tlb_level level, unsigned kind)
{
	uint64_t context = number_of(tlb, &tlb->entries, vpid) | (uint64_t)pcid << TAG_PCID_SHIFT;
	bool found = false;

	/* In EPT on 4K frames, and where a level has no 1G entries, it is a piece. */
	for (enum tlb_size size = TLB_4K; size < TLB_SIZES; size++) {
		const struct cache *cache = tlb->place[level][kind][size].cache;

		if (cache)
			found |= in_cache(cache, page->global
							 ? tlb_tag_global(context, page->gva, size)
							 : tlb_tag(context, page->gva, size));
	}
	return found;
}

static struct cached look(struct box *box)
{
	const struct tlb *tlb = &box->hw->tlb;
	const uint16_t vpids[2] = {box->hw->vpid, OTHER};
	struct cached cached = {0};

	for (int v = 0; v < 2; v++) {
		for (uint16_t pcid = 1; pcid <= PCIDS; pcid++) {
			uint64_t context = number_of(tlb, &tlb->linears, vpids[v]) |
					   (uint64_t)pcid << TAG_PCID_SHIFT;

			for (unsigned i = 0; i < NR_PAGES; i++)
				for (int level = 0; level < TLB_LEVELS; level++)
					for (unsigned kind = 0; kind < UMBRA_ACCESS_COUNT; kind++)
						cached.entry[v][pcid - 1][i][level][kind] =
							holds(tlb, vpids[v], pcid, &pages[i],
							      (enum tlb_level)level, kind);
			for (unsigned i = 0; i < 3; i++)
				cached.walk[v][pcid - 1][i] = in_cache(
					&tlb->linear[i], walk_tag(context, BASE, 21 + 9 * i));
		}
	}
	cached.nested =
		in_cache(&tlb->nested[WALK_CACHE_PDE], walk_tag(tlb->nested_tag, DATA, SHIFT_2M));
	return cached;
}

static void be_vpid(struct box *box, uint16_t vpid)
{
	box->hw->vpid = vpid;
	hw_follow_context(box->hw);
	hw_lookaside_flush(box->hw);
}

static void load(struct box *box, uint64_t pcid, bool keep)
{
	box->regs.cr3 = (box->regs.cr3 & ~CR3_PCID) | pcid;
	assert_int_equal(hw_load_cr3(box->hw, box->regs.cr3, keep), 0);
	box_attend(box);
}

static void create(struct box *box, enum umbra_mode mode, const struct processor *processor)
{
	box_create_on(box, mode, PAGE_SHIFT, 4 * RAM_SIZE, processor);
	for (unsigned i = 0; i < NR_PAGES; i++)
		box_put(box, box_entry(box, pages[i].gva, pages[i].leaf),
			(pages[i].leaf < 3 ? DATA : 0) | FLAGS | (pages[i].global ? PTE_G : 0) |
				(pages[i].leaf > 1 ? PTE_PS : 0));
	box->regs.cr4 |= CR4_PGE | CR4_PCIDE;
	assert_int_equal(hw_paging_changed(box->hw, &box->regs), 0);
}

/* Everything under both VPIDs and PCIDs; the mode's own VPID and PCID 1 are on. */
static void fill(struct box *box)
{
	uint16_t own = box->hw->vpid;

	for (int v = 1; v >= 0; v--) {
		be_vpid(box, v ? OTHER : own);
		for (uint64_t pcid = PCIDS; pcid > 0; pcid--) {
			load(box, pcid, true);
			for (unsigned i = 0; i < NR_PAGES; i++)
				for (unsigned kind = 0; kind < UMBRA_ACCESS_COUNT; kind++)
					assert_false(box_access(box, pages[i].gva,
								kind == UMBRA_ACCESS_data
									? HW_READ
									: HW_FETCH,
								HW_USER)
							     .fault);
		}
	}
}

/* Which of the own VPID's and the other's an invalidation takes. */
struct taken {
	bool local[2][PCIDS], global[2], walk[2][PCIDS];
	unsigned only; /* page + 1; 0: all of them */
	bool nested;
};

static void check(struct box *box, const char *what, const struct taken *taken,
		  const struct cached *before)
{
	struct cached after = look(box);

	for (unsigned v = 0; v < 2; v++) {
		for (unsigned pcid = 0; pcid < PCIDS; pcid++) {
			for (unsigned i = 0; i < NR_PAGES; i++) {
				bool goes =
					pages[i].global ? taken->global[v] : taken->local[v][pcid];

				if (taken->only && taken->only != i + 1)
					goes = false;
				for (unsigned n = 0; n < 4; n++) {
					bool was = before->entry[v][pcid][i][n / 2][n % 2];
					bool is = after.entry[v][pcid][i][n / 2][n % 2];

					/* Not all of it has room in the first level. */
					if (is != (was && !goes) ||
					    (!was && (n >= 2 || (!v && !pcid))))
						fail_msg("%s: %s, mode %d, VPID %u, PCID %u, page "
							 "%u, level %u, kind %u: %d, then %d",
							 box->hw->processor->name, what,
							 box->vmm->mode, v, pcid + 1, i, n / 2 + 1,
							 n % 2, was, is);
				}
			}
			for (unsigned i = 0; i < 3; i++) {
				bool was = before->walk[v][pcid][i], is = after.walk[v][pcid][i];

				if (is != (was && !taken->walk[v][pcid]) || (!was && !v && !pcid))
					fail_msg(
						"%s: %s, mode %d, VPID %u, PCID %u, walk cache %u: "
						"%d, then %d",
						box->hw->processor->name, what, box->vmm->mode, v,
						pcid + 1, i, was, is);
			}
		}
	}
	if (box->hw->eptp) {
		assert_true(before->nested);
		assert_int_equal(after.nested, !taken->nested);
	}
}

/* One invalidation, on every processor, without EPT and with it. */
static void each(const char *what, void (*invalidate)(struct box *box, unsigned argument),
		 unsigned argument, struct taken taken)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_EPT};
	const struct processor *processor;

	for (unsigned p = 0; (processor = processor_at(p)); p++) {
		for (unsigned m = 0; m < 2; m++) {
			struct cached before;
			struct box box;

			create(&box, modes[m], processor);
			fill(&box);
			before = look(&box);
			invalidate(&box, argument);
			box_attend(&box);
			check(&box, what, &taken, &before);
			box_destroy(&box);
		}
	}
}

#define OWN_ALL                                                                                    \
	{                                                                                          \
		.local = {{true, true}}, .global = {true}, .walk = { {true, true} }                \
	}

static void mov_cr3_keep(struct box *box, unsigned pcid)
{
	load(box, pcid, true);
}

static void mov_cr3(struct box *box, unsigned pcid)
{
	load(box, pcid, false);
}

static void mov_to_cr3_with_bit_63_takes_nothing(void **state)
{
	each("MOV CR3, bit 63, PCID 1", mov_cr3_keep, 1, (struct taken){0});
	each("MOV CR3, bit 63, PCID 2", mov_cr3_keep, 2, (struct taken){0});
	each("MOV CR3, bit 63, PCID 3", mov_cr3_keep, 3, (struct taken){0});
}

static void mov_to_cr3_takes_its_pcid_and_nothing_global(void **state)
{
	each("MOV CR3, PCID 1", mov_cr3, 1,
	     (struct taken){.local = {{true, false}}, .walk = {{true, false}}});
	each("MOV CR3, PCID 2", mov_cr3, 2,
	     (struct taken){.local = {{false, true}}, .walk = {{false, true}}});
	each("MOV CR3, PCID 3", mov_cr3, 3, (struct taken){0});
}

/* Any address of the page will do. */
static uint64_t somewhere_in(const struct page *page)
{
	return page->gva + (page->leaf > 1 ? 9 * PAGE_SIZE : 0) + 0x123;
}

static void invlpg(struct box *box, unsigned page)
{
	hw_invlpg(box->hw, somewhere_in(&pages[page]));
}

static void invlpg_takes_one_page_global_or_not_and_all_walk_caches(void **state)
{
	for (unsigned i = 0; i < NR_PAGES; i++)
		each("INVLPG", invlpg, i,
		     (struct taken){.local = {{true, false}},
				    .global = {true},
				    .walk = {{true, false}},
				    .only = i + 1});
}

static void invpcid_address_1(struct box *box, unsigned page)
{
	hw_invpcid(box->hw, HW_INVPCID_ADDRESS, 1, somewhere_in(&pages[page]));
}

static void invpcid_address_2(struct box *box, unsigned page)
{
	hw_invpcid(box->hw, HW_INVPCID_ADDRESS, 2, somewhere_in(&pages[page]));
}

static void invpcid_of_an_address_takes_no_global_page(void **state)
{
	for (unsigned i = 0; i < NR_PAGES; i++) {
		each("INVPCID 0, PCID 1", invpcid_address_1, i,
		     (struct taken){
			     .local = {{true, false}}, .walk = {{true, false}}, .only = i + 1});
		each("INVPCID 0, PCID 2", invpcid_address_2, i,
		     (struct taken){
			     .local = {{false, true}}, .walk = {{false, true}}, .only = i + 1});
	}
}

static void invpcid_context(struct box *box, unsigned pcid)
{
	hw_invpcid(box->hw, HW_INVPCID_CONTEXT, (uint16_t)pcid, 0);
}

static void invpcid_of_a_context_takes_it_but_nothing_global(void **state)
{
	each("INVPCID 1, PCID 1", invpcid_context, 1,
	     (struct taken){.local = {{true, false}}, .walk = {{true, false}}});
	each("INVPCID 1, PCID 2", invpcid_context, 2,
	     (struct taken){.local = {{false, true}}, .walk = {{false, true}}});
}

static void invpcid_all(struct box *box, unsigned type)
{
	hw_invpcid(box->hw, (enum hw_invpcid)type, 0, 0);
}

static void invpcid_of_all_contexts_takes_global_pages_or_leaves_them(void **state)
{
	each("INVPCID 2", invpcid_all, HW_INVPCID_ALL, (struct taken)OWN_ALL);
	each("INVPCID 3", invpcid_all, HW_INVPCID_ALL_BUT_GLOBAL,
	     (struct taken){.local = {{true, true}}, .walk = {{true, true}}});
}

/* Everything there is, of other VPIDs too: a VPID of another guest may lose entries at any time. */
static const struct taken everything = {
	.local = {{true, true}, {true, true}},
	.global = {true, true},
	.walk = {{true, true}, {true, true}},
};

static const struct {
	const char *name;
	uint64_t cr0, cr4, efer; /* that change */
	bool flushes;
} changes[] = {
	{"CR0.PG", CR0_PG, 0, EFER_LMA, true}, {"CR0.WP", CR0_WP, 0, 0, false},
	{"CR4.PGE", 0, CR4_PGE, 0, true},      {"CR4.PCIDE", 0, CR4_PCIDE, 0, true},
	{"CR4.PSE", 0, CR4_PSE, 0, true},      {"CR4.SMEP", 0, CR4_SMEP, 0, true},
	{"CR4.SMAP", 0, CR4_SMAP, 0, false},   {"CR4.PKE", 0, CR4_PKE, 0, false},
	{"EFER.NXE", 0, 0, EFER_NXE, true},
};

static void change(struct box *box, unsigned i)
{
	box->regs.cr0 ^= changes[i].cr0;
	box->regs.cr4 ^= changes[i].cr4;
	box->regs.efer ^= changes[i].efer;
	assert_int_equal(hw_paging_changed(box->hw, &box->regs), 0);
}

static void control_registers_take_everything_where_paging_depends_on_them(void **state)
{
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		each(changes[i].name, change, i,
		     changes[i].flushes ? everything : (struct taken){0});
}

static void flush(struct box *box, unsigned unused)
{
	hw_flush(box->hw);
}

static void the_vmm_s_flush_leaves_guest_physical_mappings(void **state)
{
	each("hw_flush()", flush, 0, everything);
}

static void invvpid_address(struct box *box, unsigned page)
{
	hw_invvpid(box->hw, HW_INVVPID_ADDRESS, OTHER, somewhere_in(&pages[page]));
}

static void invvpid_address_own(struct box *box, unsigned page)
{
	hw_invvpid(box->hw, HW_INVVPID_ADDRESS, box->hw->vpid, somewhere_in(&pages[page]));
}

static void invvpid_of_an_address_takes_it_from_all_pcids(void **state)
{
	for (unsigned i = 0; i < NR_PAGES; i++) {
		each("INVVPID 0, another", invvpid_address, i,
		     (struct taken){.local = {[1] = {true, true}},
				    .global = {[1] = true},
				    .walk = {[1] = {true, true}},
				    .only = i + 1});
		each("INVVPID 0, the own", invvpid_address_own, i,
		     (struct taken){.local = {{true, true}},
				    .global = {true},
				    .walk = {{true, true}},
				    .only = i + 1});
	}
}

static void invvpid(struct box *box, unsigned type)
{
	hw_invvpid(box->hw, (enum hw_invvpid)type, OTHER, 0);
}

static void invvpid_own(struct box *box, unsigned type)
{
	hw_invvpid(box->hw, (enum hw_invvpid)type, box->hw->vpid, 0);
}

static void invvpid_of_a_context_takes_global_pages_or_leaves_them(void **state)
{
	each("INVVPID 1, another", invvpid, HW_INVVPID_CONTEXT,
	     (struct taken){.local = {[1] = {true, true}},
			    .global = {[1] = true},
			    .walk = {[1] = {true, true}}});
	each("INVVPID 3, another", invvpid, HW_INVVPID_CONTEXT_BUT_GLOBAL,
	     (struct taken){.local = {[1] = {true, true}}, .walk = {[1] = {true, true}}});
	each("INVVPID 1, the own", invvpid_own, HW_INVVPID_CONTEXT, (struct taken)OWN_ALL);
	each("INVVPID 3, the own", invvpid_own, HW_INVVPID_CONTEXT_BUT_GLOBAL,
	     (struct taken){.local = {{true, true}}, .walk = {{true, true}}});
}

static void invvpid_of_all_leaves_vpid_0(void **state)
{
	const struct processor *processor;

	for (unsigned p = 0; (processor = processor_at(p)); p++) {
		for (unsigned m = 0; m < 2; m++) {
			struct taken taken = everything;
			struct cached before;
			struct box box;

			create(&box, m ? UMBRA_MODE_EPT : UMBRA_MODE_BARE, processor);
			assert_int_equal(box.hw->vpid, m); /* bare has no VMM: VPID 0 */
			if (!m) {
				taken.local[0][0] = taken.local[0][1] = taken.global[0] = false;
				taken.walk[0][0] = taken.walk[0][1] = false;
			}
			fill(&box);
			before = look(&box);
			hw_invvpid(box.hw, HW_INVVPID_ALL, 0, 0);
			check(&box, "INVVPID 2", &taken, &before);
			box_destroy(&box);
		}
	}
}

static void invept_takes_what_ept_had_a_part_in(void **state)
{
	for (unsigned i = 0; i < 6; i++) {
		enum hw_invept type = i % 2 ? HW_INVEPT_GLOBAL : HW_INVEPT_CONTEXT;
		struct taken taken = i / 2 == 1 ? everything : (struct taken){0};
		struct cached before;
		uint64_t eptp;
		struct box box;

		taken.nested = i / 2 == 1;
		if (i == 5) /* another EPT pointer's, but of all */
			taken = everything, taken.nested = true;
		create(&box, i / 2 ? UMBRA_MODE_EPT : UMBRA_MODE_BARE, processor_at(0));
		fill(&box);
		before = look(&box);
		/* In bare they are linear mappings; then the present EPTP; then another one. */
		eptp = i / 2 == 2 ? box.hw->eptp + PAGE_SIZE : box.hw->eptp;
		if (i / 2 || type == HW_INVEPT_GLOBAL)
			hw_invept(box.hw, type, eptp);
		check(&box, "INVEPT", &taken, &before);
		box_destroy(&box);
	}
}

/* Linear and combined mappings of the same address do not meet (SDM 3C 28.4.1). */
static void mappings_of_another_eptrta_are_not_used(void **state)
{
	struct umbra_counters before, now;
	uint64_t eptp;
	struct box box;

	create(&box, UMBRA_MODE_EPT, processor_at(0));
	fill(&box);
	eptp = box.hw->eptp;
	box.hw->eptp += PAGE_SIZE;
	hw_follow_context(box.hw);
	for (unsigned i = 0; i < NR_PAGES; i++)
		assert_false(holds(&box.hw->tlb, box.hw->vpid, 1, &pages[i], TLB_L2, 1));
	box.hw->eptp = 0;
	hw_follow_context(box.hw);
	for (unsigned i = 0; i < NR_PAGES; i++)
		assert_false(holds(&box.hw->tlb, box.hw->vpid, 1, &pages[i], TLB_L2, 1));
	/* They are there still. */
	box.hw->eptp = eptp;
	hw_follow_context(box.hw);
	hw_lookaside_flush(box.hw);
	hw_counters(box.hw, &before);
	assert_false(box_access(&box, BASE, HW_READ, HW_USER).fault);
	hw_counters(box.hw, &now);
	assert_int_equal(now.tlb_misses[UMBRA_ACCESS_data], before.tlb_misses[UMBRA_ACCESS_data]);
	box_destroy(&box);
}

/* Numbers for (VPID, EPTRTA) are few: whoever gets one anew finds nothing that is another's. */
static void no_vpid_meets_what_is_another_s(void **state)
{
	uint64_t random = 1;
	struct box box;

	create(&box, UMBRA_MODE_BARE, processor_at(0));
	for (unsigned n = 0; n < 5000; n++) {
		uint16_t vpid, number = (uint16_t)(random >> 33) % 40;

		random = random * 6364136223846793005 + 1442695040888963407;
		vpid = (uint16_t)(number + 1);
		be_vpid(&box, vpid);
		/* Each VPID has another page there; nothing is ever invalidated but by itself. */
		box_put(&box, box_entry(&box, BASE, 1), (DATA + vpid * PAGE_SIZE) | FLAGS);
		assert_int_equal(box_access(&box, BASE, HW_READ, HW_USER).gpa,
				 DATA + vpid * PAGE_SIZE);
		if (n % 7 == 0)
			hw_invvpid(box.hw, HW_INVVPID_CONTEXT, vpid, 0);
		if (n % 50 == 0)
			hw_flush(box.hw);
	}
	box_destroy(&box);
}

/* 14 others may come and go: with no invalidation an entry is there when its VPID comes back. */
static void entries_outlive_other_vpids(void **state)
{
	struct umbra_counters before, now;
	struct box box;

	create(&box, UMBRA_MODE_BARE, processor_at(0));
	for (unsigned n = 0; n < 20; n++)
		hw_flush(box.hw); /* numbers do not begin at 0 */
	for (uint16_t round = 0; round < 2; round++) {
		hw_counters(box.hw, &before);
		for (uint16_t vpid = 0; vpid < 14; vpid++) {
			be_vpid(&box, vpid);
			assert_false(box_access(&box, BASE + vpid % 2 * PAGE_SIZE, HW_READ, HW_USER)
					     .fault);
		}
		hw_counters(box.hw, &now);
		assert_int_equal(now.tlb_misses[UMBRA_ACCESS_data] -
					 before.tlb_misses[UMBRA_ACCESS_data],
				 round ? 0 : 14);
	}
	box_destroy(&box);
}

static uint64_t *ept_entry(struct box *box, uint64_t gpa, unsigned level)
{
	uint64_t table = box->hw->eptp & ENTRY_ADDRESS;

	for (unsigned at = 4;; at--) {
		uint64_t *entry =
			(uint64_t *)frames_host(&box->memory.frames, table) + entry_index(gpa, at);

		if (at == level)
			return entry;
		table = *entry & ENTRY_ADDRESS;
	}
}

/* Else it would repeat for ever where an entry was widened, which needs no INVEPT (3C 28.4.3.1). */
static void an_ept_violation_takes_what_was_cached_of_its_address(void **state)
{
	const uint64_t gva = BASE + 5 * PAGE_SIZE, gpa = DATA + 5 * PAGE_SIZE;
	const uint64_t *exits;
	uint64_t before, *pde;
	struct box box;

	create(&box, UMBRA_MODE_EPT, processor_at(0));
	exits = &hw_public(box.hw)->counters.exits[UMBRA_EXIT_ept_violation];
	box_map(&box, gva, gpa, FLAGS);
	assert_false(box_access(&box, gva, HW_WRITE, HW_SUPERVISOR).fault);
	pde = ept_entry(&box, gpa, 2);
	*pde &= ~EPT_W;
	hw_invept(box.hw, HW_INVEPT_GLOBAL, 0);
	assert_false(box_access(&box, gva, HW_READ, HW_SUPERVISOR).fault);
	*pde |= EPT_W;
	before = *exits;
	assert_false(box_access(&box, gva, HW_WRITE, HW_SUPERVISOR).fault);
	assert_int_equal(*exits - before, 1);
	box_destroy(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mov_to_cr3_with_bit_63_takes_nothing),
		cmocka_unit_test(mov_to_cr3_takes_its_pcid_and_nothing_global),
		cmocka_unit_test(invlpg_takes_one_page_global_or_not_and_all_walk_caches),
		cmocka_unit_test(invpcid_of_an_address_takes_no_global_page),
		cmocka_unit_test(invpcid_of_a_context_takes_it_but_nothing_global),
		cmocka_unit_test(invpcid_of_all_contexts_takes_global_pages_or_leaves_them),
		cmocka_unit_test(control_registers_take_everything_where_paging_depends_on_them),
		cmocka_unit_test(the_vmm_s_flush_leaves_guest_physical_mappings),
		cmocka_unit_test(invvpid_of_an_address_takes_it_from_all_pcids),
		cmocka_unit_test(invvpid_of_a_context_takes_global_pages_or_leaves_them),
		cmocka_unit_test(invvpid_of_all_leaves_vpid_0),
		cmocka_unit_test(invept_takes_what_ept_had_a_part_in),
		cmocka_unit_test(mappings_of_another_eptrta_are_not_used),
		cmocka_unit_test(no_vpid_meets_what_is_another_s),
		cmocka_unit_test(entries_outlive_other_vpids),
		cmocka_unit_test(an_ept_violation_takes_what_was_cached_of_its_address),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
