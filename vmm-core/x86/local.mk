# vmm-core/x86: files of this room

libvmmcore_a_SOURCES += \
	vmm-core/x86/control.c \
	vmm-core/x86/control.h \
	vmm-core/x86/cpu.c \
	vmm-core/x86/cpu.h \
	vmm-core/x86/cpuid.c \
	vmm-core/x86/exception.c \
	vmm-core/x86/far.c \
	vmm-core/x86/interrupt.c \
	vmm-core/x86/io.c \
	vmm-core/x86/msr.c \
	vmm-core/x86/segment.c \
	vmm-core/x86/segment.h \
	vmm-core/x86/selector.c \
	vmm-core/x86/sse.c \
	vmm-core/x86/sse.h \
	vmm-core/x86/sse_float.c \
	vmm-core/x86/sse_integer.c \
	vmm-core/x86/sse_move.c \
	vmm-core/x86/syscall.c \
	vmm-core/x86/system.c \
	vmm-core/x86/system.h \
	vmm-core/x86/table.c \
	vmm-core/x86/x87.c \
	vmm-core/x86/x87.h
