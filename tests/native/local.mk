# tests/native: instructions on the host's CPU and on Umbra's
check_PROGRAMS += tests/native/test_native
TESTS += tests/native/test_native
tests_native_test_native_SOURCES = \
	tests/native/compare.c \
	tests/native/encode.c \
	tests/native/families.c \
	tests/native/families.h \
	tests/native/family_alu.c \
	tests/native/family_mmx.c \
	tests/native/family_move.c \
	tests/native/family_sse.c \
	tests/native/family_sse_integer.c \
	tests/native/family_x87.c \
	tests/native/forms.c \
	tests/native/guest.c \
	tests/native/host.c \
	tests/native/native.h \
	tests/native/test_native.c \
	tests/native/values.c \
	tests/unit/host_vendor.h \
	tests/unit/x86_fixture.h
tests_native_test_native_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_native_test_native_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
