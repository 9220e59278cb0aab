/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of the modelled hardware, for the walker and for the VMM that sets its registers. */
#ifndef PAGING_HW_PRIVATE_H
#define PAGING_HW_PRIVATE_H

#include "cost/cost.h"
#include "memory/map.h"
#include "paging/entry.h"
#include "paging/hw.h"
#include "paging/tlb.h"
#include "umbra/explain.h"

/* What the hardware hands to the VMM instead of doing it itself (VMCS controls). */
#define INTERCEPT_CR3        (1u << 0) /* CR3-load and CR3-store exiting */
#define INTERCEPT_INVLPG     (1u << 1)
#define INTERCEPT_PAGE_FAULT (1u << 2) /* bit 14 of the exception bitmap */
#define INTERCEPT_EVENTS     (1u << 3) /* HLT, I/O, CPUID, MSR, CR0/CR4, interrupts */

/* A memory access that the hardware could not finish: an exit of page_fault, ept_violation or
 * ept_misconfiguration. */
struct hw_exit {
	enum umbra_exit_reason reason;
	uint64_t gva;
	uint64_t gpa;        /* of EPT: the guest-physical address */
	bool table;          /* of EPT: on a guest table, not the final address (SDM 3C table 27-7,
				bit 8) */
	uint32_t error_code; /* page_fault: as the hardware saw it */
	enum hw_access access;
	enum hw_privilege privilege;
};

/* How the hardware goes on after the VMM handled such an exit. */
enum hw_resume {
	HW_RETRY,   /* do the access again */
	HW_INJECT,  /* the guest gets #PF with exit->error_code */
	HW_EMULATE, /* the VMM carries this one access out at *ret_hpa ... */
	HW_DISCARD, /* ... or lets it read all ones and write nowhere */
	HW_MMIO,    /* ... or has the CPU ask the device at *ret_hpa (a GPA) */
	HW_STOP,    /* the guest must end */
};

/* The VMM, as the hardware knows it: the place it exits to. */
struct hw_vmm_entry {
	void *vmm;
	enum hw_resume (*memory_exit)(void *vmm, struct hw *hw, const struct hw_exit *exit,
				      uint64_t *ret_hpa, uint32_t *ret_error_code);
	int (*cr3_load)(void *vmm, struct hw *hw);
	void (*invlpg)(void *vmm, struct hw *hw, uint64_t gva);
	void (*attend)(void *vmm, struct hw *hw);
	void (*map_changed)(void *vmm);
};

/* One step of an explanation; hooks are there only while one is being made. */
typedef void hw_trace(void *context, const struct umbra_step *step);

struct hw {
	struct hw_public public;

	/* Registers of the hardware: what the walker uses. */
	uint64_t cr3;  /* HPA of the root in bare and shadow, GPA with EPT */
	uint64_t eptp; /* SDM 3C 24.6.11; 0: no EPT */
	uint16_t vpid; /* SDM 3C 28.1; 0: no VMM */
	struct paging_rules rules;
	uint64_t pdpte[4]; /* in PAE what it walks from instead of CR3 */
	uint8_t maxphyaddr;
	struct ept_rules ept_rules; /* that follow from it */
	uint32_t intercepts;

	/* The guest's own values (VMCS guest-state area and read shadows). */
	struct hw_paging guest;
	uint64_t guest_pdpte[4];         /* PAE: read at MOV to CR3 (SDM 3A 4.4.1) */
	struct paging_rules guest_rules; /* that follow from them */

	struct tlb tlb;
	struct memory *memory;
	struct umbra_cost cost;
	const struct processor *processor;
	struct hw_vmm_entry vmm;

	/* Whose slots these are in the lookaside, [fetches]: those of all rights have one page. */
	uint64_t lookaside_page[2][HW_LOOKASIDE_SETS];
	uint16_t lookaside_used[2]; /* bits: since they were last flushed */

	uint8_t *sink; /* a page for accesses that nobody answers */
	bool failed;
	char error_text[128];

	hw_trace *trace; /* NULL */
	void *trace_context;
};

/* One vCPU's MMU. @memory knows of it until hw_destroy(). -ENOMEM, -E2BIG: more than MEMORY_MAX_HW.
 */
