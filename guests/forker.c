/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees of processes as fork() makes them: a child shares its parent's pages, read-only for both,
 * and who writes to one first gets a copy of its own from the page-fault handler. Bound by page
 * tables, page faults and loads of CR3.
 *
 * rounds=12     trees of each lane (0: endless)
 * depth=3       generations below the root of a tree
 * children=3    of each process that is not in the last generation
 * pages=64      of each process
 * writes=16     pages that a process writes to before its children run, and again after each
 * seed=1        of the pages written to and the values
 *
 * Each lane has trees, pages and tables of its own. About 7,500 instructions a process; a tree
 * has 40. rounds=1 depth=2 pages=32: 0.5 million instructions.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

#define MAX_DEPTH    8
#define MAX_CHILDREN 8
#define MAX_PAGES    512 /* one page table */
#define TABLES       4   /* PML4, PDPT, PD, PT */
#define USED         (PTE_P | PTE_NX)

static uint64_t rounds = 12, depth = 3, children = 3, pages = 64, writes = 16, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"depth", &depth, 0, MAX_DEPTH},
	{"children", &children, 1, MAX_CHILDREN},
	{"pages", &pages, 1, MAX_PAGES},
	{"writes", &writes, 0, 65536},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

struct process {
	uint64_t root;
	uint64_t *table;           /* that maps its pages */
	uint64_t value[MAX_PAGES]; /* what each of them must hold */
};

/* What a lane owns: no other processor ever looks at it. */
static struct lane {
	struct rng rng;
	uint64_t checksum, faults, copies;
	bool failed;
	uint64_t first_frame, nr_frames;
	uint32_t *sharers;   /* of each frame */
	uint32_t *free_list; /* a stack of frames */
	uint64_t nr_free;
	struct process *running;
	struct process *processes; /* by generation: one that runs, or children that wait */
} lanes[LANES];

/* Which lane a processor is working for. */
static struct lane *lane_of[MAX_CPUS];

static uint64_t address_of(uint64_t page)
{
	return WORK_AREA + page * PAGE_SIZE;
}

static uint64_t frame_get(struct lane *l)
{
	uint32_t frame;

	if (!l->nr_free)
		fail("a lane's frames are used up");
	frame = l->free_list[--l->nr_free];
	l->sharers[frame] = 1;
	return l->first_frame + frame * PAGE_SIZE;
}

static uint32_t *sharers(struct lane *l, uint64_t entry)
{
	return &l->sharers[((entry & PTE_ADDRESS) - l->first_frame) / PAGE_SIZE];
}

static void frame_put(struct lane *l, uint64_t entry)
{
	if (--*sharers(l, entry) == 0)
		l->free_list[l->nr_free++] =
			(uint32_t)(((entry & PTE_ADDRESS) - l->first_frame) / PAGE_SIZE);
}

static void copy_page(uint64_t to, uint64_t from)
{
	uint64_t count = PAGE_SIZE / sizeof(uint64_t);

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static uint64_t table_get(struct lane *l)
{
	uint64_t table = frame_get(l), at_word = table, count = 512;

	__asm__ volatile("rep stosq" : "+D"(at_word), "+c"(count) : "a"(0ul) : "memory");
	return table;
}

/* Empty but for what all spaces share. */
static void space_make(struct lane *l, struct process *p)
{
	uint64_t table = p->root = table_get(l);

	*(uint64_t *)at(table) = *(uint64_t *)at(cr3_read());
	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t next = table_get(l);

		((uint64_t *)at(table))[WORK_AREA >> shift & 511] = next | PTE_P | PTE_W;
		table = next;
	}
	p->table = at(table);
}

/* The process is gone, and so are its translations: another space was loaded. */
static void space_free(struct lane *l, struct process *p)
{
	uint64_t table = p->root;

	for (uint64_t i = 0; i < pages; i++)
		frame_put(l, p->table[i]);
	for (unsigned shift = 39; table; shift -= 9) {
		uint64_t next = shift > 12 ? ((uint64_t *)at(table))[WORK_AREA >> shift & 511] : 0;

		frame_put(l, table);
		table = next & PTE_ADDRESS;
	}
}

/* Copies on write: what is shared gets a frame of its own, what no longer is only the right. */
static bool on_page_fault(uint64_t address, uint64_t error_code)
{
	struct lane *l = lane_of[processor_number()];
	uint64_t page = (address - WORK_AREA) / PAGE_SIZE, frame;
	volatile uint64_t *entry;

	if (!l || !l->running || address < WORK_AREA || page >= pages ||
	    (error_code & (PF_P | PF_W)) != (PF_P | PF_W))
		return false;
	entry = &l->running->table[page];
	frame = *entry & PTE_ADDRESS;
	if (*sharers(l, frame) > 1) {
		uint64_t copy = frame_get(l);

		copy_page(copy, frame);
		frame_put(l, frame);
		frame = copy;
		l->copies++;
	}
	*entry = frame | USED | PTE_W;
	invlpg(address_of(page));
	l->faults++;
	return true;
}

