# daemon: umbrad. What tests link lies in a library.
sbin_PROGRAMS += umbrad
noinst_LIBRARIES += libdaemon.a
libdaemon_a_SOURCES = \
	daemon/configuration.c \
	daemon/configuration.h \
	daemon/configuration_finish.c \
	daemon/configuration_guest.c \
	daemon/configuration_guest.h \
	daemon/configuration_values.c \
	daemon/configuration_values.h \
	daemon/console.c \
	daemon/console.h \
	daemon/control.c \
	daemon/control.h \
	daemon/crash.c \
	daemon/crash.h \
	daemon/guests.c \
	daemon/guests.h \
	daemon/journal.c \
	daemon/journal.h \
	daemon/journal_private.h \
	daemon/journal_read.c \
	daemon/journal_read.h \
	daemon/journal_schema.c \
	daemon/journal_store.c \
	daemon/journal_store.h \
	daemon/journal_store_private.h \
	daemon/journal_thread.c \
	daemon/journal_upkeep.c \
	daemon/load.c \
	daemon/load.h \
	daemon/log.c \
	daemon/log.h \
	daemon/loop.c \
	daemon/loop.h \
	daemon/message.c \
	daemon/message.h \
	daemon/notify.c \
	daemon/notify.h \
	daemon/observed.c \
	daemon/observed.h \
	daemon/observed_advice.c \
	daemon/observed_advice.h \
	daemon/observed_inputs.c \
	daemon/observed_inputs.h \
	daemon/observed_view.c \
	daemon/observed_view.h \
	daemon/privileges.c \
	daemon/privileges.h \
	daemon/registry.c \
	daemon/registry.h \
	daemon/reload.c \
	daemon/reload.h \
	daemon/report.c \
	daemon/report.h \
	daemon/sampler.c \
	daemon/sampler.h \
	daemon/sandbox.c \
	daemon/sandbox.h \
	daemon/shared.c \
	daemon/shared.h \
	daemon/sockets.c \
	daemon/sockets.h \
	daemon/spawn.c \
	daemon/spawn.h \
	daemon/umbrad.c \
	daemon/umbrad.h \
	daemon/untrusted.h \
	daemon/watch.c \
	daemon/watch.h \
	daemon/wishes.c \
	daemon/wishes.h \
	daemon/worker.c \
	daemon/worker.h
libdaemon_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SQLITE_CFLAGS) $(SYSTEMD_CFLAGS) $(SECCOMP_CFLAGS)
DAEMON_LIBS = libdaemon.a $(INI_LIBS) $(WEB_LIBS) $(HOST_LIBS) $(SQLITE_LIBS) $(SYSTEMD_LIBS) $(SECCOMP_LIBS) \
	-lpthread -lm
umbrad_SOURCES = daemon/main.c
umbrad_LDADD = $(DAEMON_LIBS)

sbin_PROGRAMS += umbra-collect
umbra_collect_SOURCES = daemon/collect.c
umbra_collect_LDADD = libdaemon.a $(COLLECTORS_LIBS) $(DAEMON_LIBS)

DAEMON_TESTS = \
	tests/unit/test_daemon_advice \
	tests/unit/test_daemon_configuration \
	tests/unit/test_daemon_control \
	tests/unit/test_daemon_inputs \
	tests/unit/test_daemon_journal \
	tests/unit/test_daemon_journal_faults \
	tests/unit/test_daemon_log \
	tests/unit/test_daemon_message \
	tests/unit/test_daemon_observed \
	tests/unit/test_daemon_registry \
	tests/unit/test_daemon_sandbox \
	tests/unit/test_daemon_shared \
	tests/unit/test_daemon_watch \
	tests/unit/test_daemon_wishes
check_PROGRAMS += $(DAEMON_TESTS)
TESTS += $(DAEMON_TESTS)
tests_unit_test_daemon_advice_SOURCES = tests/unit/test_daemon_advice.c
tests_unit_test_daemon_advice_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_configuration_SOURCES = tests/unit/test_daemon_configuration.c
tests_unit_test_daemon_configuration_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_control_SOURCES = tests/unit/test_daemon_control.c
tests_unit_test_daemon_control_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_inputs_SOURCES = tests/unit/test_daemon_inputs.c
tests_unit_test_daemon_inputs_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_journal_SOURCES = tests/unit/test_daemon_journal.c tests/unit/journal_fixture.h
tests_unit_test_daemon_journal_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SQLITE_CFLAGS)
tests_unit_test_daemon_journal_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_journal_faults_SOURCES = tests/unit/test_daemon_journal_faults.c \
	tests/unit/journal_fixture.h
tests_unit_test_daemon_journal_faults_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SQLITE_CFLAGS)
tests_unit_test_daemon_journal_faults_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_log_SOURCES = tests/unit/test_daemon_log.c
tests_unit_test_daemon_log_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_message_SOURCES = tests/unit/test_daemon_message.c
tests_unit_test_daemon_message_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_observed_SOURCES = tests/unit/test_daemon_observed.c
tests_unit_test_daemon_observed_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_registry_SOURCES = tests/unit/test_daemon_registry.c
tests_unit_test_daemon_registry_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_daemon_registry_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_sandbox_SOURCES = tests/unit/test_daemon_sandbox.c
tests_unit_test_daemon_sandbox_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_shared_SOURCES = tests/unit/test_daemon_shared.c
tests_unit_test_daemon_shared_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_watch_SOURCES = tests/unit/test_daemon_watch.c
tests_unit_test_daemon_watch_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_daemon_wishes_SOURCES = tests/unit/test_daemon_wishes.c
tests_unit_test_daemon_wishes_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_daemon_wishes_LDADD = $(DAEMON_LIBS) $(CMOCKA_LIBS)

# umbrad with workers that are in their guests' hands.
check_PROGRAMS += tests/integration/compromised
tests_integration_compromised_SOURCES = tests/integration/compromised.c
tests_integration_compromised_LDADD = $(DAEMON_LIBS)

DAEMON_INTEGRATION_TESTS = \
	tests/integration/test_collect.py \
	tests/integration/test_daemon_api.py \
	tests/integration/test_daemon_client.py \
	tests/integration/test_daemon_compromised.py \
	tests/integration/test_daemon_config.py \
	tests/integration/test_daemon_faults.py \
	tests/integration/test_daemon_journal.py \
	tests/integration/test_daemon_reload.py \
	tests/integration/test_daemon_hostile.py \
	tests/integration/test_daemon_kill.py \
	tests/integration/test_daemon_sandbox.py \
	tests/integration/test_daemon_service.py \
	tests/integration/test_daemon_translate.py \
	tests/integration/test_quickstart.py
TESTS += $(DAEMON_INTEGRATION_TESTS)
EXTRA_DIST += $(DAEMON_INTEGRATION_TESTS) tests/integration/configurations tests/integration/collect_fixture.py \
	tests/integration/daemon_fixture.py docs/daemon.md \
	tests/lab/quickstart_debootstrap.sh
