/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One access, step by step. */
#ifndef UMBRA_EXPLAIN_H
#define UMBRA_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "umbra/counters.h"
#include "umbra/error.h"
#include "umbra/mode.h"

struct umbra_guest;

enum umbra_step_kind {
	UMBRA_STEP_REFERENCE,   /* the hardware's walker reads an entry */
	UMBRA_STEP_AD,          /* the hardware's walker writes an accessed or dirty bit */
	UMBRA_STEP_WALK_FAILED, /* the walk ends without a translation */
	UMBRA_STEP_EXIT,        /* VM exit; reason says which */
	UMBRA_STEP_SOFTWARE,    /* the VMM reads or writes an entry while it handles the exit */
	UMBRA_STEP_FAULT,       /* the guest gets a page fault with error_code */
	UMBRA_STEP_TRANSLATED,  /* hpa is the answer */
	UMBRA_STEP_DEVICE,      /* the device at gpa answers */
	UMBRA_STEP_NOBODY,      /* neither RAM nor a device: reads give all ones */
};

/* Which table an entry is in. */
enum umbra_table {
	UMBRA_TABLE_GUEST,  /* the guest's own tables; address is where the guest put them (GPA) */
	UMBRA_TABLE_SHADOW, /* the VMM's shadow tables */
	UMBRA_TABLE_EPT,    /* the VMM's EPT tables */
};

struct umbra_step {
	enum umbra_step_kind kind;
	enum umbra_table table;
	uint8_t level;       /* 5 PML5, 4 PML4, 3 PDPT, 2 PD, 1 PT */
	bool write;          /* SOFTWARE: writes the entry (REFERENCE always reads) */
	uint16_t index;      /* of the entry in its table */
	uint64_t gpa;        /* GUEST tables: the entry's guest-physical address */
	uint64_t hpa;        /* the entry's host-physical address; TRANSLATED: the answer */
	uint64_t entry;      /* its value as read or written */
	uint64_t translates; /* EPT: the guest-physical address that is being translated */
	enum umbra_exit_reason reason; /* EXIT */
	uint32_t error_code;           /* FAULT; EXIT page_fault */
};

enum umbra_explain_access { UMBRA_EXPLAIN_READ, UMBRA_EXPLAIN_WRITE, UMBRA_EXPLAIN_EXECUTE };

/* The steps of one access. */
struct umbra_steps {
	struct umbra_step *step;
	size_t nr;
	uint64_t references; /* of the hardware's walks, A/D writes not counted */
	uint64_t exits;
	uint64_t cycles; /* of all walks and exits, by the guest's cost table */
};

/* An entry at which a walk ends. */
struct umbra_leaf {
	struct umbra_step step; /* its place and value */
	uint64_t maps;          /* the page that it maps; UINT64_MAX: none */
};

/* Whether the guest can read its own entry for the address. */
enum umbra_read_back_state {
	UMBRA_READ_BACK_NO_TABLES, /* it does not page: there is no entry */
	UMBRA_READ_BACK_UNMAPPED,  /* its tables map no address to the one that holds the entry */
	UMBRA_READ_BACK_FAULT,     /* they do, but the read faults, or a device answers */
	UMBRA_READ_BACK_DONE,
};

/* What the guest wrote (B), beside what the hardware uses in its place (C). */
struct umbra_read_back {
	enum umbra_read_back_state state;
	/*
	 * The guest's entry at which a walk of the address ends, as it stands in the guest's
	 * memory after the access; it maps a GPA. Not with NO_TABLES.
	 */
	struct umbra_leaf leaf;
	uint64_t gva;  /* by which the guest reads the entry (FAULT, DONE): the lowest one */
	uint64_t seen; /* DONE: what it got */
	struct umbra_steps steps; /* of the read (FAULT, DONE) */
};

struct umbra_explanation {
	struct umbra_steps steps;
	struct umbra_step end; /* the last of the steps: FAULT, TRANSLATED, DEVICE or NOBODY */
	/*
	 * The entries at which the hardware's last walk ended, as they are after the access: one of
	 * the tables that its CR3 points at (none when they are those of a guest that does not
	 * page), then, with EPT, the one that maps the guest's page. What the first maps is a GPA
	 * with EPT, else an HPA.
	 */
	struct umbra_leaf hardware[2];
	unsigned nr_hardware;
	struct umbra_read_back read_back;
};

/*
 * Performs one supervisor or user access (as CPL is now) to @gva with empty TLB and walk caches.
 * The second step is in place, unless @first_touch empties it too. Then the guest's supervisor
 * reads the guest's own entry for @gva, with the caches as the access left them. The guest must not
 * be running. The caller frees the result with umbra_explanation_free(). 0; -EINVAL: @gva is not
 * canonical (SDM 1 3.3.7.1); -ENOMEM; -EOPNOTSUPP: the guest is KVM's.
 */
int umbra_guest_explain(struct umbra_guest *guest, uint64_t gva, enum umbra_explain_access access,
			bool first_touch, struct umbra_explanation **ret_explanation,
			struct umbra_error *ret_error);
/*
 * Gives vCPU 0 tables made for an explanation, in the guest's last pages: 4-level or 5-level ones
 * that map @gva by one entry of size @page, and themselves by one in the topmost table, and nothing
 * else, as if used before. The guest is not to run again. -EINVAL: not canonical, too little RAM;
 * -ENOMEM; -EOPNOTSUPP: the guest is KVM's.
 */
int umbra_guest_explain_tables(struct umbra_guest *guest, uint64_t gva, enum umbra_page_size page,
			       unsigned levels, struct umbra_error *ret_error);
/* @explanation may be NULL. */
void umbra_explanation_free(struct umbra_explanation *explanation);

/* --- names, static strings, for all that shows steps ------------------------------------------ */

/* Whose tables: "guest", "EPT"; those between GVA and HPA have the name of the mode. */
const char *umbra_table_name(enum umbra_mode mode, enum umbra_table table);
/* "PT" ... "PML5", of levels 1 ... 5. */
const char *umbra_level_name(unsigned level);
/* The next bit that is set in the step's entry, from *@position (0 at first) on; NULL: no more. */
const char *umbra_entry_flag(const struct umbra_step *step, unsigned *position);
/* The same of a page fault's error code. */
const char *umbra_error_code_flag(uint32_t code, unsigned *position);

#endif
