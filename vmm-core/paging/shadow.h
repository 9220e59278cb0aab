/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow pages: tables in host frames that the hardware walks in place of the guest's, shared by
 * (guest page, role). shadow_page.c owns their life, shadow_entry.c their entries and the reverse
 * maps, shadow_root.c the roots of each vCPU, shadow_sync.c keeps them true to the guest's tables,
 * shadow.c fills them. brute.c is another way to keep them true.
 */
#ifndef PAGING_SHADOW_H
#define PAGING_SHADOW_H

#include "paging/vmm.h"

/*
 * Everything but the guest page on which the contents of a shadow page depend. Compared byte by
 * byte: all members have one.
 */
struct shadow_role {
	uint8_t level;      /* 1 ... 5, of the tables that the hardware walks */
	uint8_t format;     /* enum paging_format: how the guest pages */
	uint8_t quadrant;   /* 2-level: which part of the guest's table, twice or 4 times as wide */
	bool direct;        /* no guest table behind it: unpaged, or the pieces of a large page */
	bool dirty, global; /* pieces of a large page: bits of its entry */
	bool wp, nxe, pse;  /* the guest's CR0.WP, EFER.NXE, CR4.PSE (where that matters) */
	bool smep, smap, pku; /* the guest's CR4 bits, which are roles of their own */
	struct rights above;  /* what the guest's entries above this table allow */
};

_Static_assert(sizeof(struct shadow_role) == 16, "a role has no padding");

#define PAGE_NONE UINT32_MAX

/* Shadow entries are named by page number and index. */
#define SPTE_REF(page, index) ((page) << 9 | (index))
#define SPTE_REF_PAGE(ref)    ((ref) >> 9)
#define SPTE_REF_INDEX(ref)   ((ref) & (ENTRIES - 1))

/* So many fit into the list itself: most pages are mapped once or twice. */
#define REFS_INLINE 2

/* A growing list of entry references. One of an older generation is empty. */
struct ref_list {
	union {
		uint32_t few[REFS_INLINE];
		uint32_t *many;
	};
	uint32_t count;
	uint32_t order : 5;  /* room for 1 << order of them in @many; 0: they are in @few */
	uint32_t listed : 1; /* in shadow.long_lists */
	uint32_t generation : 26;
};

struct shadow_page {
	struct shadow_role role;
	uint64_t gfn;  /* the guest's table, or the first page mapped when direct */
	uint32_t next; /* in its hash bucket, or in the free list */
	bool used;
	bool unsync;                   /* the guest may write its table unseen */
	bool listed;                   /* in shadow.unsync, out of sync or not any more */
	bool recent;                   /* a fill came by since the reclaim's hand did */
	uint8_t pins;                  /* roots of vCPUs that it is */
	uint8_t writes;                /* emulated writes since it was last used for a fill */
	uint64_t hpa;                  /* its frame */
	uint64_t *entry;               /* the same, host address */
	struct ref_list parents;       /* entries that point at it */
	uint64_t filled[ENTRIES / 64]; /* leaf entries that were filled since the page exists */
};

/* A guest table whose emulated write is under way: what it held before. */
struct pending_write {
	uint64_t gfn;
	uint64_t before[ENTRIES];
};

#define MAX_PENDING    4
#define HASH_SIZE      4096u
#define NR_QUARTERS    4
#define LARGE_SIZES    2 /* of shadow's large pages: 2M and 1G */

#define ROOT_LEVEL_PAE 2 /* below the PDPTE registers */

/* What a vCPU's hardware starts at: one root, or in PAE one for each PDPTE register. */
struct shadow_root {
	uint32_t page[NR_QUARTERS]; /* PAGE_NONE: none */
	uint8_t level;              /* of these pages: 5, 4 or ROOT_LEVEL_PAE */
	bool rules_set;             /* the hardware's rules are those of ... */
	uint64_t cr4, efer;
};

struct brute;

