libvmmcore_a_SOURCES += \
	vmm-core/cost/cost.c \
	vmm-core/cost/cost.h \
	vmm-core/cost/costs.def \
	vmm-core/cost/processors.def

check_PROGRAMS += tests/unit/test_cost_table
TESTS += tests/unit/test_cost_table
tests_unit_test_cost_table_SOURCES = tests/unit/test_cost_table.c
tests_unit_test_cost_table_LDADD = $(VMMCORE_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/integration/test_costs.py
TESTS += tests/integration/test_costs.py
