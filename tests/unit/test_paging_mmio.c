/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of devices: found by every access, in every mode. */
#include <errno.h>

#include "paging_fixture.h"

#define DEVICE 0xfee00000ull
#define GVA    0x10000000000ull

static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};

static void create(struct box *box, enum umbra_mode mode)
{
	box_create(box, mode);
	assert_int_equal(memory_add_mmio(&box->memory, DEVICE, PAGE_SIZE), 0);
	box_map(box, GVA, DEVICE, PTE_P | PTE_W | PTE_U);
	box_map(box, GVA + PAGE_SIZE, DEVICE + PAGE_SIZE, PTE_P | PTE_W);
	box_map(box, GVA + 2 * PAGE_SIZE, DEVICE, PTE_P);
}

static void check_device(struct box *box, uint64_t gva, enum hw_access access)
{
	assert_null(hw_translate(box->hw, gva, access, HW_SUPERVISOR));
	assert_true(hw_public(box->hw)->mmio);
	assert_int_equal(hw_public(box->hw)->mmio_gpa, DEVICE + gva % PAGE_SIZE);
	box_attend(box);
}

static void check_ones(struct box *box, uint64_t gva, enum hw_access access)
{
	uint8_t *host = hw_translate(box->hw, gva, access, HW_SUPERVISOR);

	assert_non_null(host);
	assert_int_equal(*host, 0xff);
	assert_int_equal(hw_frame_of(box->hw, host), HW_NO_PAGE);
	box_attend(box);
}

static void every_access_to_a_device_comes_back_with_its_address(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		for (int n = 0; n < 3; n++) {
			check_device(&box, GVA + 0x20, HW_READ);
			check_device(&box, GVA + 0xb0, HW_WRITE);
			check_ones(&box, GVA, HW_FETCH);
			check_ones(&box, GVA + PAGE_SIZE, HW_READ); /* nobody is there */
		}
		box_destroy(&box);
	}
}

static void devices_are_reached_before_paging_is_on(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		box.regs.cr0 = CR0_PE;
		box.regs.efer = 0;
		assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
		check_device(&box, DEVICE + 0x30, HW_READ);
		check_device(&box, DEVICE + 0x30, HW_WRITE);
		check_ones(&box, DEVICE, HW_FETCH);
		box_destroy(&box);
	}
}

static void accessed_and_dirty_bits_are_set_as_for_memory(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct box box;
		uint64_t leaf;

		create(&box, modes[i]);
		leaf = box_entry(&box, GVA, 1);
		check_device(&box, GVA, HW_READ);
		assert_int_equal(box_get(&box, leaf), DEVICE | PTE_P | PTE_W | PTE_U | PTE_A);
		check_device(&box, GVA, HW_WRITE);
		assert_int_equal(box_get(&box, leaf),
				 DEVICE | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
		box_destroy(&box);
	}
}

static void rights_are_checked_before_the_device_is_asked(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct outcome outcome;
		struct box box;

		create(&box, modes[i]);
		check_device(&box, GVA + 2 * PAGE_SIZE, HW_READ);
		outcome = box_access(&box, GVA + 2 * PAGE_SIZE, HW_WRITE, HW_SUPERVISOR);
		assert_true(outcome.fault);
		assert_int_equal(outcome.code, PF_P | PF_W);
		assert_false(hw_public(box.hw)->mmio);
		box_destroy(&box);
	}
}

static void each_mode_pays_its_own_exit_for_each_access(void **state)
{
	for (int i = 0; i < 3; i++) {
		const uint64_t *exits;
		uint64_t faults, misconfigurations;
		struct box box;

		create(&box, modes[i]);
		exits = hw_public(box.hw)->counters.exits;
		check_device(&box, GVA, HW_WRITE); /* finds the way, marks the EPT entry */
		faults = exits[UMBRA_EXIT_page_fault];
		misconfigurations = exits[UMBRA_EXIT_ept_misconfiguration];
		for (int n = 0; n < 10; n++)
			check_device(&box, GVA, n % 2 ? HW_WRITE : HW_READ);
		assert_int_equal(exits[UMBRA_EXIT_page_fault] - faults,
				 modes[i] == UMBRA_MODE_SHADOW ? 10 : 0);
		assert_int_equal(exits[UMBRA_EXIT_ept_misconfiguration] - misconfigurations,
				 modes[i] == UMBRA_MODE_EPT ? 10 : 0);
		assert_int_equal(exits[UMBRA_EXIT_ept_misconfiguration],
				 modes[i] == UMBRA_MODE_EPT ? 11 : 0);
		box_destroy(&box);
	}
}

