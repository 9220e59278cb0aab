/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modelled hardware's memory side as the CPU uses it: translate an address, load CR3,
 * invalidate a page. TLB, walk caches and walker of one vCPU. It knows registers, a hardware CR3,
 * an EPTP and a set of intercepts and nothing of paging modes: what it cannot do it hands to the
 * VMM as a VM exit.
 */
#ifndef PAGING_HW_H
#define PAGING_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/counters.h"

enum hw_access {
	HW_READ,
	HW_WRITE, /* also read-modify-write: one look-up */
	HW_FETCH,
};

/*
 * With what rights (SDM 3A 4.6): an explicit access with EFLAGS.AC set is one that SMAP lets pass;
 * implicit ones (to descriptor tables and TSS) are HW_SUPERVISOR whatever AC and CPL are.
 */
enum hw_privilege { HW_SUPERVISOR, HW_USER, HW_SUPERVISOR_AC, HW_PRIVILEGES };

/* SDM 3A 4.7: error code of a page fault. */
#define PF_P              (1u << 0)
#define PF_W              (1u << 1)
#define PF_U              (1u << 2)
#define PF_RSVD           (1u << 3)
#define PF_I              (1u << 4)
#define PF_PK             (1u << 5)

#define HW_NO_PAGE        UINT64_MAX
#define HW_MARKED         (1ull << 63) /* page numbers have 52 bits at most */
#define HW_LOOKASIDE_SETS 16
#define HW_HIT            16ull

/*
 * Holds only entries that are the most recently used of their TLB set, so that a hit changes
 * nothing but a counter. Indexed by the low bits of the page number, as the first-level TLBs are.
 */
struct hw_lookaside {
	/* The page number for which [0] reads or fetches, [1] writes are known to hit; with
	 * HW_MARKED it is of a frame whose writes must be noticed. */
	uint64_t page[2];
	/* enum umbra_tlb_hit: what hits here are; above it, for data, how many are not yet in the
	 * counters (each HW_HIT). */
	uint64_t hits;
	uint8_t *host; /* of the page's first byte */
} __attribute__((aligned(32)));

struct hw_public {
	struct hw_lookaside data[HW_PRIVILEGES][HW_LOOKASIDE_SETS];
	struct hw_lookaside fetch[HW_PRIVILEGES][HW_LOOKASIDE_SETS];
	/*
	 * Something happened that the CPU must look at before its next instruction: code was
	 * written, the TLB was flushed by the VMM, an emulated table write waits for its end.
	 * The CPU ends its block and calls hw_attend().
	 */
	bool attention;
	/*
	 * A translation returned NULL: the access is to the memory of a device, at mmio_gpa, and no
	 * fault; the guest's accessed and dirty bits are set. Else what to raise.
	 */
	bool mmio;
	uint64_t mmio_gpa;
	uint64_t fault_address;
	uint32_t fault_code;
	uint64_t fetched_hit;  /* enum umbra_tlb_hit: those in the page fetched from last ... */
	uint64_t fetched_hits; /* ... and how many are not yet in the counters */
	uint64_t cycles;       /* of the MMU and of exits, all that is not an instruction */
	struct umbra_counters counters; /* this vCPU's own, without what hw_counters() adds */
};

static inline void hw_lookaside_forget(struct hw_lookaside *entry)
{
	entry->page[0] = entry->page[1] = HW_NO_PAGE;
}

struct hw;

static inline struct hw_public *hw_public(struct hw *hw)
{
	return (struct hw_public *)hw; /* its first member */
}

/* The page fetched from is one of another kind of entry; @of_this: hits of it that are counted. */
void hw_fetched_from(struct hw_public *p, uint64_t hit, uint64_t of_this);

/* The slow half of hw_translate(): TLB, walk, exits. */
uint8_t *hw_translate_slow(struct hw *hw, uint64_t gva, enum hw_access access,
			   enum hw_privilege privilege);

/* Counts an instruction look-up that @entry of the lookaside answers. */
static inline void hw_fetched(struct hw_public *p, const struct hw_lookaside *entry)
{
	p->fetched_hits++;
	if (__builtin_expect(entry->hits != p->fetched_hit, 0))
		hw_fetched_from(p, entry->hits, 1);
}

/*
 * The host byte of @gva for one access that lies within a 4K page. Counts one TLB look-up. NULL:
 * #PF with fault_address (for CR2) and fault_code, or mmio: a device's memory, which every access
 * finds by this way (but fetches, which read all ones there). The pointer holds until the next call
 * into hw.
 * @gva is canonical (the CPU checks: #GP or #SS is its business).
 */
static inline uint8_t *hw_translate(struct hw *hw, uint64_t gva, enum hw_access access,
				    enum hw_privilege privilege)
{
	struct hw_public *p = hw_public(hw);
	uint64_t page = gva >> 12;
	struct hw_lookaside *entry = access == HW_FETCH
					     ? &p->fetch[privilege][page % HW_LOOKASIDE_SETS]
					     : &p->data[privilege][page % HW_LOOKASIDE_SETS];

