# Hostile guests made from seeds: short in every run, long with UMBRA_FULL.
FUZZ_TESTS = tests/fuzz/fuzz_guest
check_PROGRAMS += $(FUZZ_TESTS)
TESTS += $(FUZZ_TESTS)
fuzz_program_sources = \
	tests/fuzz/fuzz.h \
	tests/fuzz/fuzz_code.c \
	tests/fuzz/fuzz_code.h \
	tests/fuzz/fuzz_program.c \
	tests/fuzz/fuzz_system.c \
	tests/fuzz/fuzz_tables.c
tests_fuzz_fuzz_guest_SOURCES = tests/fuzz/fuzz_guest.c $(fuzz_program_sources)
tests_fuzz_fuzz_guest_LDADD = $(VMMCORE_LIBS)

# Writes such a guest as an image, for umbrad.
check_PROGRAMS += tests/fuzz/hostile
tests_fuzz_hostile_SOURCES = tests/fuzz/hostile.c $(fuzz_image_sources) $(fuzz_program_sources)
tests_fuzz_hostile_LDADD = $(VMMCORE_LIBS)

# A guest that makes up its code and tables as it runs, for umbrad too.
check_DATA += tests/fuzz/wild.elf
CLEANFILES += tests/fuzz/wild.elf
EXTRA_DIST += tests/fuzz/wild.c
tests/fuzz/wild.elf: tests/fuzz/wild.c $(GUEST_LIB)
	$(GUEST_BUILD) -mgeneral-regs-only '$(srcdir)/tests/fuzz/wild.c'

# libFuzzer targets: in a build of their own, with configure CC=clang --enable-fuzzers.
FUZZ_TARGETS = tests/fuzz/target_code tests/fuzz/target_config tests/fuzz/target_host \
	tests/fuzz/target_image tests/fuzz/target_message tests/fuzz/target_report \
	tests/fuzz/target_request
EXTRA_PROGRAMS += $(FUZZ_TARGETS)
fuzz_target_ldflags = -fsanitize=fuzzer
fuzz_image_sources = \
	tests/fuzz/fuzz_image.c \
	tests/fuzz/fuzz_image.h \
	tests/fuzz/start.S \
	tests/fuzz/start.h
tests_fuzz_target_code_SOURCES = \
	tests/fuzz/target.c \
	tests/fuzz/target.h \
	tests/fuzz/target_code.c \
	$(fuzz_image_sources) \
	$(fuzz_program_sources)
tests_fuzz_target_code_LDADD = $(VMMCORE_LIBS)
tests_fuzz_target_code_LDFLAGS = $(fuzz_target_ldflags)
tests_fuzz_target_config_SOURCES = \
	tests/fuzz/target.h \
	tests/fuzz/target_config.c
tests_fuzz_target_config_LDADD = $(DAEMON_LIBS)
tests_fuzz_target_config_LDFLAGS = $(fuzz_target_ldflags)
tests_fuzz_target_host_SOURCES = tests/fuzz/target.h tests/fuzz/target_host.c
tests_fuzz_target_host_LDADD = $(COLLECTORS_LIBS)
tests_fuzz_target_host_LDFLAGS = $(fuzz_target_ldflags)
tests_fuzz_target_image_SOURCES = \
	tests/fuzz/target.c \
	tests/fuzz/target.h \
	tests/fuzz/target_image.c
tests_fuzz_target_image_LDADD = $(VMMCORE_LIBS)
tests_fuzz_target_image_LDFLAGS = $(fuzz_target_ldflags)
tests_fuzz_target_message_SOURCES = tests/fuzz/target.h tests/fuzz/target_json.h \
	tests/fuzz/target_message.c
tests_fuzz_target_message_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_target_message_LDADD = $(DAEMON_LIBS)
tests_fuzz_target_message_LDFLAGS = $(fuzz_target_ldflags)
tests_fuzz_target_report_SOURCES = tests/fuzz/target.h tests/fuzz/target_json.h \
	tests/fuzz/target_report.c
tests_fuzz_target_report_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_target_report_LDADD = $(DAEMON_LIBS)
tests_fuzz_target_report_LDFLAGS = $(fuzz_target_ldflags)
tests_fuzz_target_request_SOURCES = tests/fuzz/target.h tests/fuzz/target_request.c
tests_fuzz_target_request_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_target_request_LDADD = $(WEB_LIBS)
tests_fuzz_target_request_LDFLAGS = $(fuzz_target_ldflags)
EXTRA_DIST += tests/fuzz/seeds.py tests/fuzz/test_targets.py

# Runs the targets, with seeds that a script writes: 1,000 inputs each, 10 minutes with UMBRA_FULL.
fuzz: $(FUZZ_TARGETS)
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS check_PROGRAMS= check_DATA= TESTS=tests/fuzz/test_targets.py

.PHONY: fuzz
