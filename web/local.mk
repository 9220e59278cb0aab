# web: libwebview.a is what `umbra run` needs too (a guest as JSON), libweb.a the server.
noinst_LIBRARIES += libwebview.a libweb.a
libwebview_a_SOURCES = \
	web/encode_advice.c \
	web/encode_guest.c \
	web/encode_measured.c \
	web/encode_vm.c \
	web/text.c \
	web/text.h \
	web/view.h
libwebview_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
WEBVIEW_LIBS = libwebview.a $(SCHEMAS_LIBS)

libweb_a_SOURCES = \
	web/accept.c \
	web/accept.h \
	web/answer.c \
	web/answer.h \
	web/body.c \
	web/body.h \
	web/connections.c \
	web/connections.h \
	web/encode_host.c \
	web/encode_host.h \
	web/encode_metrics.c \
	web/encode_metrics.h \
	web/encode_translate.c \
	web/encode_translate.h \
	web/examine.c \
	web/examine.h \
	web/get_schemas.c \
	web/get_schemas.h \
	web/guard.c \
	web/guard.h \
	web/history.h \
	web/problem.c \
	web/problem.h \
	web/process.c \
	web/process.h \
	web/routes.c \
	web/routes.h \
	web/server.c \
	web/server.h \
	web/snapshot.c \
	web/snapshot.h \
	web/statistics.h \
	web/target.c \
	web/target.h \
	web/wish.h
libweb_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(MICROHTTPD_CFLAGS) $(XXHASH_CFLAGS) $(ZLIB_CFLAGS)
WEB_LIBS = libweb.a $(WEBVIEW_LIBS) $(MICROHTTPD_LIBS) $(XXHASH_LIBS) $(ZLIB_LIBS)

WEB_TESTS = \
	tests/unit/test_web_body \
	tests/unit/test_web_connections \
	tests/unit/test_web_encode \
	tests/unit/test_web_guard \
	tests/unit/test_web_observed \
	tests/unit/test_web_request \
	tests/unit/test_web_routes \
	tests/unit/test_web_snapshot \
	tests/unit/test_web_text
check_PROGRAMS += $(WEB_TESTS)
TESTS += $(WEB_TESTS)
tests_unit_test_web_body_SOURCES = tests/unit/test_web_body.c
tests_unit_test_web_body_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(ZLIB_CFLAGS)
tests_unit_test_web_body_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS) -lpthread
tests_unit_test_web_connections_SOURCES = tests/unit/test_web_connections.c
tests_unit_test_web_connections_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_encode_SOURCES = tests/unit/test_web_encode.c \
	tests/unit/json_schema.c tests/unit/json_schema.h tests/unit/metrics_text.h
tests_unit_test_web_encode_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_web_encode_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_guard_SOURCES = tests/unit/test_web_guard.c
tests_unit_test_web_guard_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_observed_SOURCES = tests/unit/test_web_observed.c \
	tests/unit/json_schema.c tests/unit/json_schema.h tests/unit/metrics_text.h
tests_unit_test_web_observed_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_web_observed_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_request_SOURCES = tests/unit/test_web_request.c
tests_unit_test_web_request_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_web_request_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_routes_SOURCES = tests/unit/test_web_routes.c \
	tests/unit/json_schema.c tests/unit/json_schema.h
tests_unit_test_web_routes_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_web_routes_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_snapshot_SOURCES = tests/unit/test_web_snapshot.c
tests_unit_test_web_snapshot_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_web_snapshot_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS)
tests_unit_test_web_text_SOURCES = tests/unit/test_web_text.c
tests_unit_test_web_text_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_web_text_LDADD = $(WEB_LIBS) $(CMOCKA_LIBS) -lm

WEB_INTEGRATION_TESTS = \
	tests/integration/test_daemon_http.py \
	tests/integration/test_daemon_schemas.py \
	tests/integration/test_observed_api.py \
	tests/integration/test_prometheus.py
TESTS += $(WEB_INTEGRATION_TESTS)
EXTRA_DIST += $(WEB_INTEGRATION_TESTS)
