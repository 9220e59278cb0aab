/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/configuration.h"
#include "umbra/guest.h"

/* Reads @text as a file. */
static int read_text(const char *text, struct config *config, struct umbra_error *error)
{
	char path[] = "/tmp/umbra-test-XXXXXX";
	int fd = mkstemp(path);
	int code;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	config_init(config);
	code = config_read(config, path, error);
	if (!code)
		code = config_check(config, error);
	if (!code)
		code = config_read_costs(config, error);
	unlink(path);
	return code;
}

static void every_key_reaches_its_guest(void **state)
{
	struct umbra_error error;
	struct config config;
	const struct guest_config *guest;

	assert_int_equal(read_text("# a comment\n"
				   "[umbrad]\nlisten = 127.0.0.1:0\nsocket = /tmp/x.sock\n"
				   "[policy]\ninterval = 20000000\n"
				   "[guest a]\n  image = /i.elf\n\tmode = shadow\nmemory = 16M\n"
				   "append = pages=8 seed=1\nclock = instructions\nengine = soft\n"
				   "cpus = 1\nprocessor = zen2\nrestart = no\ninterval=50000\n"
				   "console = stderr\n"
				   "[guest b]\nimage = other.elf\nmode = auto\n",
				   &config, &error),
			 0);
	assert_int_equal(config.listen_port, 0);
	assert_string_equal(config.socket, "/tmp/x.sock");
	assert_int_equal(config.interval, 20000000);
	assert_int_equal(config.nr_guests, 2);
	guest = &config.guests[0];
	assert_string_equal(guest->name, "a");
	assert_string_equal(guest->image, "/i.elf");
	assert_int_equal(guest->mode, UMBRA_MODE_SHADOW);
	assert_int_equal(guest->policy, POLICY_PINNED);
	assert_int_equal(guest->memory, 16 << 20);
	assert_string_equal(guest->append, "pages=8 seed=1");
	assert_string_equal(umbra_processor_name(guest->processor), "zen2");
	assert_int_equal(guest->clock, UMBRA_CLOCK_INSTRUCTIONS);
	assert_int_equal(guest->interval, 50000);
	assert_true(guest->console);
	guest = &config.guests[1];
	assert_int_equal(guest->mode, UMBRA_MODE_EPT);
	assert_int_equal(guest->policy, POLICY_AUTO);
	/* Relative to the file. */
	assert_string_equal(guest->image, "/tmp/other.elf");
	config_free(&config);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text;
		const char *place;
		const char *why;
	} cases[] = {
		{"[nonsense]\n", "line 1", "unknown section"},
		{"[workload x]\n", "line 1", "no such sections yet"},
		{"[collector kvm]\n", "line 1", "no such sections yet"},
		{"key = 1\n", "line 1", "section was expected"},
		{"[umbrad\n", "line 1", "']'"},
		{"[guest ]\n", "line 1", "name"},
		{"[guest a/b]\n", "line 1", "name"},
		{"[guest .a]\n", "line 1", "name"},
		{"[umbrad]\n\nlisten = 8642\n", "line 3, [umbrad] listen", "ADDRESS:PORT"},
		{"[umbrad]\nlisten = localhost:8642\n", "line 2", "ADDRESS:PORT"},
		{"[umbrad]\nlisten = 127.0.0.1:65536\n", "line 2", "ADDRESS:PORT"},
		{"[umbrad]\ncosts =\n", "line 2, [umbrad] costs", "path of a file"},
		{"[umbrad]\nsocket = umbra.sock\n", "line 2", "absolute"},
		{"[umbrad]\nfrobnicate = 1\n", "line 2, [umbrad] frobnicate", "unknown key"},
		{"[umbrad]\nnonsense\n", "line 2", "key = value"},
		{"[guest a]\nimage = x\nengine = kvm\n", "line 3, [guest a] engine",
		 "not in this build"},
		{"[guest a]\nimage = x\nmode = fast\n", "[guest a] mode",
		 "bare, brute, shadow, ept or auto"},
		{"[guest a]\nimage = x\ncpus = 9\n", "[guest a] cpus", "1 to 8"},
		{"[guest a]\nimage = x\ninitrd =\n", "[guest a] initrd", "path of an initrd"},
		{"[guest a]\nimage = x\nrestart = always\n", "[guest a] restart",
		 "not in this build"},
		{"[guest a]\nimage = x\nprocessor = zen\n", "[guest a] processor",
		 "not in this build; it has skylake, icelake, zen2, zen3, zen4"},
		{"[guest a]\nimage = x\nmemory = 512K\n", "[guest a] memory", "1M to 2G"},
		{"[guest a]\nimage = x\nmemory = 3G\n", "[guest a] memory", "1M to 2G"},
		{"[guest a]\nimage = x\nmemory = 16MB\n", "[guest a] memory", "1M to 2G"},
		{"[guest a]\nimage = x\nmemory = 99999999999999999999\n", "memory", "1M to 2G"},
		{"[guest a]\nimage = x\nimage = y\n", "line 3, [guest a] image", "twice"},
		{"[guest a]\nmemory = 16M\n", "[guest a] image", "missing"},
		{"[guest a]\n", "[guest a] image", "missing"},
		{"[policy]\ninterval = 1\n", "line 2, [policy] interval", "10000"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct umbra_error error = {0};
		struct config config;

		if (read_text(cases[i].text, &config, &error) != -EINVAL)
			fail_msg("accepted: %s", cases[i].text);
		if (!strstr(error.place, cases[i].place) || !strstr(error.text, cases[i].why))
			fail_msg("%s: %s: %s", cases[i].text, error.place, error.text);
		config_free(&config);
	}
}

