libvmmcore_a_SOURCES += \
	vmm-core/engine/explain.c \
	vmm-core/engine/guest.c \
	vmm-core/engine/guest.h \
	vmm-core/engine/kvm.c \
	vmm-core/engine/kvm.h \
	vmm-core/engine/kvm_chips.c \
	vmm-core/engine/kvm_figures.c \
	vmm-core/engine/kvm_state.c \
	vmm-core/engine/kvm_stats.c \
	vmm-core/engine/kvm_vcpu.c \
	vmm-core/engine/own_entry.c \
	vmm-core/engine/own_entry.h \
	vmm-core/engine/soft.c \
	vmm-core/engine/translate.c \
	vmm-core/engine/turn.c

EXTRA_DIST += docs/engine.md

check_PROGRAMS += tests/unit/test_engine_turn
TESTS += tests/unit/test_engine_turn
tests_unit_test_engine_turn_SOURCES = tests/unit/test_engine_turn.c
tests_unit_test_engine_turn_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_engine_boundaries
TESTS += tests/unit/test_engine_boundaries
tests_unit_test_engine_boundaries_SOURCES = tests/unit/test_engine_boundaries.c \
	tests/unit/boundary_fixture.c tests/unit/boundary_fixture.h
tests_unit_test_engine_boundaries_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_unit_test_engine_boundaries_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_engine_switch
TESTS += tests/unit/test_engine_switch
tests_unit_test_engine_switch_SOURCES = tests/unit/test_engine_switch.c \
	tests/unit/boundary_fixture.c tests/unit/boundary_fixture.h
tests_unit_test_engine_switch_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_unit_test_engine_switch_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS) -lpthread
check_PROGRAMS += tests/unit/test_engine_translate
TESTS += tests/unit/test_engine_translate
tests_unit_test_engine_translate_SOURCES = tests/unit/test_engine_translate.c \
	tests/unit/reference_walk.c tests/unit/reference_walk.h
tests_unit_test_engine_translate_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_unit_test_engine_translate_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/integration/test_translate_guests
TESTS += tests/integration/test_translate_guests
tests_integration_test_translate_guests_SOURCES = tests/integration/test_translate_guests.c \
	tests/integration/shipped_guest.h
tests_integration_test_translate_guests_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_engine_kvm_stats
TESTS += tests/unit/test_engine_kvm_stats
tests_unit_test_engine_kvm_stats_SOURCES = tests/unit/test_engine_kvm_stats.c
tests_unit_test_engine_kvm_stats_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test_engine_kvm
TESTS += tests/unit/test_engine_kvm
tests_unit_test_engine_kvm_SOURCES = tests/unit/test_engine_kvm.c tests/integration/shipped_guest.h
tests_unit_test_engine_kvm_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/integration
tests_unit_test_engine_kvm_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS) -lpthread
