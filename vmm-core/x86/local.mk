# vmm-core/x86: files of this room
# Decoding, execution of integer and string instructions, memory accesses
libvmmcore_a_SOURCES += \
	vmm-core/x86/block.c \
	vmm-core/x86/block.h \
	vmm-core/x86/block_private.h \
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
	vmm-core/x86/integer_bmi.c \
	vmm-core/x86/integer_branch.c \
	vmm-core/x86/integer_exchange.c \
	vmm-core/x86/integer_legacy.c \
	vmm-core/x86/integer_misc.c \
	vmm-core/x86/integer_move.c \
	vmm-core/x86/integer_multiply.c \
	vmm-core/x86/integer_shift.c \
	vmm-core/x86/integer_stack.c \
	vmm-core/x86/mem.c \
	vmm-core/x86/mem.h \
	vmm-core/x86/string.c

# System instructions, exceptions, SSE and x87
libvmmcore_a_SOURCES += \
	vmm-core/x86/base.c \
	vmm-core/x86/control.c \
	vmm-core/x86/cpu.c \
	vmm-core/x86/device.c \
	vmm-core/x86/cpuid.c \
	vmm-core/x86/debug.c \
	vmm-core/x86/debug.h \
	vmm-core/x86/event.h \
	vmm-core/x86/exception.c \
	vmm-core/x86/features.def \
	vmm-core/x86/far.c \
	vmm-core/x86/far.h \
	vmm-core/x86/interrupt.c \
	vmm-core/x86/invalidate.c \
	vmm-core/x86/io.c \
	vmm-core/x86/memory_type.c \
	vmm-core/x86/model.c \
	vmm-core/x86/model.h \
	vmm-core/x86/isa.c \
	vmm-core/x86/mmx.c \
	vmm-core/x86/msr.c \
	vmm-core/x86/msr.h \
	vmm-core/x86/protection.c \
	vmm-core/x86/real.c \
	vmm-core/x86/real.h \
	vmm-core/x86/reset.c \
	vmm-core/x86/return.c \
	vmm-core/x86/run.c \
	vmm-core/x86/segment.c \
	vmm-core/x86/segment.h \
	vmm-core/x86/selector.c \
	vmm-core/x86/sse.c \
	vmm-core/x86/sse.h \
	vmm-core/x86/sse_exception.c \
	vmm-core/x86/sse_exception.h \
	vmm-core/x86/sse_float.c \
	vmm-core/x86/sse_integer.c \
	vmm-core/x86/sse_move.c \
	vmm-core/x86/sse_shuffle.c \
	vmm-core/x86/sse_string.c \
	vmm-core/x86/stack.c \
	vmm-core/x86/stack.h \
	vmm-core/x86/syscall.c \
	vmm-core/x86/system.c \
	vmm-core/x86/system.h \
	vmm-core/x86/table.c \
	vmm-core/x86/task.c \
	vmm-core/x86/task.h \
	vmm-core/x86/tsc.c \
	vmm-core/x86/xcr.c \
	vmm-core/x86/xcr.h \
	vmm-core/x86/x87.c \
	vmm-core/x86/x87.h \
	vmm-core/x86/x87_arithmetic.c \
	vmm-core/x86/x87_control.c \
	vmm-core/x86/x87_host.c \
	vmm-core/x86/x87_host.h \
	vmm-core/x86/x87_move.c \
	vmm-core/x86/x87_row.h \
	vmm-core/x86/xsave.c

check_PROGRAMS += \
	tests/unit/test_x86_control \
	tests/unit/test_x86_cpuid \
	tests/unit/test_x86_exception \
	tests/unit/test_x86_msr \
	tests/unit/test_x86_segment \
	tests/unit/test_x86_sse \
	tests/unit/test_x86_syscall \
	tests/unit/test_x86_system \
	tests/unit/test_x86_x87 \
	tests/unit/test_x86_xsave
TESTS += \
	tests/unit/test_x86_control \
	tests/unit/test_x86_cpuid \
	tests/unit/test_x86_exception \
	tests/unit/test_x86_msr \
	tests/unit/test_x86_segment \
	tests/unit/test_x86_sse \
	tests/unit/test_x86_syscall \
	tests/unit/test_x86_system \
	tests/unit/test_x86_x87 \
	tests/unit/test_x86_xsave