static void long_lines_and_names_are_refused_not_cut(void **state)
{
	struct umbra_error error;
	struct config config;
	char text[400];

	snprintf(text, sizeof(text), "[guest a]\nappend = %0250d\n", 1);
	assert_int_equal(read_text(text, &config, &error), -EINVAL);
	assert_non_null(strstr(error.text, "longer"));
	config_free(&config);
	snprintf(text, sizeof(text), "[guest %041d]\nimage = x\n", 1);
	assert_int_equal(read_text(text, &config, &error), -EINVAL);
	config_free(&config);
	snprintf(text, sizeof(text), "[guest %040d]\nimage = x\n", 1);
	assert_int_equal(read_text(text, &config, &error), 0);
	config_free(&config);
}

/* One file for the host; each guest has what it says of its processor. */
static void file_of_costs_reaches_every_guest(void **state)
{
	static const char costs[] = "[general]\ninvlpg = 3\n[zen2]\nexit = 5\n";
	char path[] = "/tmp/umbra-test-XXXXXX", text[400];
	struct umbra_error error = {0};
	struct config config;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, costs, strlen(costs)), strlen(costs));
	close(fd);
	/* Relative to the file it is named in. */
	snprintf(text, sizeof(text),
		 "[umbrad]\ncosts = %s\n[guest a]\nimage = x\n"
		 "[guest b]\nimage = x\nprocessor = zen2\n",
		 strrchr(path, '/') + 1);
	assert_int_equal(read_text(text, &config, &error), 0);
	assert_string_equal(config.costs, path);
	assert_int_equal(config.guests[0].costs.cost.exit, umbra_cost_default.exit);
	assert_int_equal(config.guests[0].costs.cost.invlpg, 3);
	assert_int_equal(umbra_cost_table_borrowed(&config.guests[0].costs), 0);
	assert_int_equal(config.guests[1].costs.cost.exit, 5);
	assert_int_equal(config.guests[1].costs.cost.invlpg, 3);
	assert_true(umbra_cost_table_borrowed(&config.guests[1].costs) > 0);
	assert_string_equal(config.guests[1].costs.file, path);
	config_free(&config);

	assert_int_equal(truncate(path, strlen(costs) - 2), 0);
	assert_int_equal(read_text(text, &config, &error), -EINVAL);
	assert_string_equal(error.subject, path);
	assert_string_equal(error.place, "line 4, [zen2] exit");
	config_free(&config);

	unlink(path);
	assert_int_equal(read_text(text, &config, &error), -ENOENT);
	assert_string_equal(error.subject, path);
	config_free(&config);
}

static void missing_file_is_told_apart(void **state)
{
	struct umbra_error error;
	struct config config;

	config_init(&config);
	assert_int_equal(config_read(&config, "/nonexistent/umbra.conf", &error), -ENOENT);
	/* The default file may be missing, and so may its directory. */
	assert_int_equal(
		config_read_default(&config, "/nonexistent/umbra.conf", "/nonexistent", &error), 0);
	config_free(&config);
}

static void listen_address_is_numeric_with_a_port(void **state)
{
	char address[64];
	uint16_t port;

	assert_int_equal(config_parse_listen("[::1]:80", address, &port), 0);
	assert_string_equal(address, "::1");
	assert_int_equal(port, 80);
	assert_int_equal(config_parse_listen("0.0.0.0:65535", address, &port), 0);
	assert_int_equal(config_parse_listen("::1:80", address, &port), -EINVAL);
	assert_int_equal(config_parse_listen("[127.0.0.1]:80", address, &port), -EINVAL);
	assert_int_equal(config_parse_listen("127.0.0.1:", address, &port), -EINVAL);
	assert_int_equal(config_parse_listen("127.0.0.1:-1", address, &port), -EINVAL);
	assert_int_equal(config_parse_listen("127.0.0.1", address, &port), -EINVAL);
	assert_int_equal(config_parse_listen("", address, &port), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_reaches_its_guest),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
		cmocka_unit_test(long_lines_and_names_are_refused_not_cut),
		cmocka_unit_test(file_of_costs_reaches_every_guest),
		cmocka_unit_test(missing_file_is_told_apart),
		cmocka_unit_test(listen_address_is_numeric_with_a_port),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
