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