check_PROGRAMS += \
	tests/unit/test_x86_debug \
	tests/unit/test_x86_real \
	tests/unit/test_x86_task \
	tests/unit/test_x86_v8086 \
	tests/unit/test_x86_vendor
TESTS += \
	tests/unit/test_x86_debug \
	tests/unit/test_x86_real \
	tests/unit/test_x86_task \
	tests/unit/test_x86_v8086 \
	tests/unit/test_x86_vendor
x86_test_fixture = tests/unit/x86_system_fixture.h tests/unit/paging_fixture.h
x86_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
x86_test_ldadd = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_x86_control_SOURCES = tests/unit/test_x86_control.c $(x86_test_fixture)
tests_unit_test_x86_control_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_control_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_cpuid_SOURCES = tests/unit/test_x86_cpuid.c $(x86_test_fixture)
tests_unit_test_x86_cpuid_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_cpuid_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_exception_SOURCES = tests/unit/test_x86_exception.c $(x86_test_fixture)
tests_unit_test_x86_exception_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_exception_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_msr_SOURCES = tests/unit/test_x86_msr.c $(x86_test_fixture)
tests_unit_test_x86_msr_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_msr_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_segment_SOURCES = tests/unit/test_x86_segment.c $(x86_test_fixture)
tests_unit_test_x86_segment_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_segment_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_sse_SOURCES = tests/unit/test_x86_sse.c tests/unit/host_fixture.h tests/unit/host_vendor.h $(x86_test_fixture)
tests_unit_test_x86_sse_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_sse_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_vendor_SOURCES = tests/unit/test_x86_vendor.c $(x86_test_fixture)
tests_unit_test_x86_vendor_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_vendor_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_syscall_SOURCES = tests/unit/test_x86_syscall.c $(x86_test_fixture)
tests_unit_test_x86_syscall_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_syscall_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_system_SOURCES = tests/unit/test_x86_system.c $(x86_test_fixture)
tests_unit_test_x86_system_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_system_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_x87_SOURCES = tests/unit/test_x86_x87.c tests/unit/host_fixture.h tests/unit/host_vendor.h $(x86_test_fixture)
tests_unit_test_x86_x87_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_x87_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_xsave_SOURCES = tests/unit/test_x86_xsave.c tests/unit/host_fixture.h tests/unit/host_vendor.h $(x86_test_fixture)
tests_unit_test_x86_xsave_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_xsave_LDADD = $(x86_test_ldadd)

check_PROGRAMS += tests/unit/test_x86_run
TESTS += tests/unit/test_x86_run
tests_unit_test_x86_run_SOURCES = tests/unit/test_x86_run.c tests/unit/x86_fixture.h
tests_unit_test_x86_run_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_x86_device
TESTS += tests/unit/test_x86_device
tests_unit_test_x86_device_SOURCES = tests/unit/test_x86_device.c tests/unit/x86_fixture.h
tests_unit_test_x86_device_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_x86_hostile
TESTS += tests/unit/test_x86_hostile
tests_unit_test_x86_hostile_SOURCES = tests/unit/test_x86_hostile.c tests/unit/x86_fixture.h
tests_unit_test_x86_hostile_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_x86_branch
TESTS += tests/unit/test_x86_branch
tests_unit_test_x86_branch_SOURCES = tests/unit/test_x86_branch.c tests/unit/x86_fixture.h
tests_unit_test_x86_branch_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_x86_debug_SOURCES = tests/unit/test_x86_debug.c $(x86_test_fixture)
tests_unit_test_x86_debug_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_debug_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_real_SOURCES = tests/unit/test_x86_real.c $(x86_test_fixture)
tests_unit_test_x86_real_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_real_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_task_SOURCES = tests/unit/test_x86_task.c $(x86_test_fixture)
tests_unit_test_x86_task_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_task_LDADD = $(x86_test_ldadd)
tests_unit_test_x86_v8086_SOURCES = tests/unit/test_x86_v8086.c $(x86_test_fixture)
tests_unit_test_x86_v8086_CPPFLAGS = $(x86_test_cppflags)
tests_unit_test_x86_v8086_LDADD = $(x86_test_ldadd)

check_PROGRAMS += tests/unit/test_x86_modify
TESTS += tests/unit/test_x86_modify
tests_unit_test_x86_modify_SOURCES = tests/unit/test_x86_modify.c tests/unit/x86_fixture.h
tests_unit_test_x86_modify_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
