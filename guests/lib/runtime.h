/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every guest program stands on; there is nothing below but the machine. */
#ifndef GUESTS_LIB_RUNTIME_H
#define GUESTS_LIB_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096ul

/* Page-table entries (SDM 3A 4.5) */
#define PTE_P       (1ul << 0)
#define PTE_W       (1ul << 1)
#define PTE_U       (1ul << 2)
#define PTE_A       (1ul << 5)
#define PTE_D       (1ul << 6)
#define PTE_PS      (1ul << 7)
#define PTE_NX      (1ul << 63)
#define PTE_ADDRESS 0x000ffffffffff000ul

/* Page-fault error code (SDM 3A 4.7) */
#define PF_P (1ul << 0)
#define PF_W (1ul << 1)

/* Where guests map pages of their own; the boot tables use the first entry of the PML4 alone. */
#define WORK_AREA 0x0000008000000000ul

/*
 * A guest: its name, its parameters and what it does. run() returns true when its own check
 * passed; *checksum sums up what it computed and is the same on every machine.
 */
struct parameter {
	const char *name;
	uint64_t *value; /* holds the default */
	uint64_t min, max;
};

struct guest {
	const char *name;
	const struct parameter *parameters; /* the last one has no name */
	bool (*run)(uint64_t *checksum);
	bool parallel; /* uses what processors there are: lib/processors.h */
};

extern const struct guest guest;

/* Console: %s %c %u %x (64 bits, both), %016x. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says why and ends the guest with value 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A page of RAM that nobody uses, filled with zeros; never given back. Any processor. */
uint64_t page_alloc(void);
/* @n pages that follow each other; the first. */
uint64_t pages_alloc(uint64_t n);

/* Memory is mapped to itself below 2 GiB. */
static inline void *at(uint64_t physical)
{
	return (void *)physical;
}

/* The tables in use, and new ones that share what the boot tables map. */
uint64_t cr3_read(void);
uint64_t space_create(void);

static inline void cr3_load(uint64_t root)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

static inline void invlpg(uint64_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/*
 * The entry that maps the 4K page of @address in the tables at @root; tables that are missing are
 * made. A 2M page on the way is split into 4K ones that map the same, which the processors other
 * than this one are not told: that is for before they use the tables.
 */
uint64_t *table_entry(uint64_t root, uint64_t address);
/* Changes an entry and invalidates what this processor has cached of it. */
void map_page(uint64_t root, uint64_t address, uint64_t physical, uint64_t flags);
void unmap_page(uint64_t root, uint64_t address);

/* Called at a page fault; true: try again. Without one a page fault ends the guest. */
extern bool (*page_fault_hook)(uint64_t address, uint64_t error_code);
/* Called for vectors 32 to 63, with interrupts off. Without one an interrupt ends the guest. */
extern void (*interrupt_hook)(unsigned vector);

/* xorshift64; the state is never 0. */
struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t x = rng->state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	rng->state = x;
	return x;
}

struct rng rng_seed(uint64_t seed);

/* Order matters: one more value into a checksum. */
static inline uint64_t mix(uint64_t checksum, uint64_t value)
{
	return ((checksum << 5 | checksum >> 59) ^ value) * 0x9e3779b97f4a7c15ul;
}

static inline void cpuid(uint32_t leaf, uint32_t ret[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(ret[0]), "=b"(ret[1]), "=c"(ret[2]), "=d"(ret[3])
			 : "a"(leaf), "c"(0));
}

/* Lets the processor execute SSE instructions; for guests that are built with them. */
void enable_sse(void);

#endif
