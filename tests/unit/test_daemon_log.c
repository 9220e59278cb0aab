/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"

#ifdef HAVE_SYSTEMD
#define WITH_SOCKETS LOG_JOURNAL
#else
#define WITH_SOCKETS LOG_PREFIXED_LINES
#endif

static void journal_is_believed_only_if_it_names_the_standard_error_that_is_there(void **state)
{
	static const struct {
		const char *journal_stream;
		bool sockets;
		enum log_transport expected;
	} rows[] = {
		{NULL, true, LOG_LINES},        {"", true, LOG_LINES},
		{"9:1234", true, WITH_SOCKETS}, {"9:1234", false, LOG_PREFIXED_LINES},
		{"9:1235", true, LOG_LINES},    {"8:1234", true, LOG_LINES},
		{"9:", true, LOG_LINES},        {"9:1234x", true, LOG_LINES},
		{"nine", true, LOG_LINES},
	};
	const struct stat status = {.st_dev = 9, .st_ino = 1234};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(log_choose(rows[i].journal_stream, &status, rows[i].sockets),
				 rows[i].expected);
}

static int saved_stderr;

/* Standard error becomes a file; what systemd would say of it is said, or not. */
static FILE *begin_capture(bool journal_stream)
{
	FILE *file = tmpfile();
	char stream[64];
	struct stat status;

	assert_non_null(file);
	saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	if (journal_stream)
		setenv("JOURNAL_STREAM", stream, 1);
	else
		unsetenv("JOURNAL_STREAM");
	log_open("umbrad", false);
	return file;
}

/* What was written meanwhile. */
static const char *end_capture(FILE *file)
{
	static char text[4096];
	size_t length;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = 0;
	fclose(file);
	return text;
}

static const char *written(bool journal_stream)
{
	FILE *file = begin_capture(journal_stream);

	log_write(LOG_WARNING, NULL, "%d things", 2);
	log_write(LOG_ERR, "one", "no such file");
	log_event(LOG_GUEST_SWITCHED, "one", "ept", "switched from %s to %s", "shadow", "ept");
	log_write(LOG_ERR, "one", "%s", "broken\numbrad: serving http://elsewhere\x1b[2J\x7f");
	return end_capture(file);
}

static void message_is_a_line_with_its_guest(void **state)
{
	assert_string_equal(written(false),
			    "umbrad: 2 things\n"
			    "umbrad: guest one: no such file\n"
			    "umbrad: guest one: switched from shadow to ept\n"
			    "umbrad: guest one: broken?umbrad: serving http://elsewhere?[2J?\n");
}

static void lines_for_the_journal_begin_with_their_priority(void **state)
{
	assert_string_equal(written(true),
			    "<4>umbrad: 2 things\n"
			    "<3>umbrad: guest one: no such file\n"
			    "<6>umbrad: guest one: switched from shadow to ept\n"
			    "<3>umbrad: guest one: broken?umbrad: serving http://elsewhere?[2J?\n");
}

static void long_message_is_cut_and_stays_a_line(void **state)
{
	FILE *file = begin_capture(false);
	char text[3000];
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_write(LOG_ERR, "one", "%s", text);
	line = end_capture(file);
	assert_in_range(strlen(line), 900, 1100);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			journal_is_believed_only_if_it_names_the_standard_error_that_is_there),
		cmocka_unit_test(message_is_a_line_with_its_guest),
		cmocka_unit_test(lines_for_the_journal_begin_with_their_priority),
		cmocka_unit_test(long_message_is_cut_and_stays_a_line),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