struct shadow {
	struct vmm *vmm;
	struct hw *hw;            /* the vCPU whose exit is being handled */
	unsigned cpu;             /* its number */
	struct shadow_page *page; /* [max_pages] */
	uint32_t (
		*place)[ENTRIES]; /* [page]: of each entry's reference in the list that it is in */
	uint32_t max_pages, nr_pages, free_page;
	uint64_t nr_entries; /* present ones, of all pages */
	uint32_t hand;       /* where reclaim goes on */
	/*
	 * An entry went, or may not write any more, that a TLB may still have. The guest
	 * invalidates by itself; but once a page becomes a table, nobody may write it by what no
	 * reverse map knows.
	 */
	bool stale;
	bool flush_due; /* before the guest goes on */
	uint32_t bucket[HASH_SIZE];
	struct shadow_root root[MEMORY_MAX_HW];
	uint32_t generation;           /* of the lists below; grows when all are emptied at once */
	uint16_t *shadowed;            /* per guest page: shadow pages of it that are not direct */
	uint32_t *inside[LARGE_SIZES]; /* per 2M, 1G of the guest: tables in it */
	struct ref_list *rmap;         /* per guest page: leaf entries that map it */
	struct ref_list *large_rmap[LARGE_SIZES]; /* the same of large pages */
	struct ref_list long_lists; /* (level, guest page) of reverse maps that became long */
	struct ref_list unsync;     /* numbers of pages that may be out of sync (or were) */
	struct pending_write pending[MAX_PENDING];
	unsigned nr_pending, pending_cpu;
	bool pending_overflow;
	uint64_t leaf_reserved[FORMAT_5_LEVEL + 1]
			      [2]; /* [format][nxe]: of guest entries of level 1 */
	struct brute *brute;       /* mode brute is on: which guest pages are tables. NULL */
	struct brute *idle_brute;  /* the same while another mode is on: there are none */
};

/* --- shadow_page.c ---------------------------------------------------------------------------- */

/* The shadow of @vmm, made at the first call. -ENOMEM. */
int shadow_create(struct vmm *vmm);
void shadow_destroy(struct shadow *shadow);
/*
 * Room for as many new pages as one exit takes, by giving up some that no fill used lately.
 * -ENOMEM: there is no frame left, and none to give up.
 */
int shadow_make_room(struct shadow *shadow);
/* The page for (gfn, role), made now if there is none: its number; PAGE_NONE without room. */
uint32_t shadow_page_get(struct shadow *shadow, uint64_t gfn, const struct shadow_role *role);
/* Drops a page with all that it maps and all that points at it. */
void shadow_page_drop(struct shadow *shadow, uint32_t page);
/* Drops all of them, roots too; returns how many there were. The time it takes grows with the
 * tables, not with what they map. */
uint64_t shadow_drop_all(struct shadow *shadow);
/* The first page of a guest table, and the next one; PAGE_NONE: no more. Direct ones are passed
 * over. */
uint32_t shadow_first_of(const struct shadow *shadow, uint64_t gfn);
uint32_t shadow_next_of(const struct shadow *shadow, uint32_t page);
/*
 * The exit is handled: where a flush is due, no translation of any vCPU is cached any more.
 * INVVPID, by an interprocessor interrupt where it is another's than the one that exited.
 */
void shadow_flush_if_due(struct shadow *shadow);

/* --- shadow_entry.c --------------------------------------------------------------------------- */

static inline bool shadow_is_leaf(const struct shadow_page *page, uint64_t entry)
{
	return page->role.level == 1 || (entry & PTE_PS);
}

/* Takes an entry out, whatever it is. */
void shadow_entry_drop(struct shadow *shadow, uint32_t page, unsigned index);
/* @gfn: the guest page that it maps (the first one), GFN_NONE for the frame of all ones. */
void shadow_entry_set_leaf(struct shadow *shadow, uint32_t page, unsigned index, uint64_t value,
			   uint32_t gfn);
void shadow_entry_set_table(struct shadow *shadow, uint32_t page, unsigned index, uint32_t child);
/* Makes every mapping of a guest page read-only, cached ones too. Large pages that hold it go. */
void shadow_write_protect(struct shadow *shadow, uint64_t gfn);
/* Takes every mapping of a guest page out, cached ones too. */
void shadow_unmap(struct shadow *shadow, uint64_t gfn);
/* The guest page that a leaf entry maps (the first one), GFN_NONE for the frame of all ones. */
uint32_t shadow_leaf_gfn(const struct shadow *shadow, uint64_t entry);
/* The page that an entry of an upper page points at. */
uint32_t shadow_child(const struct shadow *shadow, uint64_t entry);
static inline uint32_t ref_list_at(const struct ref_list *list, uint32_t i)
{
	return list->order ? list->many[i] : list->few[i];
}