int hw_create(struct memory *memory, const struct umbra_cost *cost,
	      const struct processor *processor, struct hw **ret_hw);
void hw_destroy(struct hw *hw);
/* Another width than the processor's; before it is first used. */
void hw_set_maxphyaddr(struct hw *hw, unsigned bits);

/* Forgets every translation: INVVPID for all, MOV CR3, CR0/CR4 changes (SDM 3A 4.10.4.1,
 * 3C 28.4.3.1). */
void hw_flush(struct hw *hw);
/* The PCID that these registers are in. */
uint16_t hw_pcid(const struct hw_paging *paging);
/* The TLB goes by the VPID and EPTP of the registers: after each change of one of them. */
void hw_follow_context(struct hw *hw);

/* By the numbers that INVVPID and INVEPT have for them (SDM 3C 30.3). */
enum hw_invvpid {
	HW_INVVPID_ADDRESS,
	HW_INVVPID_CONTEXT,
	HW_INVVPID_ALL,
	HW_INVVPID_CONTEXT_BUT_GLOBAL
};
enum hw_invept { HW_INVEPT_CONTEXT = 1, HW_INVEPT_GLOBAL = 2 };

/* INVVPID by the VMM; @vpid and @gva where the type has them. */
void hw_invvpid(struct hw *hw, enum hw_invvpid type, uint16_t vpid, uint64_t gva);
/* INVEPT by the VMM; @eptp where the type has it. */
void hw_invept(struct hw *hw, enum hw_invept type, uint64_t eptp);
/* CR3, PCID and rules as the guest has them: where the VMM intercepts none of it. */
void hw_set_registers(struct hw *hw);
/* The CPU's look-aside of the TLB: of what changes rights or the newest entry of a set. */
void hw_lookaside_flush(struct hw *hw);
/* The same of one page. */
void hw_lookaside_drop(struct hw *hw, uint64_t gva);
/* The frame got a flag: every vCPU's writes to it must come by the slow path from now on. */
void hw_watch_frame(struct memory *memory, uint64_t hpa);
/* What was written may be code, and any vCPU may have it cached: each looks before it goes on. */
void hw_attention_all(struct memory *memory);

/* Whether a TLB entry with this @value allows the access. */
static inline bool hw_value_allows(const struct hw *hw, uint64_t value, enum hw_access access,
				   enum hw_privilege privilege)
{
	const struct rights rights = {!!(value & TLB_WRITE), !!(value & TLB_USER), false,
				      entry_key(value)};

	if (!(hw->rules.allows[privilege][access] >> (value & TLB_RIGHTS) & 1))
		return false;
	return !hw->rules.pke || !key_denies(&hw->rules, hw->guest.pkru, rights, access, privilege);
}

/* Charges @cycles that are no instruction's. */
static inline void hw_charge(struct hw *hw, uint64_t cycles)
{
	hw->public.cycles += cycles;
}

/* Charges @cycles of exit handling. */
static inline void hw_charge_exit(struct hw *hw, uint64_t cycles)
{
	hw->public.cycles += cycles;
	hw->public.counters.exit_cycles[0] += cycles;
}

void hw_count_exit(struct hw *hw, enum umbra_exit_reason reason);
void hw_fail(struct hw *hw, const char *text);

/* walk.c */
enum walk_status { WALK_OK, WALK_FAULT, WALK_VIOLATION, WALK_MISCONFIGURATION };

struct walk {
	uint64_t value;      /* OK: the TLB entry's value */
	uint64_t gpa;        /* VIOLATION, MISCONFIGURATION: what EPT could not translate */
	bool table;          /* ... while reading a guest table */
	uint32_t error_code; /* FAULT */
};

enum walk_status hw_walk(struct hw *hw, uint64_t gva, enum hw_access access,
			 enum hw_privilege privilege, struct walk *ret_walk);
/*
 * The walk that hw_walk() would do with empty walk caches, without doing it: nothing is changed,
 * filled, set, charged or counted. @trace gets the references.
 */
enum walk_status hw_look(const struct hw *hw, uint64_t gva, enum hw_access access,
			 enum hw_privilege privilege, hw_trace *trace, void *context,
			 struct walk *ret_walk);

#endif
