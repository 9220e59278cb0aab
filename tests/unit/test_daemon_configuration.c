/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused, and how, stands in tests/integration/configurations. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "umbra/guest.h"

static char directory[] = "/tmp/umbra-test-XXXXXX";

static int set_up(void **state)
{
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

/* The path of NAME in the test's directory; valid until the next call. */
static const char *path_of(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* Reads @text as a file, which must be right. */
static void read_text(const char *text, struct config *config)
{
	struct complaints complaints = {0};
	struct config_source source = {0};

	write_file("umbra.conf", text);
	source.file = path_of("umbra.conf");
	if (config_load(&source, config, &complaints))
		fail_msg("%s", complaints.nr ? complaints.text[0] : "no complaint");
}

static void every_key_reaches_its_place(void **state)
{
	struct config config;
	const struct guest_config *guest;
	char image[200];

	read_text("# a comment\n"
		  "[umbrad]\nlisten = 127.0.0.1:0\nsocket = /tmp/x.sock\nstate = /tmp/state\n"
		  "journal_days = 7\njournal_size = 4G\nhang_timeout = 60\n"
		  "[policy]\ninterval = 20000000\npolicy = advise\n"
		  "[collector soft]\nenabled = no\n[collector perf_event]\nenabled = no\n"
		  "[collector kvm_exits]\ntiming = 2/30\n"
		  "[guest a]\n  image = /i.elf\n\tmode = shadow\nmemory = 16M\n"
		  "append = pages=8 seed=1\nclock = instructions\nengine = soft\n"
		  "cpus = 2\nprocessor = zen2\nrestart = always\ninterval=50000\n"
		  "console = stderr\ninitrd = /initrd\n"
		  "[guest b]\nimage = other.elf\nmode = auto\nmemory = 8192K\n"
		  "[guest c]\nimage = x\nmemory = 1048576\n",
		  &config);
	assert_int_equal(config.listen_port, 0);
	assert_string_equal(config.socket, "/tmp/x.sock");
	assert_string_equal(config.state_directory, "/tmp/state");
	assert_int_equal(config.journal_days, 7);
	assert_int_equal(config.journal_size, 4ll << 30);
	assert_int_equal(config.hang_timeout, 60);
	assert_int_equal(config.interval, 20000000);
	assert_int_equal(config.policy, POLICY_ADVISE);
	assert_false(config.collectors[CONFIG_COLLECTOR_SOFT]);
	assert_false(config.collectors[CONFIG_COLLECTOR_PERF_EVENT]);
	assert_true(config.collectors[CONFIG_COLLECTOR_KVM_EXITS]);
	assert_int_equal(config.timing_seconds, 2);
	assert_int_equal(config.timing_period, 30);
	/* Beside the other socket unless it is named. */
	assert_string_equal(config.collect_socket, "/tmp/collect.sock");
	assert_int_equal(config.nr_guests, 3);
	guest = &config.guests[0];
	assert_string_equal(guest->name, "a");
	assert_string_equal(guest->image, "/i.elf");
	assert_string_equal(guest->initrd, "/initrd");
	assert_int_equal(guest->mode, UMBRA_MODE_SHADOW);
	assert_int_equal(guest->policy, POLICY_PINNED);
	assert_int_equal(guest->memory, 16 << 20);
	assert_int_equal(guest->cpus, 2);
	assert_string_equal(guest->append, "pages=8 seed=1");
	assert_string_equal(umbra_processor_name(guest->processor), "zen2");
	assert_int_equal(guest->clock, UMBRA_CLOCK_INSTRUCTIONS);
	assert_int_equal(guest->interval, 50000);
	assert_true(guest->console);
	guest = &config.guests[1];
	assert_int_equal(guest->mode, UMBRA_MODE_EPT);
	assert_int_equal(guest->policy, POLICY_AUTO);
	assert_int_equal(guest->memory, 8 << 20);
	/* Relative to the file. */
	snprintf(image, sizeof(image), "%s/other.elf", directory);
	assert_string_equal(guest->image, image);
	guest = &config.guests[2];
	assert_int_equal(guest->mode, UMBRA_MODE_EPT);
	assert_int_equal(guest->policy, POLICY_ADVISE);
	assert_int_equal(guest->memory, 1 << 20);
	config_free(&config);
}

/* In one section of one file; a later file says all of it anew. */
static void append_may_take_many_lines(void **state)
{
	struct complaints complaints = {0};
	struct config config;

	read_text("[guest a]\nimage = x\nappend = root=/dev/ram0\nappend =\nappend = quiet\n",
		  &config);
	assert_string_equal(config.guests[0].append, "root=/dev/ram0  quiet");
	write_file("later.conf", "[guest a]\nappend = single\nappend = debug\n");
	assert_int_equal(config_read(&config, path_of("later.conf"), &complaints), 0);
	assert_string_equal(config.guests[0].append, "single debug");
	config_free(&config);
}

static void a_command_line_has_an_end(void **state)
{
	struct complaints complaints = {0};
	struct config_source source = {0};
	struct config config;
	char text[4000] = "[guest a]\nimage = x\n";

	/* 11 times 186 bytes, and ten blanks between them: 2056. */
	for (int i = 0; i < 11; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "append = %0186d\n", i);
	write_file("umbra.conf", text);
	source.file = path_of("umbra.conf");
	assert_int_equal(config_load(&source, &config, &complaints), -EINVAL);
	assert_int_equal(complaints.nr, 1);
	assert_non_null(strstr(complaints.text[0], "line 13, [guest a] append: \"0000"));
	assert_non_null(strstr(complaints.text[0], "at most 2047 bytes"));
	complaints_free(&complaints);
	text[strlen(text) - 10] = '\0';
	strcat(text, "\n");
	read_text(text, &config);
	assert_int_equal(strlen(config.guests[0].append), 2047);
	config_free(&config);
}

static void nothing_need_be_said(void **state)
{
	struct config config;

	read_text("[umbrad]\nstate =\n[guest a]\nimage = x\n", &config);
	assert_string_equal(config.listen_address, "127.0.0.1");
	assert_int_equal(config.listen_port, 8642);
	assert_string_equal(config.socket, "/run/umbra/umbra.sock");
	/* Said to be none. */
	assert_string_equal(config.state_directory, "");
	assert_int_equal(config.journal_days, 30);
	assert_int_equal(config.journal_size, 256 << 20);
	assert_int_equal(config.hang_timeout, 10);
	assert_true(config.collectors[CONFIG_COLLECTOR_SOFT]);
	assert_int_equal(config.guests[0].mode, UMBRA_MODE_EPT);
	assert_int_equal(config.guests[0].policy, POLICY_AUTO);
	assert_int_equal(config.guests[0].memory, 128 << 20);
	config_free(&config);
	read_text("", &config);
	assert_string_equal(config.state_directory, "/var/lib/umbra");
	config_free(&config);
}

/* Names a mode and a policy; "ept", "auto" are what is without a word. */
static void assert_choice(const char *keys, const char *rules, const char *mode, const char *policy)
{
	struct config config;
	char text[600];

	snprintf(text, sizeof(text), "[guest web-1]\nimage = /srv/linux.img\n%s\n%s\n", keys,
		 rules);
	read_text(text, &config);
	if (strcmp(umbra_mode_name(config.guests[0].mode), mode) ||
	    strcmp(policy_kind_name(config.guests[0].policy), policy))
		fail_msg("%s %s: mode %s, policy %s", keys, rules,
			 umbra_mode_name(config.guests[0].mode),
			 policy_kind_name(config.guests[0].policy));
	config_free(&config);
}

static void a_mode_pins_unless_a_policy_is_given(void **state)
{
	assert_choice("", "", "ept", "auto");
	assert_choice("mode = auto", "", "ept", "auto");
	assert_choice("mode = auto\npolicy = auto", "", "ept", "auto");
	assert_choice("mode = shadow", "", "shadow", "pinned");
	assert_choice("mode = bare", "", "bare", "pinned");
	assert_choice("mode = shadow\npolicy = advise", "", "shadow", "advise");
	assert_choice("policy = auto\nmode = brute", "", "brute", "auto");
	assert_choice("policy = pinned", "", "ept", "pinned");
	assert_choice("policy = advise", "", "ept", "advise");
}

static void default_policy_is_for_guests_without_any(void **state)
{
	static const char advise[] = "[policy]\npolicy = advise";

	assert_choice("", advise, "ept", "advise");
	assert_choice("mode = auto", advise, "ept", "auto");
	assert_choice("mode = shadow", advise, "shadow", "pinned");
	assert_choice("policy = pinned", advise, "ept", "pinned");
}

static void first_matching_rule_counts(void **state)
{
	static const char rules[] = "[workload other]\nmatch = db-*\nmode = brute\n"
				    "[workload both]\nmatch = web-*\nmatch_image = *.elf\n"
				    "mode = bare\n"
				    "[workload web]\nmatch = web-[0-9]\nmode = shadow\n"
				    "policy = advise\n"
				    "[workload all]\nmatch = *\nmode = brute\n"
				    "[policy]\npolicy = auto\n";

	assert_choice("", rules, "shadow", "advise");
	assert_choice("", "[workload i]\nmatch_image = linux.*\npolicy = pinned", "ept", "pinned");
	assert_choice("", "[workload i]\nmatch_image = linux.*\nmode = brute", "brute", "pinned");
	assert_choice("", "[workload i]\nmatch_image = /srv/*\nmode = brute", "ept", "auto");
	/* A later file or section adds to a rule and leaves it in its place. */
	assert_choice("",
		      "[workload a]\nmatch = *\nmode = shadow\n[workload b]\nmatch = *\n"
		      "mode = brute\n[workload a]\npolicy = auto",
		      "shadow", "auto");
}

static void a_guests_own_keys_win_over_rules(void **state)
{
	static const char rule[] = "[workload all]\nmatch = *\nmode = shadow\npolicy = advise\n";

	assert_choice("mode = brute", rule, "brute", "pinned");
	assert_choice("mode = auto", rule, "ept", "auto");
	assert_choice("mode = brute\npolicy = auto", rule, "brute", "auto");
	assert_choice("policy = auto", rule, "shadow", "auto");
	assert_choice("policy = pinned", "[workload all]\nmatch = *\nmode = bare\n", "bare",
		      "pinned");
}

static void a_pattern_of_stars_takes_no_time(void **state)
{
	struct config config;
	char text[600] = "[workload stars]\nmode = shadow\nmatch = ";

	for (int i = 0; i < 60; i++)
		strcat(text, "*a");
	strcat(text, "*b\n[guest ");
	for (int i = 0; i < CONFIG_NAME_MAX; i++)
		strcat(text, "a");
	strcat(text, "]\nimage = x\n");
	read_text(text, &config);
	assert_int_equal(config.guests[0].mode, UMBRA_MODE_EPT);
	config_free(&config);
}

static void names_are_refused_not_cut(void **state)
{
	struct complaints complaints = {0};
	struct config_source source = {0};
	struct config config;
	char text[400];

	snprintf(text, sizeof(text),
		 "[guest %040d]\nimage = x\n[workload %040d]\nmatch = *\n"
		 "mode = ept\n",
		 1, 1);
	read_text(text, &config);
	assert_int_equal(strlen(config.guests[0].name), 40);
	assert_int_equal(strlen(config.workloads[0].name), 40);
	config_free(&config);
	snprintf(text, sizeof(text), "[guest %041d]\nimage = x\n", 1);
	write_file("umbra.conf", text);
	source.file = path_of("umbra.conf");
	assert_int_equal(config_load(&source, &config, &complaints), -EINVAL);
	assert_non_null(strstr(complaints.text[0], "a name is 1 to 40"));
	complaints_free(&complaints);
}

static void more_guests_than_umbrad_can_have_are_refused(void **state)
{
	struct complaints complaints = {0};
	struct config_source source = {0};
	struct config config;
	FILE *file;

	write_file("umbra.conf", "");
	source.file = path_of("umbra.conf");
	file = fopen(source.file, "w");
	for (int i = 0; i <= CONFIG_GUESTS_MAX; i++)
		fprintf(file, "[guest %d]\nimage = x\n", i);
	fclose(file);
	assert_int_equal(config_load(&source, &config, &complaints), -EINVAL);
	assert_int_equal(complaints.nr, 1);
	assert_non_null(strstr(complaints.text[0], "line 20001, [guest 10000]: at most 10000"));
	complaints_free(&complaints);
}

/* A thousand guests are to cost little. */
static void guests_of_one_processor_share_its_figures(void **state)
{
	struct config config;
	struct guest_config *copy;
	char text[1000];

	snprintf(text, sizeof(text),
		 "[guest a]\nimage = x\n[guest b]\nimage = x\nprocessor = zen2\n"
		 "[guest c]\nimage = x\nprocessor = zen2\n");
	read_text(text, &config);
	assert_true(sizeof(config.guests[0]) <= 256);
	assert_ptr_not_equal(config.guests[0].costs, config.guests[1].costs);
	assert_ptr_equal(config.guests[1].costs, config.guests[2].costs);
	copy = config_guest_copy(&config.guests[1]);
	assert_ptr_equal(copy->costs, config.guests[1].costs);
	config_free(&config);
	/* They live as long as a guest needs them. */
	assert_string_equal(copy->costs->table.processor, "zen2");
	assert_int_equal(copy->costs->refs, 1);
	config_guest_free(copy);
}

/* What makes a new worker necessary; "": nothing. */
static void assert_difference(const char *keys, const char *difference)
{
	struct config before, after;
	char text[400];
	const char *found;

	read_text("[guest a]\nimage = x\n", &before);
	snprintf(text, sizeof(text), "[guest a]\nimage = x\n%s\n", keys);
	read_text(text, &after);
	found = config_guest_difference(&before.guests[0], &after.guests[0]);
	if (strcmp(found ? found : "", difference))
		fail_msg("%s: %s", keys, found ? found : "no difference");
	config_free(&before);
	config_free(&after);
}

static void mode_and_policy_alone_change_live(void **state)
{
	assert_difference("", "");
	assert_difference("mode = shadow", "");
	assert_difference("policy = pinned", "");
	assert_difference("memory = 131072K", "");
	assert_difference("[policy]\npolicy = advise", "");
	assert_difference("[workload a]\nmatch = *\nmode = brute", "");
	assert_difference("[umbrad]\nhang_timeout = 5", "");
	assert_difference("mode = bare", "mode");
	assert_difference("initrd = y", "initrd");
	assert_difference("append = y", "append");
	assert_difference("memory = 64M", "memory");
	assert_difference("cpus = 2", "cpus");
	assert_difference("processor = zen4", "processor");
	assert_difference("clock = instructions", "clock");
	assert_difference("console = stderr", "console");
	assert_difference("interval = 10001", "interval");
	assert_difference("[policy]\ninterval = 10001", "interval");
	write_file("costs", "[general]\nexit = 5\n");
	assert_difference("[umbrad]\ncosts = costs", "costs");
	write_file("costs", "[zen4]\nexit = 5\n");
	assert_difference("[umbrad]\ncosts = costs", "");
	assert_difference("[guest b]\nimage = z", "");
}

/* One file for the host; each guest has what it says of its processor. */
static void file_of_costs_reaches_every_guest(void **state)
{
	static const char text[] = "[umbrad]\ncosts = costs\n[guest a]\nimage = x\n"
				   "[guest b]\nimage = x\nprocessor = zen2\n";
	struct complaints complaints = {0};
	struct config_source source = {0};
	struct config config;

	write_file("costs", "[general]\ninvlpg = 3\n[zen2]\nexit = 5\n");
	read_text(text, &config);
	/* Relative to the file it is named in. */
	assert_string_equal(config.costs, path_of("costs"));
	assert_int_equal(config.guests[0].costs->table.cost.exit, umbra_cost_default.exit);
	assert_int_equal(config.guests[0].costs->table.cost.invlpg, 3);
	assert_int_equal(umbra_cost_table_borrowed(&config.guests[0].costs->table), 0);
	assert_int_equal(config.guests[1].costs->table.cost.exit, 5);
	assert_int_equal(config.guests[1].costs->table.cost.invlpg, 3);
	assert_true(umbra_cost_table_borrowed(&config.guests[1].costs->table) > 0);
	assert_string_equal(config.guests[1].costs->table.file, path_of("costs"));
	config_free(&config);

	write_file("costs", "[general]\ninvlpg = 3\n[zen2]\nexit = \nexits = 1\n");
	source.file = strdup(path_of("umbra.conf"));
	assert_int_equal(config_load(&source, &config, &complaints), -EINVAL);
	assert_int_equal(complaints.nr, 2);
	assert_non_null(strstr(complaints.text[0], "/costs: line 4, [zen2] exit: \"\": cycles"));
	assert_non_null(strstr(complaints.text[1], "/costs: line 5, [zen2] exits: "));
	complaints_free(&complaints);

	unlink(path_of("costs"));
	assert_int_equal(config_load(&source, &config, &complaints), -ENOENT);
	assert_non_null(strstr(complaints.text[0], "/costs: No such file"));
	complaints_free(&complaints);
	free((char *)source.file);
}

static void missing_file_is_told_apart(void **state)
{
	struct config_source source = {.file = "/nonexistent/umbra.conf"};
	struct complaints complaints = {0};
	struct config config;

	assert_int_equal(config_load(&source, &config, &complaints), -ENOENT);
	assert_string_equal(complaints.text[0],
			    "/nonexistent/umbra.conf: No such file or directory");
	complaints_free(&complaints);
	/* The default file may be missing, and so may its directory. */
	assert_int_equal(config_init(&config), 0);
	assert_int_equal(config_read_default(&config, "/nonexistent/umbra.conf", "/nonexistent",
					     &complaints),
			 0);
	assert_int_equal(complaints.nr, 0);
	config_free(&config);
}

static void drop_ins_come_by_name_behind_the_file(void **state)
{
	struct complaints complaints = {0};
	struct config config;
	char file[200];

	assert_int_equal(mkdir(path_of("umbra.conf.d"), 0700), 0);
	write_file("umbra.conf", "[guest a]\nimage = /0\ncpus = 4\n");
	write_file("umbra.conf.d/B.conf", "[guest a]\nimage = /B\n[guest b]\nimage = /B\n");
	write_file("umbra.conf.d/a.conf", "[guest a]\nimage = /a\n");
	write_file("umbra.conf.d/.c.conf", "nonsense\n");
	write_file("umbra.conf.d/z.conf~", "nonsense\n");
	write_file("umbra.conf.d/conf", "nonsense\n");
	strcpy(file, path_of("umbra.conf"));
	assert_int_equal(config_init(&config), 0);
	assert_int_equal(config_read_default(&config, file, path_of("umbra.conf.d"), &complaints),
			 0);
	assert_int_equal(config_finish(&config, &complaints), 0);
	assert_int_equal(config.nr_guests, 2);
	assert_string_equal(config.guests[0].image, "/a");
	assert_int_equal(config.guests[0].cpus, 4);
	assert_string_equal(config.guests[1].image, "/B");
	assert_int_equal(config.nr_files, 3);
	assert_string_equal(config.files[2], path_of("umbra.conf.d/a.conf"));
	config_free(&config);
}

static void what_the_command_line_says_wins(void **state)
{
	struct config_source source = {.listen = "[::1]:80", .socket = "rel.sock"};
	struct complaints complaints = {0};
	struct config config;

	write_file("umbra.conf", "[umbrad]\nlisten = 127.0.0.1:1\nsocket = /x\n");
	source.file = path_of("umbra.conf");
	assert_int_equal(config_load(&source, &config, &complaints), 0);
	assert_string_equal(config.listen_address, "::1");
	assert_int_equal(config.listen_port, 80);
	assert_string_equal(config.socket, "rel.sock");
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_key_reaches_its_place),
		TEST(append_may_take_many_lines),
		TEST(a_command_line_has_an_end),
		TEST(nothing_need_be_said),
		TEST(a_mode_pins_unless_a_policy_is_given),
		TEST(default_policy_is_for_guests_without_any),
		TEST(first_matching_rule_counts),
		TEST(a_guests_own_keys_win_over_rules),
		TEST(a_pattern_of_stars_takes_no_time),
		TEST(names_are_refused_not_cut),
		TEST(more_guests_than_umbrad_can_have_are_refused),
		TEST(guests_of_one_processor_share_its_figures),
		TEST(mode_and_policy_alone_change_live),
		TEST(file_of_costs_reaches_every_guest),
		TEST(missing_file_is_told_apart),
		TEST(drop_ins_come_by_name_behind_the_file),
		TEST(what_the_command_line_says_wins),
		TEST(listen_address_is_numeric_with_a_port),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
