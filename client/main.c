/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra: the command line. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv); /* NULL: a name that is kept for later */
	const char *arguments;
	const char *help;
	bool remote; /* talks to umbrad */
};

static const struct verb verbs[] = {
	{"run", client_run, "[OPTION]... IMAGE", "run one guest in the foreground", false},
	{"compare", client_compare, "[OPTION]... IMAGE", "run a guest in each mode, one table",
	 false},
	{"explain", client_explain, "[OPTION]... [IMAGE]", "one memory access, step by step",
	 false},
	{"guests", client_guests, "", "list umbrad's guests", true},
	{"show", client_show, "ID", "one guest: what it cost, switches, decisions", true},
	{"mode", client_mode, "ID [MODE|POLICY]", "show or change a guest's mode or policy", true},
	{"decisions", client_decisions, "[--limit N | --explain ID] ID",
	 "what was decided; one of them in words", true},
	{"advise", client_advise, "[ID]", "whether another mode would cost less, and what to do",
	 true},
	{"translate", client_translate, "[--cpu N] [--access r|w|x] [--mode MODE] ID GVA",
	 "where an address of a guest leads, in each mode", true},
	{"metrics", client_metrics, "[--openmetrics]", "what Prometheus gets", true},
	{"freeze", client_freeze, "", "let no guest switch its mode", true},
	{"thaw", client_thaw, "", "let guests switch again", true},
	{"top", NULL, NULL, NULL, false},
	{"calibrate", NULL, NULL, NULL, false},
	{"replay", NULL, NULL, NULL, false},
};

static void print_usage(FILE *out)
{
	fputs("usage: umbra VERB [ARGUMENT]...\n\n", out);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].run)
			fprintf(out, "  umbra %s %s\n            %s\n", verbs[i].name,
				verbs[i].arguments, verbs[i].help);
	}
	fputs("\nguests and all below talk to umbrad: --socket PATH says where; --json gives what "
	      "a "
	      "program\nreads (metrics is that already).\n",
	      out);
}

/* The others print their own options. */
static bool asks_for_help(const struct verb *verb, int argc, char **argv)
{
	if (!verb->remote || argc < 3 || strcmp(argv[2], "--help"))
		return false;
	printf("usage: umbra %s [--socket PATH]%s%s%s\n\n  %s\n", verb->name,
	       strcmp(verb->name, "metrics") ? " [--json]" : "", verb->arguments[0] ? " " : "",
	       verb->arguments, verb->help);
	return true;
}

/*
 * Standard descriptors that the caller closed: else the next file opened, guest memory perhaps,
 * would be taken for one of them.
 */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* What was printed may be in a buffer still, and the disk full. */
static int close_standard_output(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "umbra: standard output: %s\n", strerror(errno));
	return status ? status : CLIENT_NO_FILE;
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return CLIENT_USAGE;
	}
	if (!strcmp(argv[1], "--help")) {
		print_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("umbra " PACKAGE_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name))
			continue;
		if (asks_for_help(&verbs[i], argc, argv))
			return 0;
		if (verbs[i].run)
			return verbs[i].run(argc - 1, argv + 1);
		fprintf(stderr, "umbra: %s: this verb is not in this build\n", argv[1]);
		return CLIENT_USAGE;
	}
	fprintf(stderr, "umbra: %s: no such verb\n", argv[1]);
	print_usage(stderr);
	return CLIENT_USAGE;
}

int main(int argc, char **argv)
{
	open_standard();
	return close_standard_output(run(argc, argv));
}
