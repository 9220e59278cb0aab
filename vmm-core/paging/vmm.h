/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMM's side of memory virtualization: a mode supplies the hardware's CR3, EPTP and intercepts
 * and handles the exits. It is never asked on the path of a hit or of a walk that succeeds.
 */
#ifndef PAGING_VMM_H
#define PAGING_VMM_H

#include "paging/hw_private.h"
#include "umbra/guest.h"
#include "umbra/translate.h"

struct guest_walk;
struct vmm;

struct mode_ops {
	/* Builds what the mode needs and sets the registers of every vCPU's hardware. -ENOMEM. */
	int (*enter)(struct vmm *vmm);
	/* Tears down what does not survive a switch; returns the pages dropped. */
	uint64_t (*leave)(struct vmm *vmm);
	enum hw_resume (*memory_exit)(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
				      uint64_t *ret_hpa, uint32_t *ret_error_code);
	/* The vCPU's registers are others now, or what it has cached is to go. -ENOMEM. */
	int (*cr3_load)(struct vmm *vmm, struct hw *hw);
	void (*invlpg)(struct vmm *vmm, struct hw *hw, uint64_t gva);
	void (*attend)(struct vmm *vmm, struct hw *hw);
	/*
	 * What memory_exit() would make of this exit, without doing it. @walk: the guest's own;
	 * NULL: it ends in a page fault.
	 */
	enum umbra_walk_end (*foresee)(const struct vmm *vmm, const struct hw *hw,
				       const struct hw_exit *exit, const struct guest_walk *walk);
	/* Empties the second step; for an explanation from the first touch on. */
	void (*empty)(struct vmm *vmm);
};

extern const struct mode_ops mode_bare, mode_brute, mode_shadow, mode_ept;

struct shadow;

struct vmm {
	struct hw *hw[MEMORY_MAX_HW]; /* one a vCPU; costs that are no vCPU's go to the first */
	unsigned nr_hw;
	struct memory *memory;
	const struct mode_ops *ops;
	enum umbra_mode mode;
	struct shadow *shadow;    /* NULL until the mode was on once */
	uint64_t ept_root;        /* HPA of the topmost EPT table; UINT64_MAX: none yet */
	uint8_t ept_levels;       /* 4 or 5 */
	struct umbra_switch last; /* the last switch */
	uint64_t switches;
};

/* @hw: @nr_hw of them, 1 ... MEMORY_MAX_HW, all of @memory. -ENOMEM.
 */
int vmm_create(struct hw *const hw[], unsigned nr_hw, struct memory *memory, enum umbra_mode mode,
	       struct vmm **ret_vmm, struct umbra_error *ret_error);
void vmm_destroy(struct vmm *vmm);

/* EPT tables of 4 (without this) or 5 levels; before the guest first runs. -ENOMEM. */
int vmm_set_ept_levels(struct vmm *vmm, unsigned levels);

/* See umbra_guest_switch(). */
int vmm_switch(struct vmm *vmm, enum umbra_mode to, uint64_t instruction, uint64_t time,
	       struct umbra_error *ret_error);

/* A fill happened at the present exit that cost @cycles in all; @caused: a switch caused it. */
void vmm_count_refill(struct vmm *vmm, struct hw *hw, bool caused, uint64_t cycles);

/*
 * The VMM reads or writes an entry while it handles an exit: part of an explanation. @gpa: where a
 * guest's entry lies; for an EPT entry the address that is being mapped.
 */
void vmm_trace(const struct hw *hw, enum umbra_table table, unsigned level, unsigned index,
	       bool write, uint64_t gpa, uint64_t hpa, uint64_t entry);

/* ept.c: the page of this level is what EPT maps @gpa by. */
unsigned ept_page_level(const struct memory *memory, uint64_t gpa);
/* ept.c: @ret becomes @hw with the registers that it has in ept, for hw_look() alone. */
void ept_look(const struct vmm *vmm, const struct hw *hw, struct hw *ret);
/* ept.c: gives back all EPT tables; there is no root then. */
void ept_free(struct vmm *vmm);

/* guest_walk.c: the guest's tables as the VMM reads them, in software. */
struct guest_walk {
	uint64_t gpa;  /* of the access */
	unsigned leaf; /* level of the entry that maps it; of a fault, of the last entry read */
	uint64_t entry[MAX_LEVELS];     /* [level - 1], before accessed and dirty bits were set */
	uint64_t entry_gpa[MAX_LEVELS]; /* [level - 1] */
	uint64_t
		table_gfn[MAX_LEVELS]; /* [level - 1]: the guest page that holds entry[level - 1] */
	struct rights above[MAX_LEVELS]; /* [level - 1]: rights of the entries above that level */
	struct rights rights;            /* of the whole path */
	bool dirty;                      /* the leaf's dirty bit is set now */
	uint32_t error_code;
};

/*
 * Walks as the hardware would with the guest's own control registers, and on success sets accessed
 * and dirty bits in the guest's entries as it would. False: the guest gets a page fault with
 * error_code.
 */
bool guest_walk(struct vmm *vmm, struct hw *hw, uint64_t gva, enum hw_access access,
		enum hw_privilege privilege, struct guest_walk *ret_walk);
/* The same without setting anything: whether and where the access would lead. */
bool guest_look(const struct vmm *vmm, const struct hw *hw, uint64_t gva, enum hw_access access,
		enum hw_privilege privilege, struct guest_walk *ret_walk);

#endif
