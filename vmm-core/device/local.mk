# vmm-core/device: files of this room
libvmmcore_a_SOURCES += \
	vmm-core/device/i8254.c \
	vmm-core/device/i8254.h \
	vmm-core/device/i8259.c \
	vmm-core/device/i8259.h \
	vmm-core/device/machine.c \
	vmm-core/device/machine.h \
	vmm-core/device/mc146818.c \
	vmm-core/device/mc146818.h \
	vmm-core/device/ns16550.c \
	vmm-core/device/ns16550.h \
	vmm-core/device/pci.c \
	vmm-core/device/pci.h

check_PROGRAMS += \
	tests/unit/test_device_i8254 \
	tests/unit/test_device_i8259 \
	tests/unit/test_device_machine \
	tests/unit/test_device_mc146818 \
	tests/unit/test_device_ns16550
TESTS += \
	tests/unit/test_device_i8254 \
	tests/unit/test_device_i8259 \
	tests/unit/test_device_machine \
	tests/unit/test_device_mc146818 \
	tests/unit/test_device_ns16550
tests_unit_test_device_i8254_SOURCES = tests/unit/test_device_i8254.c
tests_unit_test_device_i8254_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_i8259_SOURCES = tests/unit/test_device_i8259.c
tests_unit_test_device_i8259_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_machine_SOURCES = tests/unit/test_device_machine.c
tests_unit_test_device_machine_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_mc146818_SOURCES = tests/unit/test_device_mc146818.c
tests_unit_test_device_mc146818_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_ns16550_SOURCES = tests/unit/test_device_ns16550.c
tests_unit_test_device_ns16550_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)

EXTRA_DIST += docs/machine.md