static void run_in(struct lane *l, struct process *p)
{
	l->running = p;
	cr3_load(p->root);
}

/*
 * Both have the pages, and neither may write. The load of CR3 that follows, of whichever process,
 * forgets what this processor knew of the parent's right to write.
 */
static void fork(struct lane *l, struct process *parent, struct process *child)
{
	space_make(l, child);
	for (uint64_t i = 0; i < pages; i++) {
		volatile uint64_t *entry = &parent->table[i];

		*entry &= ~PTE_W;
		child->table[i] = *entry & (PTE_ADDRESS | USED);
		++*sharers(l, *entry);
		child->value[i] = parent->value[i];
	}
}

static void write_some(struct lane *l, struct process *p)
{
	for (uint64_t i = 0; i < writes; i++) {
		uint64_t random = rng_next(&l->rng), page = (random >> 32) % pages;

		*(volatile uint64_t *)address_of(page) = random;
		p->value[page] = random;
	}
}

/* Nobody else's writes are seen. */
static void look(struct lane *l, const struct process *p)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t value = *(volatile uint64_t *)address_of(i);

		if (value != p->value[i])
			l->failed = true;
		l->checksum = mix(l->checksum, value);
	}
}

static struct process *process_at(struct lane *l, uint64_t generation, uint64_t child)
{
	return &l->processes[generation * MAX_CHILDREN + child];
}

/* The life of @p, which runs: its children are born together and run one after the other. */
static void live(struct lane *l, struct process *p, uint64_t generation)
{
	uint64_t nr_children = generation < depth ? children : 0;

	for (uint64_t i = 0; i < nr_children; i++)
		fork(l, p, process_at(l, generation + 1, i));
	run_in(l, p);
	write_some(l, p);
	look(l, p);
	for (uint64_t i = 0; i < nr_children; i++) {
		struct process *child = process_at(l, generation + 1, i);

		run_in(l, child);
		live(l, child, generation + 1);
		run_in(l, p);
		space_free(l, child);
		write_some(l, p);
		look(l, p);
	}
}

static void set_up(void)
{
	/* A process with its copies of all pages, and as many children that wait at each level. */
	uint64_t nr = (1 + depth * children) * (pages + TABLES);
	uint64_t bytes = nr * 2 * sizeof(uint32_t);
	uint64_t processes = (depth + 1) * MAX_CHILDREN * sizeof(struct process);

	for (unsigned lane = 0; lane < LANES; lane++) {
		struct lane *l = &lanes[lane];

		l->rng = rng_seed(mix(seed, lane));
		l->nr_frames = nr;
		l->first_frame = pages_alloc(nr);
		l->sharers = at(pages_alloc((bytes + PAGE_SIZE - 1) / PAGE_SIZE));
		l->free_list = l->sharers + nr;
		while (l->nr_free < nr) {
			l->free_list[l->nr_free] = (uint32_t)(nr - 1 - l->nr_free);
			l->nr_free++;
		}
		l->processes = at(pages_alloc((processes + PAGE_SIZE - 1) / PAGE_SIZE));
	}
}

static void grow_tree(unsigned lane)
{
	struct lane *l = &lanes[lane];
	struct process *first = process_at(l, 0, 0);
	uint64_t before = cr3_read();

	lane_of[processor_number()] = l;
	space_make(l, first);
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t frame = frame_get(l);

		first->value[i] = rng_next(&l->rng);
		*(uint64_t *)at(frame) = first->value[i];
		first->table[i] = frame | USED | PTE_W;
	}
	run_in(l, first);
	live(l, first, 0);
	l->running = NULL;
	cr3_load(before);
	space_free(l, first);
	if (l->nr_free != l->nr_frames)
		l->failed = true;
	lane_of[processor_number()] = NULL;
}

static bool run(uint64_t *checksum)
{
	bool passed = true;

	set_up();
	page_fault_hook = on_page_fault;
	for (uint64_t round = 0; passed && (rounds == 0 || round < rounds); round++) {
		run_lanes(grow_tree);
		for (unsigned lane = 0; lane < LANES; lane++)
			if (lanes[lane].failed)
				passed = false;
	}
	for (unsigned lane = 0; lane < LANES; lane++) {
		*checksum = mix(*checksum, lanes[lane].checksum);
		*checksum = mix(mix(*checksum, lanes[lane].faults), lanes[lane].copies);
	}
	return passed;
}

const struct guest guest = {"forker", parameters, run, true};
