libvmmcore_a_SOURCES += \
	vmm-core/memory/frames.c \
	vmm-core/memory/frames.h \
	vmm-core/memory/map.h \
	vmm-core/memory/memory.c \
	vmm-core/memory/memory.h
