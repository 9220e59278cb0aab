/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world of the law's property test: several vCPUs' MMUs over one memory and one VMM, tables of
 * every format under several roots, a flat copy of guest memory for the reference walker, and what
 * each vCPU may still have cached of entries that have changed since (SDM 3A 4.10.4): until it
 * invalidates, the law leaves open which translation of these it uses.
 */
#ifndef TESTS_LAW_WORLD_H
#define TESTS_LAW_WORLD_H

#include "paging_fixture.h"

#define LAW_MAX_CPUS   4
#define LAW_ROOTS      3 /* of each format */
#define LAW_PCIDS      4
#define LAW_REGIONS    6 /* the last one is the kernel's: alike under all roots, may be global */
#define LAW_PER_REGION 24
#define LAW_PAGES      (LAW_REGIONS * LAW_PER_REGION) /* linear pages that are accessed */

/* Guest-physical: tables, then what is only data; behind RAM nobody and then a device answers. */
#define LAW_FIRST_TABLE (2ull << 20)
#define LAW_FIRST_DATA  (4ull << 20)
#define LAW_DEVICE      (RAM_SIZE + 64 * PAGE_SIZE)
#define LAW_DEVICE_SIZE (64 * PAGE_SIZE)

/* What may still be cached of a page whose entries changed. */
struct law_stale {
	uint8_t changes; /* 0: nothing old; 1: one, at @gpa; 2: more */
	uint8_t shift;   /* size of the page that was mapped; 0: none was */
	uint8_t size;    /* of what was written, at @gpa, over @old */
	bool leaf;       /* the entry that changed mapped the page */
	uint64_t gpa, old;
};

struct law_cpu {
	struct hw *hw;
	struct reference_registers registers;
	unsigned root[LAW_PCIDS];                     /* what each PCID was last loaded with */
	unsigned pcid;                                /* index of the present one */
	struct law_stale stale[LAW_PCIDS][LAW_PAGES]; /* what is tagged with a PCID ... */
	struct law_stale global[LAW_PAGES];           /* ... and what is global */
	bool widened; /* supervisor pages became user pages, which is not demanded to be known */
};

/* Not the kernel's: may be linked anywhere. */
struct law_table {
	uint32_t gfn;
	uint8_t width, level; /* bytes of an entry; as what it was made */
};

struct law {
	struct box box;
	unsigned nr_cpus;
	struct law_cpu cpu[LAW_MAX_CPUS];
	struct reference_memory flat; /* what guest memory must be */
	struct law_table table[LAW_FIRST_DATA / PAGE_SIZE];
	unsigned nr_tables;
	/* [gfn] what can be changed: any other table or root, or one of the kernel's region */
	enum law_use { LAW_FIXED, LAW_TABLE, LAW_KERNEL } use[LAW_FIRST_DATA / PAGE_SIZE];
	uint32_t next_table;
	uint64_t stores; /* into tables by accesses that came there */
	bool executing;  /* an instruction that writes more than once: nobody attends */
	uint64_t random_state;
	uint64_t seed, step; /* for messages */
};

/* The entries that a walk passes, the first one first; whatever their rights. */
struct law_path {
	unsigned nr;
	struct {
		uint64_t gpa, entry;
		unsigned level;
	} at[MAX_LEVELS];
	unsigned shift; /* of the page that it finds; 0: none */
};

uint32_t law_below(struct law *law, uint32_t limit);
uint64_t law_bits(struct law *law);

/* The linear address of page @page as @format has it. */
uint64_t law_linear(enum reference_format format, unsigned page);
enum reference_format law_format(const struct law_cpu *cpu);
static inline bool law_is_kernel(unsigned page)
{
	return page / LAW_PER_REGION == LAW_REGIONS - 1;
}

/* Every vCPU begins in 4-level paging with the first root; @seed chooses the processor too. */
void law_create(struct law *law, enum umbra_mode mode, unsigned cpus, unsigned backing_shift,
		unsigned maxphyaddr, uint64_t seed);
void law_destroy(struct law *law);
/* What the vCPU does between two instructions. */
void law_attend(struct law *law, struct law_cpu *cpu);
/* Guest memory is what the reference says, to the last bit. */
void law_compare_memory(struct law *law);
/* A counter over all vCPUs. */
#define law_counter(law, name)                                                                     \
	({                                                                                         \
		uint64_t sum = 0;                                                                  \
		for (unsigned i = 0; i < (law)->nr_cpus; i++)                                      \
			sum += hw_public((law)->cpu[i].hw)->counters.name;                         \
		sum;                                                                               \
	})

void law_add_table(struct law *law, uint32_t gfn, unsigned width, unsigned level);
/* As @cpu walks for @page under the root that PCID @pcid was loaded with. */
void law_walk(const struct law *law, const struct law_cpu *cpu, unsigned pcid, unsigned page,
	      struct law_path *ret_path);

/*
 * @writer writes an entry of @size bytes. @widens: it only allows more than before; so does U while
 * SMEP, SMAP and PKE are off on all vCPUs.
 */
void law_write(struct law *law, struct law_cpu *writer, uint64_t gpa, uint64_t entry, unsigned size,
	       bool widens);
/* @reader reads it: what was last written, with the bits that walks have set. */
void law_read(struct law *law, struct law_cpu *reader, uint64_t gpa, unsigned size);

struct law_access {
	uint64_t linear;
	enum hw_access access;
	enum hw_privilege privilege;
};

/* The reference's result; the access must have it. */
struct reference_result law_access(struct law *law, struct law_cpu *cpu, unsigned page,
				   const struct law_access *access);
/* The same of a page whose entries changed: the old outcome or the new one. False: neither known.
 */
bool law_access_loosely(struct law *law, struct law_cpu *cpu, unsigned page,
			const struct law_access *access);

/* Entries of the page have changed, and @cpu need not have noticed. */
bool law_is_stale(const struct law_cpu *cpu, unsigned page);

/* law_lists.c: the reverse maps and parents of all shadow pages. */
void law_check_lists(const struct shadow *shadow);

/* law_control.c: what a guest does to registers and TLBs. False: refused by #GP, as it must be. */
bool law_load_cr3(struct law *law, struct law_cpu *cpu, unsigned root, unsigned pcid, bool keep);
bool law_change_registers(struct law *law, struct law_cpu *cpu,
			  const struct reference_registers *registers);
void law_invlpg(struct law *law, struct law_cpu *cpu, unsigned page);
void law_invpcid(struct law *law, struct law_cpu *cpu, enum hw_invpcid type, unsigned pcid,
		 unsigned page);
/* REFERENCE_NONE turns paging off; from there any format can be turned on. */
bool law_change_format(struct law *law, struct law_cpu *cpu, enum reference_format format,
		       unsigned root);
uint64_t law_root(enum reference_format format, unsigned root);

#endif
