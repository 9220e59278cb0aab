/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the Multiboot Specification 0.6.96; images that break them are refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <elf.h>
#include "boot_fixture.h"

#define MAGIC  0x1badb002u
#define RAM    (16ull << 20)
#define HEADER 0x80 /* where the test image has its header */
#define CODE   0x100
#define SIZE   0x140

/* An ELF32 image with one segment: header and code at 1 MiB, and some BSS. */
struct image {
	Elf32_Ehdr elf;
	Elf32_Phdr segment;
	uint8_t gap[HEADER - sizeof(Elf32_Ehdr) - sizeof(Elf32_Phdr)];
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
	uint8_t gap2[CODE - HEADER - 32];
	uint8_t code[SIZE - CODE];
};
_Static_assert(sizeof(struct image) == SIZE, "no holes");

static struct image image;
static struct umbra_module modules[UMBRA_MODULES_MAX + 1];

static int setup(void **state)
{
	memset(&image, 0, sizeof(image));
	memcpy(image.elf.e_ident, ELFMAG, SELFMAG);
	image.elf.e_ident[EI_CLASS] = ELFCLASS32;
	image.elf.e_ident[EI_DATA] = ELFDATA2LSB;
	image.elf.e_ident[EI_VERSION] = EV_CURRENT;
	image.elf.e_type = ET_EXEC;
	image.elf.e_machine = EM_386;
	image.elf.e_version = EV_CURRENT;
	image.elf.e_entry = 0x100000 + CODE;
	image.elf.e_phoff = offsetof(struct image, segment);
	image.elf.e_ehsize = sizeof(Elf32_Ehdr);
	image.elf.e_phentsize = sizeof(Elf32_Phdr);
	image.elf.e_phnum = 1;
	image.segment.p_type = PT_LOAD;
	image.segment.p_offset = 0;
	image.segment.p_vaddr = image.segment.p_paddr = 0x100000;
	image.segment.p_filesz = SIZE;
	image.segment.p_memsz = SIZE + 0x1000;
	image.magic = MAGIC;
	image.flags = 2;
	image.checksum = 0u - MAGIC - 2;
	memset(image.code, 0x90, sizeof(image.code));
	return boot_setup("test.elf", &image, sizeof(image), RAM);
}

static uint32_t word(uint64_t gpa)
{
	return (uint32_t)peek(gpa, sizeof(uint32_t));
}

static void assert_string_at(uint64_t gpa, const char *expected)
{
	char text[128] = "";

	assert_true(strlen(expected) < sizeof(text));
	assert_int_equal(memory_read(&memory, gpa, text, strlen(expected) + 1), 0);
	assert_string_equal(text, expected);
}

static void an_elf32_image_is_loaded_at_its_physical_address(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(word(0x100000 + HEADER), MAGIC);
	assert_int_equal(word(0x100000 + CODE), 0x90909090);
	assert_int_equal(word(0x100000 + SIZE), 0);
}

static void entry_state_is_32_bit_with_magic_and_information(void **state)
{
	assert_int_equal(load(), 0);
	assert_false(entry.long_mode);
	assert_int_equal(entry.rip, 0x100000 + CODE);
	assert_int_equal(entry.rax, 0x2badb002);
	assert_int_equal(entry.cs, 0x10);
	assert_int_equal(entry.ds, 0x18);
	assert_true(entry.gdt_limit >= 0x1f);
	assert_int_equal(word(entry.gdt_base + 0x14), 0x00cf9b00); /* flat 32-bit code */
	assert_int_equal(word(entry.gdt_base + 0x1c), 0x00cf9300); /* flat data */
	assert_true(entry.rbx % 4 == 0 && entry.rbx < 0x9fc00);
}

static void an_entry_in_a_mapped_segment_is_made_physical(void **state)
{
	image.segment.p_vaddr = 0xc0100000;
	image.elf.e_entry = 0xc0100000 + CODE;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x100000 + CODE);
}

