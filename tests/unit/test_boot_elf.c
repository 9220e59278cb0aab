/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of ELF64 executables as images; the handed-over state is that of docs/boot.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <elf.h>
#include "boot_fixture.h"

#define RAM  (16ull << 20)
#define CODE 0x100
#define SIZE 0x140
#define BASE 0x200000ull

static struct image {
	Elf64_Ehdr elf;
	Elf64_Phdr segment[2];
	uint8_t gap[CODE - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr)];
	uint8_t code[SIZE - CODE];
} image;
_Static_assert(sizeof(struct image) == SIZE, "no holes");

static int setup(void **state)
{
	memset(&image, 0, sizeof(image));
	memcpy(image.elf.e_ident, ELFMAG, SELFMAG);
	image.elf.e_ident[EI_CLASS] = ELFCLASS64;
	image.elf.e_ident[EI_DATA] = ELFDATA2LSB;
	image.elf.e_ident[EI_VERSION] = EV_CURRENT;
	image.elf.e_type = ET_EXEC;
	image.elf.e_machine = EM_X86_64;
	image.elf.e_version = EV_CURRENT;
	image.elf.e_entry = BASE + CODE;
	image.elf.e_phoff = offsetof(struct image, segment);
	image.elf.e_ehsize = sizeof(Elf64_Ehdr);
	image.elf.e_phentsize = sizeof(Elf64_Phdr);
	image.elf.e_phnum = 2;
	image.segment[0].p_type = PT_LOAD;
	image.segment[0].p_vaddr = image.segment[0].p_paddr = BASE;
	image.segment[0].p_filesz = SIZE;
	image.segment[0].p_memsz = 0x1000;
	image.segment[1].p_type = PT_NOTE;
	memset(image.code, 0x90, sizeof(image.code));
	return boot_setup("kernel.elf", &image, sizeof(image), RAM);
}

static void entry_is_in_64_bit_mode_at_the_physical_address(void **state)
{
	assert_int_equal(load(), 0);
	assert_true(entry.long_mode);
	assert_int_equal(entry.rip, BASE + CODE);
	assert_int_equal(peek(BASE + CODE, 4), 0x90909090);
	assert_int_equal(peek(BASE + SIZE, 8), 0);
	assert_int_equal(peek(entry.gdt_base + entry.cs, 8), 0x00af9b000000ffff);
	assert_int_equal(peek(entry.gdt_base + entry.ds, 8), 0x00cf93000000ffff);
	image.segment[0].p_vaddr = 0xffffffff80000000;
	image.elf.e_entry = 0xffffffff80000000 + CODE;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, BASE + CODE);
}

static void tables_map_4_gib_to_themselves(void **state)
{
	assert_int_equal(load(), 0);
	for (uint64_t address = 0; address < 1ull << 32; address += 0x200000) {
		uint64_t pdpt = peek(entry.cr3, 8) & ~0xfffull;
		uint64_t pd = peek(pdpt + 8 * (address >> 30 & 511), 8) & ~0xfffull;

		assert_int_equal(peek(pd + 8 * (address >> 21 & 511), 8), address | 0x83);
	}
	for (unsigned i = 1; i < 512; i++)
		assert_int_equal(peek(entry.cr3 + 8 * i, 8), 0);
}

static void rbx_points_to_multiboot_information(void **state)
{
	char text[32] = "";

	file.modules = &(struct umbra_module){"m", "MODULE", 6, "x"};
	file.nr_modules = 1;
	file.append = "a b";
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rax, 0x2badb002);
	assert_int_equal(peek(entry.rbx + 8, 4), 15 * 1024);
	memory_read(&memory, peek(entry.rbx + 16, 4), text, 15);
	assert_string_equal(text, "kernel.elf a b");
	assert_int_equal(peek(entry.rbx + 20, 4), 1);
	memory_read(&memory, peek(peek(entry.rbx + 24, 4), 4), text, 7);
	assert_string_equal(text, "MODULE");
}

static void stack_tables_and_information_keep_apart(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rsp % 16, 0);
	assert_true(entry.rsp - 0x1000 >= entry.cr3 + 6 * 0x1000);
	assert_true(entry.gdt_base >= entry.rsp && entry.rbx > entry.gdt_base);
	assert_true(entry.rbx < 0x9fc00);
	/* All of conventional memory is the image's. */
	image.segment[0].p_paddr = 0x1000;
	image.segment[0].p_memsz = 0x9b000;
	assert_no_room("page tables");
}

static void broken_fields_are_named(void **state)
{
	image.elf.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_refused("EI_DATA");
	image.elf.e_ident[EI_DATA] = ELFDATA2LSB;
	image.elf.e_type = ET_DYN;
	assert_refused("offset 0x10, e_type");
	image.elf.e_type = ET_EXEC;
	image.elf.e_machine = EM_386;
	assert_refused("offset 0x12, e_machine");
	image.elf.e_machine = EM_X86_64;
	image.elf.e_phentsize = sizeof(Elf32_Phdr);
	assert_refused("offset 0x36, e_phentsize");
	image.elf.e_phentsize = sizeof(Elf64_Phdr);
	image.elf.e_phoff = UINT64_MAX;
	assert_refused("offset 0x20, e_phoff");
	image.elf.e_phoff = SIZE - 2 * sizeof(Elf64_Phdr) + 1;
	assert_refused("e_phoff");
	image.elf.e_phoff = offsetof(struct image, segment);
	image.elf.e_entry = BASE + 0x1000;
	assert_refused("offset 0x18, entry");
	image.elf.e_entry = BASE + CODE;
	image.segment[1].p_type = PT_INTERP;
	assert_refused("offset 0x78, program header");
}

static void segments_must_lie_in_file_and_ram(void **state)
{
	image.segment[0].p_offset = UINT64_MAX;
	assert_refused("segment");
	image.segment[0].p_offset = 1;
	assert_refused("segment");
	image.segment[0].p_offset = 0;
	image.segment[0].p_memsz = SIZE - 1;
	assert_refused("segment");
	image.segment[0].p_memsz = UINT64_MAX;
	assert_no_room("segment");
	image.segment[0].p_memsz = SIZE;
	image.segment[0].p_paddr = UINT64_MAX;
	assert_no_room("segment");
	image.segment[0].p_paddr = RAM - SIZE;
	assert_int_equal(load(), 0);
	image.segment[0].p_paddr++;
	assert_no_room("segment");
}

static void a_file_cut_off_anywhere_is_refused(void **state)
{
	for (size_t size = 0; size < SIZE; size++) {
		/* A block of just that size: a byte too far is caught by the sanitizer. */
		void *bytes = malloc(size ? size : 1);

		memcpy(bytes, &image, size);
		assert_int_equal(load_bytes(bytes, size), -ENOEXEC);
		free(bytes);
	}
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(entry_is_in_64_bit_mode_at_the_physical_address),
		RULE(tables_map_4_gib_to_themselves),
		RULE(rbx_points_to_multiboot_information),
		RULE(stack_tables_and_information_keep_apart),
		RULE(broken_fields_are_named),
		RULE(segments_must_lie_in_file_and_ram),
		RULE(a_file_cut_off_anywhere_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
