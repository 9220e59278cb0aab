# Tests that belong to no single room; each room's own are listed in its local.mk.
check_PROGRAMS += tests/unit/test_paging_law
TESTS += tests/unit/test_paging_law
tests_unit_test_paging_law_SOURCES = tests/unit/test_paging_law.c tests/unit/paging_fixture.h
tests_unit_test_paging_law_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_unit_test_paging_law_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)

INTEGRATION_TESTS = \
	tests/integration/test_explain.py \
	tests/integration/test_law.py \
	tests/integration/test_memtest.py
TESTS += $(INTEGRATION_TESTS)
EXTRA_DIST += $(INTEGRATION_TESTS)

# A few law runs and all unit and property tests: what runs under the sanitizers in every run.
print-sanitizer-tests:
	@echo '$(check_PROGRAMS) tests/integration/test_explain.py tests/integration/test_client_status.py'

include tests/fuzz/local.mk
