# vmm-core/boot: files of this room
libvmmcore_a_SOURCES += \
	vmm-core/boot/boot.c \
	vmm-core/boot/boot.h \
	vmm-core/boot/linux.c \
	vmm-core/boot/loader.h \
	vmm-core/boot/multiboot.c

check_PROGRAMS += \
	tests/unit/test_boot_linux \
	tests/unit/test_boot_multiboot
TESTS += \
	tests/unit/test_boot_linux \
	tests/unit/test_boot_multiboot
tests_unit_test_boot_linux_SOURCES = tests/unit/test_boot_linux.c
tests_unit_test_boot_linux_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_boot_multiboot_SOURCES = tests/unit/test_boot_multiboot.c
tests_unit_test_boot_multiboot_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