	if (__builtin_expect(entry->page[access == HW_WRITE] == page, 1)) {
		if (access != HW_FETCH)
			entry->hits += HW_HIT;
		else
			hw_fetched(p, entry);
		return entry->host + (gva & 0xfff);
	}
	return hw_translate_slow(hw, gva, access, privilege);
}

/* @n more instruction look-ups in the page fetched last: they hit its first-level set's newest
 * entry. */
static inline void hw_fetched_again(struct hw *hw, uint64_t n)
{
	hw_public(hw)->fetched_hits += n;
}

/* This vCPU's counters: those of the TLB that are not counted as they happen are summed up. */
void hw_counters(struct hw *hw, struct umbra_counters *ret);

/*
 * @n more writes where the lookaside has a marked page, at @host; all within that page. False: code
 * may be cached of it, each must be noticed by itself.
 */
bool hw_write_marked(struct hw *hw, const uint8_t *host, uint64_t n);

/*
 * Code is cached by host frame. hw_frame_of(): the frame that holds a host byte that a translation
 * returned, HW_NO_PAGE when it lies in none (open bus: do not cache). hw_code_cached(): writes to
 * this frame must be noticed from now on. hw_code_generation(): grows each time such a frame is
 * written; blocks decoded under an older value are stale.
 */
uint64_t hw_frame_of(struct hw *hw, const uint8_t *host);
void hw_code_cached(struct hw *hw, uint64_t frame);
uint32_t hw_code_generation(struct hw *hw, uint64_t frame);
/* How often any generation grew. */
uint64_t hw_code_writes(const struct hw *hw);

/* What the MMU must know of the control registers; given after each change of any of them. */
struct hw_paging {
	uint64_t cr0, cr3, cr4, efer; /* the guest's, architectural */
	uint32_t pkru;
};

/* Physical address bits, 36 ... 52; all above are reserved in entries, CR3 and MTRRs. */
unsigned hw_maxphyaddr(const struct hw *hw);

/*
 * The page at @gpa, beyond RAM, becomes a device's or ceases to be one, for all vCPUs: what the VMM
 * and the caches hold of it is dropped. To say what is so already changes nothing.
 */
void hw_set_device(struct hw *hw, uint64_t gpa, bool device);

/*
 * The guest changed CR0, CR4 or EFER in a bit that matters to paging. Flushes what the manual says
 * (SDM 3A 4.10.4.1) and, where it demands that, loads the PDPTE registers (4.4.1). 0; -EINVAL: a
 * PDPTE has reserved bits set, nothing has changed, the CPU raises #GP(0). -ENOMEM: the guest
 * must end, hw_error_text() says why.
 */
int hw_paging_changed(struct hw *hw, const struct hw_paging *paging);
/*
 * MOV to CR3 (already validated), with its flush; exits where intercepted. @keep: bit 63 of the
 * operand with CR4.PCIDE set, which is not part of @cr3: what is cached for the PCID stays. Returns
 * what hw_paging_changed() does.
 */
int hw_load_cr3(struct hw *hw, uint64_t cr3, bool keep);
/* MOV from CR3: an exit where intercepted; the value is the CPU's own copy. */
void hw_store_cr3(struct hw *hw);
void hw_invlpg(struct hw *hw, uint64_t gva);

enum hw_invpcid {
	HW_INVPCID_ADDRESS,
	HW_INVPCID_CONTEXT,
	HW_INVPCID_ALL,
	HW_INVPCID_ALL_BUT_GLOBAL
};

/* INVPCID with a valid descriptor (SDM 2); @pcid and @gva where the type has them. */
void hw_invpcid(struct hw *hw, enum hw_invpcid type, uint16_t pcid, uint64_t gva);
/* WRPKRU, XRSTOR: no flush, no exit. */
void hw_set_pkru(struct hw *hw, uint32_t pkru);

/*
 * The CPU meets an event that VMX makes exit (cpuid, hlt, io_instruction, rdmsr, wrmsr, cr_access
 * for CR0 and CR4, external_interrupt, interrupt_window): counts and charges the exit when the mode
 * has a VMM, does nothing in bare. The CPU then carries out the instruction itself.
 */
void hw_event(struct hw *hw, enum umbra_exit_reason reason);

/* Call between two instructions (or REP iterations) when attention is set. Clears it. */
void hw_attend(struct hw *hw);

/* The processor whose TLB this is (tlb.h). */
struct processor;
const struct processor *hw_processor(const struct hw *hw);

/* True once memory for tables or frames ran out: the guest must end; see hw_error_text(). */
bool hw_failed(const struct hw *hw);
const char *hw_error_text(const struct hw *hw);

#endif
