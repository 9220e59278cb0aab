# ini: INI files that the command and the daemon read.
noinst_LIBRARIES += libini.a
libini_a_SOURCES = \
	ini/complaints.c \
	ini/complaints.h \
	ini/costs_file.c \
	ini/costs_file.h \
	ini/ini_file.c \
	ini/ini_file.h
libini_a_CFLAGS = $(AM_CFLAGS) $(INIH_CFLAGS)
INI_LIBS = libini.a $(INIH_LIBS)

INI_TESTS = \
	tests/unit/test_ini_costs \
	tests/unit/test_ini_file
check_PROGRAMS += $(INI_TESTS)
TESTS += $(INI_TESTS)
tests_unit_test_ini_costs_SOURCES = tests/unit/test_ini_costs.c
tests_unit_test_ini_costs_LDADD = $(INI_LIBS) $(VMMCORE_LIBS) $(CMOCKA_LIBS)
tests_unit_test_ini_file_SOURCES = tests/unit/test_ini_file.c
tests_unit_test_ini_file_LDADD = $(INI_LIBS) $(CMOCKA_LIBS)
