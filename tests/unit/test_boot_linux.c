/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the Linux x86 boot protocol; images that break them are refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "boot_fixture.h"

#define RAM    (64ull << 20)
#define SETUP  (3 * 512)
#define KERNEL 0x1000
#define SIZE   (SETUP + KERNEL)

static uint8_t image[SIZE];
static struct umbra_module initrd;

static void put(size_t offset, uint64_t value, unsigned size)
{
	memcpy(image + offset, &value, size);
}

static int setup(void **state)
{
	memset(image, 0, sizeof(image));
	put(0x1f1, 2, 1);           /* setup_sects */
	put(0x1f4, KERNEL / 16, 4); /* syssize */
	put(0x1fe, 0xaa55, 2);      /* boot_flag */
	put(0x200, 0x66eb, 2);      /* jump over the header */
	memcpy(image + 0x202, "HdrS", 4);
	put(0x206, 0x20c, 2);     /* version */
	put(0x211, 1, 1);         /* loadflags */
	put(0x214, 0x100000, 4);  /* code32_start */
	put(0x230, 0x200000, 4);  /* kernel_alignment */
	put(0x236, 1, 2);         /* xloadflags */
	put(0x238, 255, 4);       /* cmdline_size */
	put(0x258, 0x1000000, 8); /* pref_address */
	put(0x260, 0x100000, 4);  /* init_size */
	for (unsigned i = 0; i < KERNEL; i++)
		image[SETUP + i] = (uint8_t)(i * 7);
	put(0x22c, 0x7fffffff, 4); /* initrd_addr_max */
	return boot_setup("vmlinuz", image, sizeof(image), RAM);
}

