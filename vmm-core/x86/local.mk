# vmm-core/x86: files of this room
# Decoding, execution of integer and string instructions, memory accesses
libvmmcore_a_SOURCES += \
	vmm-core/x86/block.c \
	vmm-core/x86/block.h \
	vmm-core/x86/control.h \
	vmm-core/x86/cpu.h \
	vmm-core/x86/decode.c \
	vmm-core/x86/decode.h \
	vmm-core/x86/flags.c \
	vmm-core/x86/flags.h \
	vmm-core/x86/insn.h \
	vmm-core/x86/integer.c \
	vmm-core/x86/integer.h \
	vmm-core/x86/integer_alu.c \
	vmm-core/x86/integer_bit.c \
	vmm-core/x86/integer_branch.c \
	vmm-core/x86/integer_exchange.c \
	vmm-core/x86/integer_misc.c \
	vmm-core/x86/integer_move.c \
	vmm-core/x86/integer_multiply.c \
	vmm-core/x86/integer_shift.c \
	vmm-core/x86/integer_stack.c \
	vmm-core/x86/mem.c \
	vmm-core/x86/mem.h \
	vmm-core/x86/string.c
