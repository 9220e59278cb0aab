# vmm-core/boot: files of this room
libvmmcore_a_SOURCES += \
	vmm-core/boot/boot.c \
	vmm-core/boot/boot.h \
	vmm-core/boot/linux.c \
	vmm-core/boot/loader.h \
	vmm-core/boot/multiboot.c
