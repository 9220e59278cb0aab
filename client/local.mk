# client: the `umbra` command, a file a verb.
bin_PROGRAMS += umbra
umbra_SOURCES = \
	client/advise.c \
	client/advise_vm.c \
	client/advise_vm.h \
	client/api.c \
	client/api.h \
	client/client.h \
	client/decisions.c \
	client/freeze.c \
	client/guests.c \
	client/main.c \
	client/metrics.c \
	client/mode.c \
	client/plain.c \
	client/plain.h \
	client/show.c \
	client/table.c \
	client/table.h \
	client/translate.c \
	client/words.c \
	client/words.h
# The verbs that run a guest in the client's own process.
umbra_SOURCES += \
	client/compare.c \
	client/explain.c \
	client/explanation.c \
	client/explanation.h \
	client/options.c \
	client/options.h \
	client/kvm.c \
	client/kvm.h \
	client/report.c \
	client/report.h \
	client/run.c \
	client/session.c \
	client/session.h \
	client/terminal.c \
	client/terminal.h
umbra_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CURL_CFLAGS)
umbra_CPPFLAGS = $(AM_CPPFLAGS) -DPKGDATADIR='"$(pkgdatadir)"'
umbra_LDADD = $(INI_LIBS) $(WEBVIEW_LIBS) $(HOST_LIBS) $(CURL_LIBS) -lpthread -lm

check_PROGRAMS += tests/unit/test_client_plain
TESTS += tests/unit/test_client_plain
tests_unit_test_client_plain_SOURCES = tests/unit/test_client_plain.c client/plain.c client/plain.h
tests_unit_test_client_plain_LDADD = $(CMOCKA_LIBS)
