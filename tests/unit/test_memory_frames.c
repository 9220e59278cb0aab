/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No access leaves the guest's frames unseen. A wrong access is made in a child, which must die of
 * it: of the pages around the pool in every build, of what lies between frames with a sanitizer.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "paging_fixture.h"

#define GVA 0x400000ull
#define GPA 0x200000ull

static volatile uint8_t *host_of(struct box *box, uint64_t gva)
{
	volatile uint8_t *host = hw_translate(box->hw, gva, HW_READ, HW_SUPERVISOR);

	assert_non_null(host);
	return host;
}

typedef void act(struct box *box);

/* Whether a child comes back from @act. */
static bool survives(struct box *box, act *act)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL};
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		/* No story of what is wanted; cmocka would catch the signals. */
		if (dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) < 0)
			_exit(0);
		for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
			signal(fatal[i], SIG_DFL);
		act(box);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void create(struct box *box, enum umbra_mode mode)
{
	box_create(box, mode);
	box_map(box, GVA, GPA, PTE_P | PTE_W);
	box_map(box, GVA + PAGE_SIZE, GPA + PAGE_SIZE, PTE_P | PTE_W);
}

static void inside(struct box *box)
{
	volatile uint8_t *host = host_of(box, GVA);

	for (unsigned i = 0; i < PAGE_SIZE; i++)
		host[i] = host[i] + 1;
	box_guest_write(box, GPA, 1);
}

static void before_the_pool(struct box *box)
{
	(void)*(volatile uint8_t *)(box->memory.frames.base - 1);
}

static void behind_the_pool(struct box *box)
{
	const struct frames *frames = &box->memory.frames;

	(void)*(volatile uint8_t *)(frames->base + frames->count * FRAME_STRIDE);
}

static void the_pool_lies_between_pages_that_fault(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};
	struct box box;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		create(&box, modes[i]);
		assert_true(survives(&box, inside));
		assert_false(survives(&box, before_the_pool));
		assert_false(survives(&box, behind_the_pool));
		box_destroy(&box);
	}
}

static void host_bytes_and_physical_addresses_belong_together(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	for (uint64_t offset = 0; offset < PAGE_SIZE; offset += 1365) {
		uint64_t hpa = memory_frame(&box.memory, GPA / PAGE_SIZE) * PAGE_SIZE + offset;
		const uint8_t *host = frames_host(&box.memory.frames, hpa);

		assert_ptr_equal(host, host_of(&box, GVA + offset));
		assert_int_equal(frames_hpa(&box.memory.frames, host), hpa);
	}
	assert_true(frames_hpa(&box.memory.frames, box.memory.frames.base - 1) >> PAGE_SHIFT >=
		    box.memory.frames.count);
	box_destroy(&box);
}

#ifdef FRAMES_GUARDED
static void behind_a_frame(struct box *box)
{
	(void)host_of(box, GVA)[PAGE_SIZE];
}

static void before_a_frame(struct box *box)
{
	(void)host_of(box, GVA)[-1];
}

static void across_the_end_of_a_frame(struct box *box)
{
	memset((void *)(host_of(box, GVA) + PAGE_SIZE - 8), 0, 16);
}

static void of_a_frame_that_nobody_has(struct box *box)
{
	struct frames *frames = &box->memory.frames;

	(void)*(volatile uint8_t *)frames_host(frames, frames->free[0] * PAGE_SIZE);
}

static void of_a_table_that_was_given_back(struct box *box)
{
	uint64_t hpa = memory_table_alloc(&box->memory);
	volatile uint64_t *table = frames_host(&box->memory.frames, hpa);

	*table = 1;
	memory_table_free(&box->memory, hpa);
	(void)*table;
}

static void out_of_a_frame_dies(void **state)
{
	static act *const acts[] = {behind_a_frame, before_a_frame, across_the_end_of_a_frame};
	struct box box;

	for (enum umbra_mode mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		create(&box, mode);
		for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
			assert_false(survives(&box, acts[i]));
		if (mode != UMBRA_MODE_BARE) {
			assert_false(survives(&box, of_a_frame_that_nobody_has));
			assert_false(survives(&box, of_a_table_that_was_given_back));
		}
		box_destroy(&box);
	}
}

/* The EPT entry of GPA leads to the EPT's own root, as no guest could make it do. */
static void of_a_table_of_the_vmm(struct box *box)
{
	uint64_t table = box->vmm->ept_root;

	(void)host_of(box, GVA);
	for (unsigned level = box->vmm->ept_levels; level; level--) {
		uint64_t *entry = (uint64_t *)frames_host(&box->memory.frames, table) +
				  entry_index(GPA, level);

		table = *entry & ENTRY_ADDRESS;
		if (level == 1)
			*entry = (*entry & ~ENTRY_ADDRESS) | box->vmm->ept_root;
	}
	hw_flush(box->hw);
	tlb_flush_nested(&box->hw->tlb);
	(void)hw_translate(box->hw, GVA, HW_READ, HW_SUPERVISOR);
}

static void tables_of_the_vmm_are_no_data_of_the_guest(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	assert_false(survives(&box, of_a_table_of_the_vmm));
	box_destroy(&box);
}
#endif

/* Hardware that translates into it takes it for one piece, in a guarded build too. */
static void memory_for_hardware_lies_together(void **state)
{
	for (int huge = 0; huge < 2; huge++) {
		const uint32_t pages = 600;
		const uint8_t *first;
		struct memory memory;
		uint64_t word = 7;

		assert_int_equal(memory_create_together(&memory, pages * PAGE_SIZE, huge, NULL), 0);
		first = frames_host(&memory.frames, 0);
		for (uint32_t page = 0; page < pages; page++) {
			assert_int_equal(memory_frame(&memory, page), page);
			assert_ptr_equal(frames_host(&memory.frames, page * PAGE_SIZE),
					 first + page * PAGE_SIZE);
		}
		assert_int_equal(frames_hpa(&memory.frames, first + 5 * PAGE_SIZE + 3),
				 5 * PAGE_SIZE + 3);
		assert_int_equal(memory_write(&memory, 2 * PAGE_SIZE - 4, &word, sizeof(word)), 0);
		assert_int_equal(first[2 * PAGE_SIZE - 4], 7);
		memory_destroy(&memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pool_lies_between_pages_that_fault),
		cmocka_unit_test(host_bytes_and_physical_addresses_belong_together),
		cmocka_unit_test(memory_for_hardware_lies_together),
#ifdef FRAMES_GUARDED
		cmocka_unit_test(out_of_a_frame_dies),
		cmocka_unit_test(tables_of_the_vmm_are_no_data_of_the_guest),
#endif
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
