# vmm-core/boot: files of this room
libvmmcore_a_SOURCES += \
	vmm-core/boot/boot.c \
	vmm-core/boot/boot.h \
	vmm-core/boot/elf.c \
	vmm-core/boot/information.c \
	vmm-core/boot/linux.c \
	vmm-core/boot/loader.h \
	vmm-core/boot/multiboot.c \
	vmm-core/boot/plan.c \
	vmm-core/boot/plan.h

BOOT_TESTS = \
	tests/unit/test_boot_elf \
	tests/unit/test_boot_linux \
	tests/unit/test_boot_multiboot
check_PROGRAMS += $(BOOT_TESTS)
TESTS += $(BOOT_TESTS)
boot_test_ldadd = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_boot_elf_SOURCES = tests/unit/test_boot_elf.c tests/unit/boot_fixture.h
tests_unit_test_boot_elf_LDADD = $(boot_test_ldadd)
tests_unit_test_boot_linux_SOURCES = tests/unit/test_boot_linux.c tests/unit/boot_fixture.h
tests_unit_test_boot_linux_LDADD = $(boot_test_ldadd)
tests_unit_test_boot_multiboot_SOURCES = tests/unit/test_boot_multiboot.c tests/unit/boot_fixture.h
tests_unit_test_boot_multiboot_LDADD = $(boot_test_ldadd)
EXTRA_DIST += docs/boot.md
