# policy: files of this room
noinst_LIBRARIES += libpolicy.a
libpolicy_a_SOURCES = \
	policy/advice.c \
	policy/advice.h \
	policy/advice_text.c \
	policy/advice_text.h \
	policy/estimate.c \
	policy/estimate.h \
	policy/inputs.c \
	policy/inputs.def \
	policy/inputs.h \
	policy/names.c \
	policy/pilot.c \
	policy/pilot.h \
	policy/policy.c \
	policy/policy.h \
	policy/reasons.def \
	policy/record.h \
	policy/work.c \
	policy/work.h
POLICY_LIBS = libpolicy.a $(VMMCORE_LIBS) -lm

check_PROGRAMS += tests/unit/test_policy_decide tests/unit/test_policy_phases tests/unit/test_policy_inputs
TESTS += tests/unit/test_policy_decide tests/unit/test_policy_phases tests/unit/test_policy_inputs
tests_unit_test_policy_decide_SOURCES = tests/unit/test_policy_decide.c \
	tests/unit/policy_sim.c tests/unit/policy_sim.h
tests_unit_test_policy_decide_LDADD = $(POLICY_LIBS) $(CMOCKA_LIBS)
tests_unit_test_policy_phases_SOURCES = tests/unit/test_policy_phases.c \
	tests/unit/policy_sim.c tests/unit/policy_sim.h
tests_unit_test_policy_phases_LDADD = $(POLICY_LIBS) $(CMOCKA_LIBS)
tests_unit_test_policy_inputs_SOURCES = tests/unit/test_policy_inputs.c
tests_unit_test_policy_inputs_LDADD = $(POLICY_LIBS) $(CMOCKA_LIBS)
include tests/bench/local.mk

TESTS += tests/integration/test_client_status.py
EXTRA_DIST += tests/integration/test_client_status.py

# The real guests race the static modes; UMBRA_FULL in the environment makes it long.
check_PROGRAMS += tests/integration/test_policy_guests
TESTS += tests/integration/test_policy_guests
tests_integration_test_policy_guests_SOURCES = tests/integration/test_policy_guests.c \
	tests/integration/shipped_guest.h
tests_integration_test_policy_guests_LDADD = $(POLICY_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_policy_advice
TESTS += tests/unit/test_policy_advice
tests_unit_test_policy_advice_SOURCES = tests/unit/test_policy_advice.c $(perf_fixture_sources)
tests_unit_test_policy_advice_LDADD = $(DAEMON_LIBS) $(COLLECTORS_LIBS) $(CMOCKA_LIBS)