static void information_tells_memory_map_and_sizes(void **state)
{
	static const uint32_t expected[5][6] = {
		{20, 0, 0, 0x9fc00, 0, 1},
		{20, 0x9fc00, 0, 0x60400, 0, 2},
		{20, 0x100000, 0, RAM - 0x100000, 0, 1},
		{20, 0xfec00000, 0, 0x1000, 0, 2},
		{20, 0xfee00000, 0, 0x1000, 0, 2},
	};
	uint64_t map;

	assert_int_equal(load(), 0);
	assert_int_equal(word(entry.rbx), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	assert_int_equal(word(entry.rbx + 4), 639);
	assert_int_equal(word(entry.rbx + 8), 15 * 1024);
	assert_int_equal(word(entry.rbx + 44), 5 * 24);
	map = word(entry.rbx + 48);
	for (unsigned i = 0; i < 5; i++)
		for (unsigned j = 0; j < 6; j++)
			assert_int_equal(word(map + 24 * i + 4 * j), expected[i][j]);
	assert_string_at(word(entry.rbx + 64), "umbra");
}

static void command_line_begins_with_the_images_name(void **state)
{
	assert_int_equal(load(), 0);
	assert_string_at(word(entry.rbx + 16), "test.elf");
	teardown(NULL);
	setup(NULL);
	file.append = "rounds=1 seed=2";
	assert_int_equal(load(), 0);
	assert_string_at(word(entry.rbx + 16), "test.elf rounds=1 seed=2");
}

static void information_keeps_away_from_the_image(void **state)
{
	image.segment.p_paddr = image.segment.p_vaddr = 0;
	image.segment.p_memsz = 0x5001;
	image.elf.e_entry = CODE;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.gdt_base, 0x6000);
	image.segment.p_memsz = 0x9f000;
	file.append = "x";
	assert_int_equal(load(), 0);
	assert_int_equal(entry.gdt_base, 0x9f000);
	image.segment.p_memsz = 0x9fc00;
	assert_no_room("command line");
}

static void a_command_line_that_does_not_fit_is_refused(void **state)
{
	char *longest = malloc(0xa0000);

	memset(longest, 'x', 0xa0000);
	longest[0x9fffe] = 0;
	file.append = longest;
	assert_refused_with(-E2BIG, "test.elf", "command line");
	free(longest);
}

static void address_fields_replace_elf(void **state)
{
	memset(&image, 0, HEADER);
	image.flags |= 0x10000;
	image.checksum -= 0x10000;
	image.header_addr = 0x200000 + HEADER - 0x40;
	image.load_addr = 0x200000; /* file offset 0x40 */
	image.entry_addr = 0x200000 + CODE - 0x40;
	assert_int_equal(load(), 0);
	assert_int_equal(word(0x200000 + HEADER - 0x40), MAGIC);
	assert_int_equal(entry.rip, 0x200000 + CODE - 0x40);
	image.load_end_addr = 0x1fffff;
	assert_refused("load_end_addr");
	image.load_end_addr = 0x200000 + SIZE;
	assert_refused("segment");
	image.load_end_addr = 0x200000 + SIZE - 0x40;
	image.bss_end_addr = 0x200000;
	assert_refused("bss_end_addr");
	image.bss_end_addr = 0x80000000;
	assert_no_room("segment");
	image.bss_end_addr = 0x300000;
	assert_int_equal(load(), 0);
	image.header_addr = 0x200000 + HEADER + 1;
	assert_refused("header_addr");
}

static void an_elf32_container_may_say_that_its_code_is_64_bit(void **state)
{
	image.elf.e_machine = EM_X86_64;
	assert_int_equal(load(), 0);
	assert_false(entry.long_mode);
}

static void a_dynamically_linked_program_is_refused(void **state)
{
	image.segment.p_type = PT_INTERP;
	assert_refused("offset 0x34, program header");
	assert_non_null(strstr(error.text, "PT_INTERP"));
}

static void give_module(const char *name, const char *string, const void *bytes, size_t size)
{
	file.modules = modules;
	modules[file.nr_modules++] = (struct umbra_module){name, bytes, size, string};
}

static void modules_lie_page_aligned_above_the_image_with_their_strings(void **state)
{
	uint64_t list;

	give_module("first", NULL, "FIRST MODULE", 12);
	give_module("second", "root=/dev/ram0 quiet", "2nd", 3);
	give_module("empty", "", "", 0);
	assert_int_equal(load(), 0);
	assert_int_equal(word(entry.rbx + 20), 3);
	list = word(entry.rbx + 24);
	assert_int_equal(word(list), 0x102000); /* 1 MiB, SIZE + 0x1000, rounded up */
	assert_int_equal(word(list + 4), 0x102000 + 12);
	assert_string_at(0x102000, "FIRST MODULE");
	assert_string_at(word(list + 8), "first");
	assert_int_equal(word(list + 16), 0x103000);
	assert_int_equal(word(list + 20), 0x103003);
	assert_string_at(0x103000, "2nd");
	assert_string_at(word(list + 24), "second root=/dev/ram0 quiet");
	assert_int_equal(word(list + 32), word(list + 36));
	assert_string_at(word(list + 40), "empty");
	assert_string_at(word(entry.rbx + 16), "test.elf");
}