/* -ENOMEM. */
int ref_list_add(struct ref_list *list, uint32_t ref);
void ref_list_free(struct ref_list *list);
/* Gives back the memory of a long list, which is empty then. */
void ref_list_shrink(struct ref_list *list);
/* A guest page becomes a table (@by 1) or is one no more (-1), for the large pages that it lies in.
 */
void shadow_count_table(struct shadow *shadow, uint64_t gfn, int by);
/* Every list of the maps is empty from now on. */
void shadow_entry_forget_all(struct shadow *shadow);

/* --- shadow_root.c ---------------------------------------------------------------------------- */

/* A callback of @hw begins: what another vCPU's write left unfinished is finished. */
struct shadow *shadow_act(struct vmm *vmm, struct hw *hw);
/* The role of a table of @level below the guest's present registers. */
struct shadow_role shadow_base_role(const struct hw *hw, unsigned level);
/* Points the vCPU's hardware at the pages for its present registers, cached ones where there are.
 * -ENOMEM. */
int shadow_set_root(struct shadow *shadow);
/* The same for all vCPUs, with all translations flushed and the intercepts set. -ENOMEM. */
int shadow_enter(struct vmm *vmm);
/* The page that the hardware's walk of @gva begins at, and its level. */
uint32_t shadow_root_of(const struct shadow *shadow, uint64_t gva, unsigned *ret_level);

/* --- shadow_sync.c ---------------------------------------------------------------------------- */

/* Whether all pages of @gfn are leaf tables: others never go out of sync. */
bool shadow_can_unsync(const struct shadow *shadow, uint64_t gfn);
/* Lets the leaf tables of @gfn go out of sync; false when one of its pages is no leaf table. */
bool shadow_unsync(struct shadow *shadow, uint64_t gfn);
/* Repairs all pages that are out of sync and write-protects their tables again. */
void shadow_sync_all(struct shadow *shadow);
/* The same for those of one guest table. */
void shadow_sync_gfn(struct shadow *shadow, uint64_t gfn);
/* The same for a page and all pages that it leads to. */
void shadow_sync_below(struct shadow *shadow, uint32_t page);
/* The CPU is about to carry out a write to this table: remembers what to compare with. */
void shadow_write_begins(struct shadow *shadow, uint64_t gfn);
/* The offset of the first 8 bytes from @at on in which two pages differ, a multiple of 8;
 * PAGE_SIZE: there are none. */
size_t shadow_difference(const void *before, const void *after, size_t at);
/* The instruction is over: drops the shadow entries of what it changed. */
void shadow_writes_end(struct shadow *shadow);

/* --- shadow.c --------------------------------------------------------------------------------- */

/*
 * The leaf entry for a frame under these rights, @bits more in it. Not writable before the guest's
 * dirty bit is set, nor while @write_protected: then a write must fault.
 */
uint64_t shadow_leaf_value(uint64_t hpa, struct rights rights, bool dirty, bool write_protected,
			   uint64_t bits);
enum hw_resume shadow_memory_exit(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
				  uint64_t *ret_hpa, uint32_t *ret_error_code);
enum umbra_walk_end shadow_foresee(const struct vmm *vmm, const struct hw *hw,
				   const struct hw_exit *exit, const struct guest_walk *walk);
/* The level of the entry that a fill of @walk's address would make; of a table inside it knows
 * only while brute or shadow is on. */
unsigned shadow_leaf_level(const struct shadow *shadow, const struct guest_walk *walk);
void shadow_attend(struct vmm *vmm, struct hw *hw);
void shadow_empty(struct vmm *vmm);

/* --- brute.c ---------------------------------------------------------------------------------- */

/* Whether a guest page is a table of a tree that a vCPU's CR3 points at. */
bool brute_is_table(const struct brute *brute, uint64_t gfn);
/* An instruction wrote this table, which held @before: finds tables that it leads to now. */
void brute_table_written(struct shadow *shadow, uint64_t gfn, const void *before,
			 const void *after);
/* Finds all tables anew. */
void brute_relocate(struct shadow *shadow);
/* @brute may be NULL. */
void brute_destroy(struct brute *brute);

#endif
