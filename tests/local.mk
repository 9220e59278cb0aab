# Tests that belong to no single room; each room's own are listed in its local.mk.
PAGING_TESTS = \
	tests/unit/test_memory_frames \
	tests/unit/test_paging_ept \
	tests/unit/test_paging_exact \
	tests/unit/test_paging_invalidate \
	tests/unit/test_paging_law \
	tests/unit/test_paging_limit \
	tests/unit/test_paging_mmio \
	tests/unit/test_paging_pcid \
	tests/unit/test_paging_shadow \
	tests/unit/test_paging_smp \
	tests/unit/test_paging_tlb \
	tests/unit/test_paging_walk
check_PROGRAMS += $(PAGING_TESTS)
TESTS += $(PAGING_TESTS)
paging_test_sources = tests/unit/paging_fixture.h tests/unit/reference_walk.c tests/unit/reference_walk.h
paging_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
paging_test_ldadd = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_memory_frames_SOURCES = tests/unit/test_memory_frames.c $(paging_test_sources)
tests_unit_test_memory_frames_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_memory_frames_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_ept_SOURCES = tests/unit/test_paging_ept.c $(paging_test_sources)
tests_unit_test_paging_ept_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_ept_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_exact_SOURCES = tests/unit/test_paging_exact.c $(paging_test_sources)
tests_unit_test_paging_exact_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_exact_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_invalidate_SOURCES = tests/unit/test_paging_invalidate.c $(paging_test_sources)
tests_unit_test_paging_invalidate_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_invalidate_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_pcid_SOURCES = tests/unit/test_paging_pcid.c $(paging_test_sources)
tests_unit_test_paging_pcid_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_pcid_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_law_SOURCES = tests/unit/test_paging_law.c tests/unit/law_control.c \
	tests/unit/law_lists.c tests/unit/law_world.c tests/unit/law_world.h $(paging_test_sources)
tests_unit_test_paging_law_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_law_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_limit_SOURCES = tests/unit/test_paging_limit.c $(paging_test_sources)
tests_unit_test_paging_limit_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_limit_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_mmio_SOURCES = tests/unit/test_paging_mmio.c $(paging_test_sources)
tests_unit_test_paging_mmio_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_mmio_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_shadow_SOURCES = tests/unit/test_paging_shadow.c $(paging_test_sources)
tests_unit_test_paging_shadow_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_shadow_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_smp_SOURCES = tests/unit/test_paging_smp.c $(paging_test_sources)
tests_unit_test_paging_smp_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_smp_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_tlb_SOURCES = tests/unit/test_paging_tlb.c $(paging_test_sources)
tests_unit_test_paging_tlb_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_tlb_LDADD = $(paging_test_ldadd)
tests_unit_test_paging_walk_SOURCES = tests/unit/test_paging_walk.c $(paging_test_sources)
tests_unit_test_paging_walk_CPPFLAGS = $(paging_test_cppflags)
tests_unit_test_paging_walk_LDADD = $(paging_test_ldadd)

INTEGRATION_TESTS = \
	tests/integration/test_boot_images.py \
	tests/integration/test_client_observed.py \
	tests/integration/test_docs.py \
	tests/integration/test_engine_kvm.py \
	tests/integration/test_explain.py \
	tests/integration/test_law.py \
	tests/integration/test_linux.py \
	tests/integration/test_memtest.py \
	tests/integration/test_modes.py \
	tests/qemu/test_qemu.py \
	tests/style/test_style.sh
TESTS += $(INTEGRATION_TESTS)
# Takes minutes and the packages of packaging/packages-full.
FULL_TESTS = tests/integration/test_linux_selftests.py
EXTRA_DIST += $(INTEGRATION_TESTS) $(FULL_TESTS) tests/qemu/cases.c tests/integration/debian.py \
	tests/integration/images.py tests/integration/linux_guest.py tests/integration/tap.py

# A few law runs and all unit and property tests: what runs under the sanitizers in every run.
print-sanitizer-tests:
	@for test in $(check_PROGRAMS); do \
		case ' $(TESTS) ' in *" $$test "*) ;; *) continue ;; esac; \
		case $$test in tests/unit/*|tests/fuzz/*) echo $$test ;; esac; \
	done; \
	echo tests/integration/test_boot_images.py tests/integration/test_explain.py tests/integration/test_client_status.py

# What ./runtests --full runs.
print-full-tests:
	@echo $(TESTS) $(FULL_TESTS)

.PHONY: print-full-tests print-sanitizer-tests

include tests/fuzz/local.mk
include tests/lab/local.mk
include tests/native/local.mk
