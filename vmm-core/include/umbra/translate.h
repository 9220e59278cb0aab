/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an address of a live guest leads: what an access would do, in the mode that is on and in
 * the others, without an access. The guest cannot notice it.
 */
#ifndef UMBRA_TRANSLATE_H
#define UMBRA_TRANSLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/error.h"
#include "umbra/explain.h"
#include "umbra/mode.h"

struct umbra_guest;

#define UMBRA_TABLE_LEVELS 5
/* Five entries of the guest, each behind a nested walk of five, and one for the page. */
#define UMBRA_WALK_REFERENCES (UMBRA_TABLE_LEVELS * (UMBRA_TABLE_LEVELS + 1) + UMBRA_TABLE_LEVELS)

/* How the guest pages (SDM 3A 4.1.1). */
enum umbra_paging {
	UMBRA_PAGING_OFF,
	UMBRA_PAGING_32_BIT,
	UMBRA_PAGING_PAE,
	UMBRA_PAGING_4_LEVEL,
	UMBRA_PAGING_5_LEVEL,
	UMBRA_PAGING_COUNT,
};

/* With what rights the access is made (SDM 3A 4.6). */
enum umbra_privilege {
	UMBRA_PRIVILEGE_SUPERVISOR,
	UMBRA_PRIVILEGE_USER,
	UMBRA_PRIVILEGE_SUPERVISOR_AC, /* EFLAGS.AC is set: SMAP lets it pass */
	UMBRA_PRIVILEGE_COUNT,
};

/* What the guest gets, whatever the mode. */
enum umbra_outcome {
	UMBRA_OUTCOME_RAM,
	UMBRA_OUTCOME_FAULT,  /* a page fault */
	UMBRA_OUTCOME_DEVICE, /* a device answers */
	UMBRA_OUTCOME_NOBODY, /* neither RAM nor a device: reads give all ones */
	UMBRA_OUTCOME_COUNT,
};

/* How a walk of the hardware's ends. EXIT: the VMM is asked, and ... */
enum umbra_walk_end {
	UMBRA_WALK_NO_TABLES, /* the mode has none while it is not on: nothing to walk */
	UMBRA_WALK_TRANSLATED,
	UMBRA_WALK_FAULT,        /* the guest gets a page fault without the VMM */
	UMBRA_WALK_DEVICE,       /* a device answers, without the VMM */
	UMBRA_WALK_NOBODY,       /* nobody answers, which the VMM need not see */
	UMBRA_WALK_EXIT_FILL,    /* ... makes what is missing; the hardware walks again */
	UMBRA_WALK_EXIT_FAULT,   /* ... hands the guest the page fault */
	UMBRA_WALK_EXIT_EMULATE, /* ... carries the access out itself, each time */
	UMBRA_WALK_EXIT_DEVICE,  /* ... has the device answer */
	UMBRA_WALK_EXIT_NOBODY,  /* ... sees that nobody answers */
	UMBRA_WALK_END_COUNT,
};

/* Why a figure is not known. */
enum umbra_unknown {
	UMBRA_KNOWN,
	UMBRA_UNKNOWN_FAULT,     /* the guest gets a page fault: there is no page */
	UMBRA_UNKNOWN_DEVICE,    /* a device answers: no walk ends in a page */
	UMBRA_UNKNOWN_NOBODY,    /* nobody answers there */
	UMBRA_UNKNOWN_UNTOUCHED, /* the guest's page gets its frame when it is first touched */
	UMBRA_UNKNOWN_EMULATED,  /* the VMM carries each such access out: no walk succeeds */
	UMBRA_UNKNOWN_PIECES,    /* a large page is mapped whole only if no table lies in it */
	UMBRA_UNKNOWN_BARE,      /* memory lies elsewhere for a guest without a VMM */
	UMBRA_UNKNOWN_COUNT,
};

/* The walk of one mode. */
struct umbra_mode_walk {
	enum umbra_mode mode;
	bool on;
	/*
	 * The hardware's walk over the mode's tables as they are, with empty TLB and walk caches:
	 * its references, and how it ends. EPT tables stay when another mode is on.
	 */
	enum umbra_walk_end end;
	unsigned nr_steps;
	struct umbra_step step[UMBRA_WALK_REFERENCES]; /* all of kind REFERENCE */
	enum umbra_exit_reason reason;                 /* EXIT_... */
	uint64_t exit_gpa;   /* exits of EPT: the guest-physical address that it cannot translate */
	uint32_t error_code; /* FAULT and exits of page_fault: as the hardware has it */
	/*
	 * What a walk that succeeds comes to, once all is in place and if the VMM lets the page be
	 * mapped (brute maps no page that holds a table; with a VMM a bare guest would have frames
	 * of 4K): hardware references, bytes that one entry
	 * of the TLB translates, and the address. UMBRA_KNOWN, or why not.
	 */
	enum umbra_unknown walk_unknown;
	unsigned references;
	uint64_t page_bytes;
	enum umbra_unknown hpa_unknown;
	uint64_t hpa;
};

struct umbra_translation {
	uint64_t gva;
	enum umbra_explain_access access;
	unsigned cpu;                   /* whose registers it goes by */
	enum umbra_privilege privilege; /* that the vCPU has now */
	uint64_t instructions, time;    /* of the guest, when this was seen */

	/* The guest's own tables, from CR3 on. */
	enum umbra_paging paging;
	uint64_t cr3;
	uint64_t pdpte; /* PAE: the register that the walk begins with */
	unsigned nr_entries;
	/* kind SOFTWARE; hpa: UINT64_MAX where the page has no frame */
	struct umbra_step entry[UMBRA_TABLE_LEVELS];
	enum umbra_outcome outcome;
	uint32_t error_code; /* FAULT */
	/* Not FAULT: where the guest's tables lead, the page's size (0: it does not page), and what
	 * the entries allow, all taken together. */
	uint64_t gpa;
	uint64_t page_bytes;
	bool write, user, execute;
	uint8_t key; /* protection key (SDM 3A 4.6.2) */

	struct umbra_mode_walk walk[UMBRA_MODE_COUNT]; /* [mode] */
};

/*
 * What an access by vCPU @cpu would do. Changes nothing that the guest, its counters or a later
 * access could tell: no frame, no bit of a table, no cache. The guest must not be running: call
 * between two umbra_guest_run(). 0; -EINVAL: there is no such vCPU, or @gva is no address of the
 * guest's: not canonical (SDM 1 3.3.7.1), or above 32 bits outside of IA-32e mode; -EOPNOTSUPP: the
 * guest is KVM's, which shows nobody its tables.
 */
int umbra_guest_translate(const struct umbra_guest *guest, unsigned cpu, uint64_t gva,
			  enum umbra_explain_access access, struct umbra_translation *ret,
			  struct umbra_error *ret_error);

/* As in JSON, static strings: "4-level", "supervisor", "page_fault", "exit_fill", "untouched". */
const char *umbra_paging_name(enum umbra_paging paging);
const char *umbra_privilege_name(enum umbra_privilege privilege);
const char *umbra_outcome_name(enum umbra_outcome outcome);
const char *umbra_walk_end_name(enum umbra_walk_end end);
const char *umbra_unknown_name(enum umbra_unknown unknown);

#endif
