# vmm-core/device: files of this room
libvmmcore_a_SOURCES += \
	vmm-core/device/acpi_pm.c \
	vmm-core/device/acpi_pm.h \
	vmm-core/device/acpi_tables.c \
	vmm-core/device/aml.c \
	vmm-core/device/aml.h \
	vmm-core/device/apic_bus.c \
	vmm-core/device/apic_bus.h \
	vmm-core/device/firmware.c \
	vmm-core/device/firmware.h \
	vmm-core/device/fw_cfg.c \
	vmm-core/device/fw_cfg.h \
	vmm-core/device/i8042.c \
	vmm-core/device/i8042.h \
	vmm-core/device/i8254.c \
	vmm-core/device/i8254.h \
	vmm-core/device/i8259.c \
	vmm-core/device/i8259.h \
	vmm-core/device/ioapic.c \
	vmm-core/device/ioapic.h \
	vmm-core/device/lapic.c \
	vmm-core/device/lapic.h \
	vmm-core/device/lapic_registers.c \
	vmm-core/device/lapic_registers.h \
	vmm-core/device/lapic_timer.c \
	vmm-core/device/lapic_timer.h \
	vmm-core/device/machine.c \
	vmm-core/device/machine.h \
	vmm-core/device/machine_ports.c \
	vmm-core/device/machine_private.h \
	vmm-core/device/mc146818.c \
	vmm-core/device/mc146818.h \
	vmm-core/device/memory_map.c \
	vmm-core/device/memory_map.h \
	vmm-core/device/mp_table.c \
	vmm-core/device/ns16550.c \
	vmm-core/device/ns16550.h \
	vmm-core/device/pci.c \
	vmm-core/device/pci.h \
	vmm-core/device/vga.c \
	vmm-core/device/vga.h

DEVICE_TESTS = \
	tests/unit/test_device_apic \
	tests/unit/test_device_firmware \
	tests/unit/test_device_i8254 \
	tests/unit/test_device_i8259 \
	tests/unit/test_device_ioapic \
	tests/unit/test_device_machine \
	tests/unit/test_device_mc146818 \
	tests/unit/test_device_ns16550 \
	tests/unit/test_device_ports
check_PROGRAMS += $(DEVICE_TESTS)
TESTS += $(DEVICE_TESTS)
tests_unit_test_device_apic_SOURCES = tests/unit/test_device_apic.c
tests_unit_test_device_apic_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_firmware_SOURCES = tests/unit/test_device_firmware.c
tests_unit_test_device_firmware_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_i8254_SOURCES = tests/unit/test_device_i8254.c
tests_unit_test_device_i8254_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_i8259_SOURCES = tests/unit/test_device_i8259.c
tests_unit_test_device_i8259_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_ioapic_SOURCES = tests/unit/test_device_ioapic.c
tests_unit_test_device_ioapic_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_machine_SOURCES = tests/unit/test_device_machine.c
tests_unit_test_device_machine_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_mc146818_SOURCES = tests/unit/test_device_mc146818.c
tests_unit_test_device_mc146818_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_ns16550_SOURCES = tests/unit/test_device_ns16550.c
tests_unit_test_device_ns16550_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_device_ports_SOURCES = tests/unit/test_device_ports.c
tests_unit_test_device_ports_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)

EXTRA_DIST += docs/machine.md