static void modules_go_around_the_image(void **state)
{
	uint8_t *large = calloc(1, 0x1000);
	Elf32_Phdr second = image.segment;
	uint64_t list;

	/* One page is free between the two segments. */
	second.p_paddr = second.p_vaddr = 0x103000;
	memcpy(image.gap, &second, sizeof(second));
	image.elf.e_phnum = 2;
	give_module("page", NULL, large, 0x1000);
	give_module("byte", NULL, large, 1);
	assert_int_equal(load(), 0);
	list = word(entry.rbx + 24);
	assert_int_equal(word(list), 0x102000);
	assert_int_equal(word(list + 16), 0x105000);
	free(large);
}

static void a_module_that_does_not_fit_is_named(void **state)
{
	uint8_t *large = calloc(1, RAM);

	give_module("good", NULL, large, 1);
	give_module("fits", NULL, large, RAM - 0x103000);
	assert_int_equal(load(), 0);
	modules[1].size++;
	modules[1].name = "large";
	assert_refused_with(-ENOSPC, "large", "module");
	modules[1].size = RAM;
	assert_refused_with(-ENOSPC, "large", "module");
	image.segment.p_paddr = image.segment.p_vaddr = RAM - 0x2000;
	image.elf.e_entry = RAM - 0x2000 + CODE;
	modules[1].size = RAM - 0x2000 - 0x101000;
	assert_int_equal(load(), 0);
	modules[1].size++;
	assert_refused_with(-ENOSPC, "large", "module");
	free(large);
}

static void as_many_modules_as_the_interface_says(void **state)
{
	for (unsigned i = 0; i < UMBRA_MODULES_MAX; i++)
		give_module("m", NULL, "m", 1);
	assert_int_equal(load(), 0);
	assert_int_equal(word(entry.rbx + 20), UMBRA_MODULES_MAX);
	give_module("m", NULL, "m", 1);
	assert_refused_with(-E2BIG, "test.elf", "modules");
}

static void an_initrd_is_for_linux_alone(void **state)
{
	file.initrd = &(struct umbra_module){"ramdisk", "x", 1, NULL};
	assert_refused_with(-EINVAL, "ramdisk", "initrd");
}

static void a_wrong_checksum_is_named(void **state)
{
	image.checksum++;
	assert_refused("offset 0x88, multiboot checksum");
	assert_non_null(strstr(error.text, "0xe4524ffc expected"));
}

static void a_good_header_after_a_bad_one_counts(void **state)
{
	memcpy(image.gap2, (uint32_t[3]){MAGIC, 2, 0u - MAGIC - 2}, 12);
	image.checksum++;
	assert_int_equal(load(), 0);
}

static void demands_that_cannot_be_met_are_named(void **state)
{
	image.flags = 4;
	image.checksum = 0u - MAGIC - 4;
	assert_refused("multiboot flags");
	assert_non_null(strstr(error.text, "video mode"));
	image.flags = 0x100;
	image.checksum = 0u - MAGIC - 0x100;
	assert_refused("multiboot flags");
}

static void a_header_past_8192_bytes_is_none(void **state)
{
	uint8_t *bytes = calloc(1, 8192 + 64);
	const uint32_t header[3] = {MAGIC, 0, 0u - MAGIC};

	memcpy(bytes + 8192, header, sizeof(header));
	assert_int_equal(load_bytes(bytes, 8192 + 64), -ENOEXEC);
	assert_non_null(strstr(error.text, "neither"));
	free(bytes);
}

static void broken_elf_fields_are_named(void **state)
{
	image.elf.e_ident[EI_CLASS] = ELFCLASS64;
	assert_refused("EI_CLASS");
	image.elf.e_ident[EI_CLASS] = ELFCLASS32;
	image.elf.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_refused("EI_DATA");
	image.elf.e_ident[EI_DATA] = ELFDATA2LSB;
	image.elf.e_type = ET_DYN;
	assert_refused("e_type");
	image.elf.e_type = ET_EXEC;
	image.elf.e_machine = EM_ARM;
	assert_refused("e_machine");
	image.elf.e_machine = EM_386;
	image.elf.e_phentsize = 31;
	assert_refused("e_phentsize");
	image.elf.e_phentsize = sizeof(Elf32_Phdr);
	image.elf.e_phoff = SIZE - sizeof(Elf32_Phdr) + 1;
	assert_refused("e_phoff");
	image.elf.e_phoff = 0xffffffff;
	assert_refused("e_phoff");
	image.elf.e_phoff = offsetof(struct image, segment);
	image.elf.e_phnum = 0xffff;
	assert_refused("e_phoff");
	image.elf.e_phnum = 0;
	assert_refused("entry");
	image.elf.e_phnum = 1;
	image.elf.e_entry = 0x100000 + SIZE + 0x1000;
	assert_refused("entry");
	image.elf.e_ident[0] = 0;
	assert_refused("e_ident");
}

