libvmmcore_a_SOURCES += \
	vmm-core/engine/explain.c \
	vmm-core/engine/guest.h \
	vmm-core/engine/soft.c \
	vmm-core/engine/turn.c
