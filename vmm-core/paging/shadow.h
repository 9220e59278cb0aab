/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow pages: tables in host frames that the hardware walks in place of the guest's, shared by
 * (guest page, role). shadow_page.c owns their life and the reverse maps, shadow_sync.c keeps them
 * true to the guest's tables, shadow.c fills them.
 */
#ifndef PAGING_SHADOW_H
#define PAGING_SHADOW_H

#include "paging/vmm.h"

enum shadow_format { SHADOW_UNPAGED, SHADOW_4_LEVEL };

/* Everything but the guest page on which the contents of a shadow page depend. */
struct shadow_role {
	uint8_t level;        /* 1 ... 4 */
	uint8_t format;       /* enum shadow_format: how the guest pages */
	bool direct;          /* no guest table behind it: unpaged, or the pieces of a large page */
	bool dirty;           /* pieces of a large page: its entry has the dirty bit */
	bool wp, nxe;         /* the guest's CR0.WP, EFER.NXE */
	bool smep, smap, pku; /* the guest's CR4 bits, which are roles of their own */
	struct rights above;  /* what the guest's entries above this table allow */
};

#define PARENT_NONE UINT32_MAX

/* Shadow entries are named by page number and index. */
#define SPTE_REF(page, index) ((page) << 9 | (index))
#define SPTE_REF_PAGE(ref)    ((ref) >> 9)
#define SPTE_REF_INDEX(ref)   ((ref) & (ENTRIES - 1))

/* A growing list of entry references. */
struct ref_list {
	uint32_t *ref;
	uint32_t count, capacity;
};

struct shadow_page {
	struct shadow_role role;
	uint64_t gfn;  /* the guest's table, or the first page mapped when direct */
	uint32_t next; /* in its hash bucket, or in the free list */
	bool used;
	bool unsync;                   /* the guest may write its table unseen */
	bool listed;                   /* in shadow.unsync, out of sync or not any more */
	uint8_t writes;                /* emulated writes since it was last used for a fill */
	uint64_t hpa;                  /* its frame */
	uint64_t *entry;               /* the same, host address */
	struct ref_list parents;       /* entries that point at it */
	uint64_t filled[ENTRIES / 64]; /* leaf entries that were filled since the page exists */
	uint32_t place[ENTRIES];       /* of each entry's reference in the list that it is in */
};

/* -ENOMEM. */
int ref_list_add(struct ref_list *list, uint32_t ref);

/* A guest table whose emulated write is under way: what it held before. */
struct pending_write {
	uint64_t gfn;
	uint64_t before[ENTRIES];
};

#define MAX_PENDING 4
#define HASH_SIZE   4096u

struct shadow {
	struct vmm *vmm;
	struct hw *hw;            /* the only vCPU's */
	struct shadow_page *page; /* [max_pages] */
	uint32_t max_pages, nr_pages, free_page;
	uint32_t bucket[HASH_SIZE];
	uint32_t root;          /* the page that hardware CR3 points at */
	uint16_t *shadowed;     /* per guest page: shadow pages of it that are not direct */
	struct ref_list *rmap;  /* per guest page: leaf entries that map it */
	struct ref_list unsync; /* numbers of pages that may be out of sync (or were) */
	struct pending_write pending[MAX_PENDING];
	unsigned nr_pending;
	bool pending_overflow;
};

/* shadow_page.c */
int shadow_create(struct vmm *vmm, struct shadow **ret_shadow);
void shadow_destroy(struct shadow *shadow);
/* The page for (gfn, role), made now if there is none: its number, or PARENT_NONE at the limit. */
uint32_t shadow_page_get(struct shadow *shadow, uint64_t gfn, const struct shadow_role *role);
/* Takes an entry out, whatever it is; says whether it was present. The caller flushes. */
bool shadow_entry_drop(struct shadow *shadow, uint32_t page, unsigned index);
void shadow_entry_set_leaf(struct shadow *shadow, uint32_t page, unsigned index, uint64_t value);
void shadow_entry_set_table(struct shadow *shadow, uint32_t page, unsigned index, uint32_t child);
/* Drops a page with all that it maps and all that points at it. The caller flushes. */
void shadow_page_drop(struct shadow *shadow, uint32_t page);
/* Drops all of them; returns how many there were. */
uint64_t shadow_drop_all(struct shadow *shadow);
/* Makes every mapping of a guest page read-only; flushes if there was a writable one. */
void shadow_write_protect(struct shadow *shadow, uint64_t gfn);
/* The first page of a guest table, and the next one; PARENT_NONE: no more. Direct ones are passed
 * over. */
uint32_t shadow_first_of(struct shadow *shadow, uint64_t gfn);
uint32_t shadow_next_of(struct shadow *shadow, uint32_t page);
/* The guest page that a leaf entry maps, GFN_NONE for the frame of all ones. */
uint32_t shadow_leaf_gfn(const struct shadow *shadow, uint64_t entry);

/* The page that an entry of an upper page points at. */
uint32_t shadow_child(const struct shadow *shadow, uint64_t entry);

/* shadow_sync.c */
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
/* The instruction is over: drops the shadow entries of what it changed. */
void shadow_writes_end(struct shadow *shadow);

/*
 * shadow.c: the leaf entry for a frame under these rights. Not writable before the guest's dirty
 * bit is set, nor while @write_protected: then a write must fault.
 */
uint64_t shadow_leaf_value(uint64_t hpa, struct rights rights, bool dirty, bool write_protected);

#endif
