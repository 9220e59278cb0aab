/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ini/ini_file.h"

static char directory[] = "/tmp/umbra-test-XXXXXX";
static char path[sizeof(directory) + 16];

static int set_up(void **state)
{
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/file", directory);
	return 0;
}

static int tear_down(void **state)
{
	unlink(path);
	return rmdir(directory);
}

/* Everything that a reader was told, a line each. */
static char told[4096];

static void take_section(struct ini_reading *reading, void *context, const char *section)
{
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "[%s]\n", section);
	if (!strncmp(section, "bad", 3))
		ini_fail(reading, section, NULL, "a good section was expected");
}

static void take_key(struct ini_reading *reading, void *context, const char *section,
		     const char *key, const char *value)
{
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s.%s=%s\n", section, key,
		 value);
}

static const struct ini_reader reader = {take_section, take_key, "more"};

static int read_bytes(const char *bytes, size_t size, struct complaints *complaints)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
	told[0] = '\0';
	return ini_read(path, &reader, NULL, complaints);
}

static int read_text(const char *text, struct complaints *complaints)
{
	return read_bytes(text, strlen(text), complaints);
}

static void assert_complaint(const struct complaints *complaints, size_t i, const char *wanted)
{
	if (i >= complaints->nr || strncmp(complaints->text[i], path, strlen(path)) ||
	    !strstr(complaints->text[i], wanted))
		fail_msg("complaint %zu of %zu: %s, not %s", i, complaints->nr,
			 i < complaints->nr ? complaints->text[i] : "none", wanted);
}

static void sections_and_keys_arrive_in_order(void **state)
{
	struct complaints complaints = {0};

	assert_int_equal(read_text("# one\n; two\n\n[a] ; three\n  k = v ; four\n\tl=w;w\r\n"
				   "[empty]\n[a b]\nk: v v",
				   &complaints),
			 0);
	assert_string_equal(told, "[a]\na.k=v\na.l=w;w\n[empty]\n[a b]\na b.k=v v\n");
}

/* inih skips it, and so must whoever looks at the line first. */
static void a_byte_order_mark_is_no_part_of_the_first_line(void **state)
{
	struct complaints complaints = {0};

	assert_int_equal(read_text("\xef\xbb\xbf[a]\nk=v\n", &complaints), 0);
	assert_string_equal(told, "[a]\na.k=v\n");
}

static void everything_that_is_wrong_is_told(void **state)
{
	struct complaints complaints = {0};

	assert_int_equal(
		read_text("early = 1\n[a]\nk = v\nnothing\nk = v\n[bad]\nk = v\n[b\nk = v\n"
			  "[c] d\nk = v\nnothing ; k = v\n[e]\nk = v\n",
			  &complaints),
		-EINVAL);
	assert_string_equal(told, "[a]\na.k=v\n[bad]\n[e]\ne.k=v\n");
	assert_int_equal(complaints.nr, 7);
	assert_complaint(&complaints, 0, ": line 1 early: a section was expected");
	assert_complaint(&complaints, 1, ": line 4: \"key = value\"");
	assert_complaint(&complaints, 2, ": line 5, [a] k: given twice");
	assert_complaint(&complaints, 3, ": line 6, [bad]: a good section");
	assert_complaint(&complaints, 4, ": line 8: a section begins with '['");
	assert_complaint(&complaints, 5, ": line 10: nothing but a comment");
	assert_complaint(&complaints, 6, ": line 12: \"key = value\"");
	complaints_free(&complaints);
}

static void one_key_may_be_repeatable(void **state)
{
	struct complaints complaints = {0};

	assert_int_equal(read_text("[a]\nmore = 1\nk = v\nmore = 2\n", &complaints), 0);
	assert_string_equal(told, "[a]\na.more=1\na.k=v\na.more=2\n");
}

static void twenty_complaints_are_enough(void **state)
{
	struct complaints complaints = {0};
	char text[1000] = "";

	for (int i = 0; i < 30; i++)
		strcat(text, "nothing\n");
	strcat(text, "[a]\n");
	assert_int_equal(read_text(text, &complaints), -EINVAL);
	assert_int_equal(complaints.nr, 20);
	assert_complaint(&complaints, 19, ": line 20: ");
	assert_string_equal(told, "");
	complaints_free(&complaints);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	static const char bytes[] = "[a]\nk = \0v\nl = \x1b[2J\n\x7f\n[b\x01]\nm = n\ro\n";
	struct complaints complaints = {0};

	assert_int_equal(read_bytes(bytes, sizeof(bytes) - 1, &complaints), -EINVAL);
	assert_string_equal(told, "[a]\n");
	assert_int_equal(complaints.nr, 5);
	assert_complaint(&complaints, 0, ": line 2: byte 0x00: text was expected");
	assert_complaint(&complaints, 1, ": line 3: byte 0x1b");
	assert_complaint(&complaints, 2, ": line 4: byte 0x7f");
	assert_complaint(&complaints, 3, ": line 5: byte 0x01");
	assert_complaint(&complaints, 4, ": line 6: byte 0x0d");
	complaints_free(&complaints);
}

static void long_lines_are_refused_not_cut(void **state)
{
	struct complaints complaints = {0};
	char text[1000];

	snprintf(text, sizeof(text), "[a]\nk = %0193d\n", 1);
	assert_int_equal(read_text(text, &complaints), 0);
	assert_int_equal(strlen(told), strlen("[a]\na.k=\n") + 193);
	snprintf(text, sizeof(text), "[a]\nk = %0194d\n[%0300d]\nl = m\n", 1, 1);
	assert_int_equal(read_text(text, &complaints), -EINVAL);
	assert_string_equal(told, "[a]\n");
	assert_int_equal(complaints.nr, 2);
	assert_complaint(&complaints, 0, ": line 2: the line is longer than 197 bytes");
	assert_complaint(&complaints, 1, ": line 3: the line is longer");
	complaints_free(&complaints);
}

/* Nobody ever writes to the FIFO: reading it would never end. */
static void what_is_no_file_is_refused_at_once(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct complaints complaints = {0};
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(ini_read(path, &reader, NULL, &complaints), -EINVAL);
	assert_complaint(&complaints, 0, ": a regular file");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(ini_read(path, &reader, NULL, &complaints), -EINVAL);
	assert_complaint(&complaints, 1, ": a regular file");
	rmdir(path);
	assert_int_equal(symlink(path, path), 0);
	assert_int_equal(ini_read(path, &reader, NULL, &complaints), -ELOOP);
	assert_complaint(&complaints, 2, ": Too many levels of symbolic links");
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(ini_read(path, &reader, NULL, &complaints), -ENXIO);
	close(fd);
	assert_int_equal(ini_read("/dev/zero", &reader, NULL, &complaints), -EINVAL);
	assert_int_equal(complaints.nr, 5);
	complaints_free(&complaints);
	assert_int_equal(ini_read("/dev/null", &reader, NULL, &complaints), 0);
}

static void a_huge_file_is_refused_at_once(void **state)
{
	struct complaints complaints = {0};
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(ftruncate(fd, 1ll << 40), 0);
	close(fd);
	assert_int_equal(ini_read(path, &reader, NULL, &complaints), -EINVAL);
	assert_complaint(&complaints, 0, ": a file of at most 16 MiB");
	complaints_free(&complaints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sections_and_keys_arrive_in_order, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_byte_order_mark_is_no_part_of_the_first_line,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(everything_that_is_wrong_is_told, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_key_may_be_repeatable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(twenty_complaints_are_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bytes_that_are_no_text_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(long_lines_are_refused_not_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_at_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_huge_file_is_refused_at_once, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