static void segments_must_lie_in_file_and_ram(void **state)
{
	image.segment.p_offset = 1;
	assert_refused("offset 0x34, segment");
	image.segment.p_offset = 0xffffffff;
	assert_refused("segment");
	image.segment.p_offset = 0;
	image.segment.p_filesz = 0xffffffff;
	image.segment.p_memsz = 0xffffffff;
	assert_refused("segment");
	image.segment.p_filesz = SIZE;
	assert_no_room("segment");
	image.segment.p_memsz = SIZE - 1;
	assert_refused("segment");
	image.segment.p_memsz = SIZE;
	image.segment.p_paddr = RAM - SIZE + 1;
	assert_no_room("segment");
	image.segment.p_paddr = 0xffffffff;
	assert_no_room("segment");
	image.segment.p_paddr = RAM - SIZE;
	assert_int_equal(load(), 0);
}

static void segments_must_keep_out_of_what_is_no_ram(void **state)
{
	image.segment.p_memsz = SIZE;
	image.segment.p_paddr = 0x9fc00 - SIZE;
	assert_int_equal(load(), 0);
	image.segment.p_paddr++;
	assert_no_room("offset 0x34, segment");
	assert_non_null(strstr(error.text, "0x9fc00 to 0xfffff, which is no RAM"));
	image.segment.p_paddr = 0xb8000;
	assert_no_room("segment");
	image.segment.p_paddr = 0xfffff;
	assert_no_room("segment");
}

static void segments_must_not_overlap(void **state)
{
	Elf32_Phdr second = image.segment;

	second.p_paddr += SIZE;
	second.p_vaddr += SIZE;
	memcpy(image.gap, &second, sizeof(second));
	image.elf.e_phnum = 2;
	assert_refused("offset 0x54, segment");
	second.p_paddr += 0x1000;
	memcpy(image.gap, &second, sizeof(second));
	assert_int_equal(load(), 0);
}

static void a_file_cut_off_anywhere_is_refused(void **state)
{
	for (size_t size = 0; size < SIZE; size++) {
		/* A block of just that size: a byte too far is caught by the sanitizer. */
		void *bytes = malloc(size ? size : 1);

		memcpy(bytes, &image, size);
		assert_int_equal(load_bytes(bytes, size), -ENOEXEC);
		assert_int_equal(error.code, -ENOEXEC);
		free(bytes);
	}
}

static void no_change_of_a_byte_does_harm(void **state)
{
	static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x55};
	unsigned loaded = 0, refused = 0;

	for (size_t i = 0; i < HEADER + 32; i++) {
		for (unsigned j = 0; j < sizeof(changes); j++) {
			struct image *changed = malloc(sizeof(*changed));
			int r;

			*changed = image;
			((uint8_t *)changed)[i] ^= changes[j];
			r = load_bytes(changed, sizeof(*changed));
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

static void what_is_no_image_is_refused(void **state)
{
	assert_int_equal(load_bytes("#!/bin/sh\n", 10), -ENOEXEC);
	assert_non_null(strstr(error.text, "neither a multiboot 1 image"));
	assert_int_equal(load_bytes("", 0), -ENOEXEC);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(an_elf32_image_is_loaded_at_its_physical_address),
		RULE(entry_state_is_32_bit_with_magic_and_information),
		RULE(an_entry_in_a_mapped_segment_is_made_physical),
		RULE(information_tells_memory_map_and_sizes),
		RULE(command_line_begins_with_the_images_name),
		RULE(information_keeps_away_from_the_image),
		RULE(a_command_line_that_does_not_fit_is_refused),
		RULE(address_fields_replace_elf),
		RULE(an_elf32_container_may_say_that_its_code_is_64_bit),
		RULE(a_dynamically_linked_program_is_refused),
		RULE(modules_lie_page_aligned_above_the_image_with_their_strings),
		RULE(modules_go_around_the_image),
		RULE(a_module_that_does_not_fit_is_named),
		RULE(as_many_modules_as_the_interface_says),
		RULE(an_initrd_is_for_linux_alone),
		RULE(a_wrong_checksum_is_named),
		RULE(a_good_header_after_a_bad_one_counts),
		RULE(demands_that_cannot_be_met_are_named),
		RULE(a_header_past_8192_bytes_is_none),
		RULE(broken_elf_fields_are_named),
		RULE(segments_must_lie_in_file_and_ram),
		RULE(segments_must_keep_out_of_what_is_no_ram),
		RULE(segments_must_not_overlap),
		RULE(a_file_cut_off_anywhere_is_refused),
		RULE(no_change_of_a_byte_does_harm),
		RULE(what_is_no_image_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