static void assert_kernel_at(uint64_t gpa)
{
	uint8_t bytes[KERNEL];

	assert_int_equal(memory_read(&memory, gpa, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, image + SETUP, KERNEL);
	assert_int_equal(entry.rip, gpa + 0x200);
	assert_int_equal(peek(entry.rsi + 0x214, 4), gpa);
}

static void kernel_goes_to_its_preferred_address(void **state)
{
	assert_int_equal(load(), 0);
	assert_kernel_at(0x1000000);
	assert_true(entry.long_mode);
	assert_int_equal(entry.cs, 0x10);
	assert_int_equal(entry.ds, 0x18);
}

static void gdt_has_boot_cs_and_boot_ds(void **state)
{
	assert_int_equal(load(), 0);
	assert_true(entry.gdt_limit >= 0x1f);
	assert_int_equal(peek(entry.gdt_base + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(peek(entry.gdt_base + 0x18, 8), 0x00cf93000000ffff);
}

static void relocatable_kernel_goes_to_an_aligned_place_where_ram_is_short(void **state)
{
	put(0x258, RAM, 8);
	assert_no_room("init_size");
	put(0x234, 1, 1);
	assert_int_equal(load(), 0);
	assert_kernel_at(0x200000);
	put(0x230, 0x300000, 4);
	assert_refused("kernel_alignment");
	put(0x230, 0, 4);
	assert_refused("kernel_alignment");
	put(0x230, 0x80000000, 4);
	assert_no_room("init_size");
}

static void init_size_must_fit_into_ram(void **state)
{
	put(0x260, RAM - 0x1000000, 4);
	assert_int_equal(load(), 0);
	put(0x260, RAM - 0x1000000 + 1, 4);
	assert_no_room("init_size");
	put(0x260, 0xffffffff, 4);
	assert_no_room("init_size");
	put(0x260, 0, 4);
	put(0x258, UINT64_MAX, 8);
	assert_no_room("init_size");
	put(0x258, 0x1000, 8);
	assert_refused("pref_address");
}

static void zero_page_has_header_map_and_command_line(void **state)
{
	static const uint64_t expected[5][3] = {
		{0, 0x9fc00, 1},         {0x9fc00, 0x60400, 2},   {0x100000, RAM - 0x100000, 1},
		{0xfec00000, 0x1000, 2}, {0xfee00000, 0x1000, 2},
	};
	char text[32];
	uint64_t zero;

	file.append = "console=ttyS0,115200 nosmp";
	assert_int_equal(load(), 0);
	zero = entry.rsi;
	assert_int_equal(peek(zero + 0x202, 4), 0x53726448);
	assert_int_equal(peek(zero + 0x206, 2), 0x20c);
	assert_int_equal(peek(zero + 0x210, 1), 0xff);
	assert_int_equal(peek(zero + 0x218, 8), 0); /* no initrd */
	assert_int_equal(peek(zero + 0x1e0, 4), 63 * 1024);
	assert_int_equal(peek(zero + 0x1e8, 1), 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(peek(zero + 0x2d0 + 20 * i, 8), expected[i][0]);
		assert_int_equal(peek(zero + 0x2d8 + 20 * i, 8), expected[i][1]);
		assert_int_equal(peek(zero + 0x2e0 + 20 * i, 4), expected[i][2]);
	}
	assert_int_equal(memory_read(&memory, peek(zero + 0x228, 4), text, strlen(file.append) + 1),
			 0);
	assert_string_equal(text, file.append);
}

static void only_the_setup_header_is_copied_into_the_zero_page(void **state)
{
	memset(image, 0xee, 0x1f1);
	memset(image + 0x268, 0xee, SETUP - 0x268);
	assert_int_equal(load(), 0);
	assert_int_equal(peek(entry.rsi + 0x1f0, 1), 0);
	assert_int_equal(peek(entry.rsi + 0x268, 8), 0);
	put(0x201, 0xff, 1); /* a header that would reach into the table of EDD data */
	assert_int_equal(load(), 0);
	assert_int_equal(peek(entry.rsi + 0x28f, 1), 0xee);
	assert_int_equal(peek(entry.rsi + 0x290, 1), 0);
}

static void page_tables_map_4_gib_to_themselves(void **state)
{
	assert_int_equal(load(), 0);
	for (uint64_t address = 0; address < 1ull << 32; address += 0x200000) {
		uint64_t pdpt = peek(entry.cr3 + 8 * (address >> 39), 8);
		uint64_t pd, large;

		assert_int_equal(pdpt & 0xfff, 3);
		pd = peek((pdpt & ~0xfffull) + 8 * (address >> 30 & 511), 8);
		assert_int_equal(pd & 0xfff, 3);
		large = peek((pd & ~0xfffull) + 8 * (address >> 21 & 511), 8);
		assert_int_equal(large, address | 0x83);
	}
	assert_int_equal(peek(entry.cr3 + 8, 8), 0);
}

static void handover_lies_in_conventional_memory(void **state)
{
	assert_int_equal(load(), 0);
	assert_true(entry.rsi < 0x9fc00 && entry.cr3 < 0x9fc00 && entry.gdt_base < 0x9fc00);
	assert_true(entry.rsp > 0 && entry.rsp < 0x9fc00);
}

static void command_line_must_not_be_longer_than_the_kernel_takes(void **state)
{
	char text[257];

	memset(text, 'x', sizeof(text));
	text[255] = 0;
	file.append = text;
	assert_int_equal(load(), 0);
	text[255] = 'x';
	text[256] = 0;
	assert_refused_with(-E2BIG, "vmlinuz", "command line");
	assert_non_null(strstr(error.text, "256 characters; the kernel takes 255"));
}

/* @size bytes, the first and the last of which are marked. */
static void give_initrd(uint8_t *bytes, size_t size)
{
	bytes[0] = 0x1f;
	bytes[size - 1] = 0x8b;
	initrd = (struct umbra_module){.name = "initrd.img", .data = bytes, .size = size};
	file.initrd = &initrd;
}

static void assert_initrd_at(uint64_t gpa)
{
	assert_int_equal(load(), 0);
	assert_int_equal(peek(entry.rsi + 0x218, 4), gpa);
	assert_int_equal(peek(entry.rsi + 0x21c, 4), initrd.size);
	assert_int_equal(peek(gpa, 1), 0x1f);
	assert_int_equal(peek(gpa + initrd.size - 1, 1), 0x8b);
}

static void initrd_goes_to_the_highest_page_that_holds_it(void **state)
{
	static uint8_t bytes[0x3001];

	give_initrd(bytes, sizeof(bytes));
	assert_initrd_at(RAM - 0x4000);
	give_initrd(bytes, 0x3000);
	assert_initrd_at(RAM - 0x3000);
}

static void initrd_stays_below_initrd_addr_max(void **state)
{
	static uint8_t bytes[0x1000];

	give_initrd(bytes, sizeof(bytes));
	put(0x22c, 0x1ffffff, 4);
	assert_initrd_at(0x1fff000);
	put(0x22c, 0x1fffffe, 4);
	assert_initrd_at(0x1ffe000);
	put(0x22c, 0xffffffff, 4);
	assert_initrd_at(RAM - 0x1000);
}

static void initrd_that_does_not_fit_beside_the_kernel_is_refused(void **state)
{
	uint8_t *bytes = calloc(1, RAM + 1);

	give_initrd(bytes, RAM - 0x1100000); /* just behind init_size */
	assert_initrd_at(0x1100000);
	give_initrd(bytes, RAM - 0x1100000 + 1);
	assert_refused_with(-ENOSPC, "initrd.img", "initrd");
	assert_non_null(strstr(error.text, "0x1100000"));
	give_initrd(bytes, RAM + 1);
	assert_refused_with(-ENOSPC, "initrd.img", "initrd");
	give_initrd(bytes, 0x1000);
	put(0x22c, 0xfffff, 4);
	assert_refused_with(-ENOSPC, "initrd.img", "initrd");
	put(0x22c, 0, 4);
	assert_refused_with(-ENOSPC, "initrd.img", "initrd");
	initrd.size = 0;
	assert_refused_with(-EINVAL, "initrd.img", "initrd");
	free(bytes);
}

static void modules_are_not_for_linux(void **state)
{
	file.modules = &(struct umbra_module){.name = "m"};
	file.nr_modules = 1;
	assert_refused_with(-EINVAL, "m", "module");
}

static void no_setup_sects_means_four(void **state)
{
	uint8_t *bytes;

	put(0x1f1, 0, 1);
	bytes = calloc(1, 5 * 512 + KERNEL);
	memcpy(bytes, image, SETUP);
	memcpy(bytes + 5 * 512, image + SETUP, KERNEL);
	assert_int_equal(load_bytes(bytes, 5 * 512 + KERNEL), 0);
	assert_kernel_at(0x1000000);
	free(bytes);
}

static void syssize_counts_paragraphs_of_which_the_last_may_be_short(void **state)
{
	put(0x1f4, KERNEL / 16 + 1, 4);
	assert_refused("syssize");
	assert_int_equal(load_bytes(image, SIZE - 1), -ENOEXEC);
	put(0x1f4, KERNEL / 16, 4);
	assert_int_equal(load_bytes(image, SIZE - 15), 0);
	assert_int_equal(load_bytes(image, SIZE - 16), -ENOEXEC);
	put(0x1f4, 0xffffffff, 4);
	assert_refused("syssize");
	put(0x1f4, 0x200 / 16, 4);
	assert_refused("syssize");
}

static void broken_header_fields_are_named(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
		unsigned size;
		const char *place;
	} breaks[] = {
		{0x1fe, 0, 2, "offset 0x1fe, boot_flag"},
		{0x206, 0x20b, 2, "offset 0x206, version"},
		{0x201, 0x61, 1, "offset 0x201, jump"},
		{0x236, 0xfffe, 2, "offset 0x236, xloadflags"},
		{0x211, 0xfe, 1, "offset 0x211, loadflags"},
		{0x1f1, 255, 1, "offset 0x1f1, setup_sects"},
	};

	for (unsigned i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
		teardown(NULL);
		setup(NULL);
		put(breaks[i].offset, breaks[i].value, breaks[i].size);
		assert_refused(breaks[i].place);
	}
}

static void a_file_cut_off_anywhere_is_refused(void **state)
{
	for (size_t size = 0; size < SIZE - 15; size++) {
		/* A block of just that size: a byte too far is caught by the sanitizer. */
		void *bytes = malloc(size ? size : 1);

		memcpy(bytes, image, size);
		assert_int_equal(load_bytes(bytes, size), -ENOEXEC);
		free(bytes);
	}
}

static void no_change_of_a_byte_does_harm(void **state)
{
	static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x55};
	unsigned loaded = 0, refused = 0;

	for (size_t i = 0x1f0; i < 0x268; i++) {
		for (unsigned j = 0; j < sizeof(changes); j++) {
			uint8_t *changed = malloc(SIZE);
			int r;

			memcpy(changed, image, SIZE);
			changed[i] ^= changes[j];
			r = load_bytes(changed, SIZE);
			assert_true(r == 0 || r == -ENOEXEC || r == -ENOSPC);
			if (r == 0)
				loaded++;
			else
				refused++;
			free(changed);
		}
	}
	assert_true(loaded > 0 && refused > 0);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(kernel_goes_to_its_preferred_address),
		RULE(gdt_has_boot_cs_and_boot_ds),
		RULE(relocatable_kernel_goes_to_an_aligned_place_where_ram_is_short),
		RULE(init_size_must_fit_into_ram),
		RULE(zero_page_has_header_map_and_command_line),
		RULE(only_the_setup_header_is_copied_into_the_zero_page),
		RULE(page_tables_map_4_gib_to_themselves),
		RULE(handover_lies_in_conventional_memory),
		RULE(command_line_must_not_be_longer_than_the_kernel_takes),
		RULE(initrd_goes_to_the_highest_page_that_holds_it),
		RULE(initrd_stays_below_initrd_addr_max),
		RULE(initrd_that_does_not_fit_beside_the_kernel_is_refused),
		RULE(modules_are_not_for_linux),
		RULE(no_setup_sects_means_four),
		RULE(syssize_counts_paragraphs_of_which_the_last_may_be_short),
		RULE(broken_header_fields_are_named),
		RULE(a_file_cut_off_anywhere_is_refused),
		RULE(no_change_of_a_byte_does_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