static void tables_in_a_device_read_all_ones(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct outcome outcome;
		struct box box;

		create(&box, modes[i]);
		box_put(&box, box_entry(&box, GVA, 2), DEVICE | PTE_P | PTE_W);
		for (int n = 0; n < 2; n++) {
			outcome = box_access(&box, GVA, HW_READ, HW_SUPERVISOR);
			assert_true(outcome.fault);
			assert_int_equal(outcome.code, PF_P | PF_RSVD);
		}
		box_destroy(&box);
	}
}

/* EPT tables are kept while another mode is on, and must not keep what was there before. */
static void a_device_that_moves_in_one_mode_is_there_in_the_next(void **state)
{
	const uint64_t other = DEVICE + 16 * PAGE_SIZE;
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	box_map(&box, GVA + PAGE_SIZE, other, PTE_P | PTE_W);
	check_device(&box, GVA, HW_READ);
	assert_non_null(hw_translate(box.hw, GVA + PAGE_SIZE, HW_READ, HW_SUPERVISOR));
	assert_false(hw_public(box.hw)->mmio); /* nobody there */
	assert_int_equal(vmm_switch(box.vmm, UMBRA_MODE_SHADOW, 0, 0, NULL), 0);
	hw_set_device(box.hw, DEVICE, false);
	hw_set_device(box.hw, other, true);
	assert_int_equal(vmm_switch(box.vmm, UMBRA_MODE_EPT, 0, 0, NULL), 0);
	assert_null(hw_translate(box.hw, GVA + PAGE_SIZE, HW_READ, HW_SUPERVISOR));
	assert_true(hw_public(box.hw)->mmio);
	assert_int_equal(hw_public(box.hw)->mmio_gpa, other);
	assert_non_null(hw_translate(box.hw, GVA, HW_READ, HW_SUPERVISOR));
	box_destroy(&box);
}

static void devices_do_not_overlap(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	assert_int_equal(memory_add_mmio(&box.memory, DEVICE, PAGE_SIZE), -EEXIST);
	assert_int_equal(memory_add_mmio(&box.memory, DEVICE - PAGE_SIZE, 2 * PAGE_SIZE), -EEXIST);
	assert_int_equal(memory_add_mmio(&box.memory, RAM_SIZE - PAGE_SIZE, PAGE_SIZE), -EEXIST);
	assert_int_equal(memory_add_mmio(&box.memory, DEVICE + PAGE_SIZE, 17), -EINVAL);
	assert_int_equal(memory_add_mmio(&box.memory, DEVICE + PAGE_SIZE, 0), -EINVAL);
	assert_int_equal(memory_add_mmio(&box.memory, -PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
	for (unsigned i = 1; i < MEMORY_MAX_MMIO; i++)
		assert_int_equal(memory_add_mmio(&box.memory, DEVICE + i * PAGE_SIZE, PAGE_SIZE),
				 0);
	assert_int_equal(memory_add_mmio(&box.memory, 0, PAGE_SIZE), -EEXIST);
	assert_int_equal(memory_add_mmio(&box.memory, 2 * DEVICE, PAGE_SIZE), -ENOSPC);
	box_destroy(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_access_to_a_device_comes_back_with_its_address),
		cmocka_unit_test(devices_are_reached_before_paging_is_on),
		cmocka_unit_test(accessed_and_dirty_bits_are_set_as_for_memory),
		cmocka_unit_test(rights_are_checked_before_the_device_is_asked),
		cmocka_unit_test(each_mode_pays_its_own_exit_for_each_access),
		cmocka_unit_test(tables_in_a_device_read_all_ones),
		cmocka_unit_test(a_device_that_moves_in_one_mode_is_there_in_the_next),
		cmocka_unit_test(devices_do_not_overlap),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
