# Hostile guests and images made from seeds: short in every run, long with UMBRA_FULL.
FUZZ_TESTS = tests/fuzz/fuzz_guest tests/fuzz/fuzz_boot
check_PROGRAMS += $(FUZZ_TESTS)
TESTS += $(FUZZ_TESTS)
tests_fuzz_fuzz_guest_SOURCES = \
	tests/fuzz/fuzz.h \
	tests/fuzz/fuzz_code.c \
	tests/fuzz/fuzz_guest.c \
	tests/fuzz/fuzz_program.c \
	tests/fuzz/fuzz_tables.c
tests_fuzz_fuzz_guest_LDADD = $(VMMCORE_LIBS)
tests_fuzz_fuzz_boot_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_boot.c
tests_fuzz_fuzz_boot_LDADD = $(VMMCORE_LIBS)
