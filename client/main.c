/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra: the command line. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv); /* NULL: a name that is kept for later */
	const char *arguments;
	const char *help;
};

static const struct verb verbs[] = {
	{"run", client_run, "[OPTION]... IMAGE", "run one guest in the foreground"},
	{"compare", client_compare, "[OPTION]... IMAGE", "run a guest in each mode, one table"},
	{"explain", client_explain, "[OPTION]... [IMAGE]", "one memory access, step by step"},
	{"guests", client_guests, "", "list umbrad's guests"},
	{"show", client_show, "ID", "one guest: what it cost, switches, decisions"},
	{"mode", client_mode, "ID [MODE|POLICY]", "show or change a guest's mode or policy"},
	{"decisions", client_decisions, "[--limit N | --explain ID] ID",
	 "what was decided; one of them in words"},
	{"advise", client_advise, "", "whether another mode would cost less, and what to do"},
	{"translate", client_translate, "[OPTION]... ID GVA",
	 "where an address of a guest leads, in each mode"},
	{"metrics", client_metrics, "[--openmetrics]", "what Prometheus gets"},
	{"freeze", client_freeze, "", "let no guest switch its mode"},
	{"thaw", client_thaw, "", "let guests switch again"},
	{"top", NULL, NULL, NULL},
	{"calibrate", NULL, NULL, NULL},
	{"replay", NULL, NULL, NULL},
};

static void print_usage(FILE *out)
{
	fputs("usage: umbra VERB [ARGUMENT]...\n\n", out);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].run)
			fprintf(out, "  umbra %-9s %-29s %s\n", verbs[i].name, verbs[i].arguments,
				verbs[i].help);
	}
	fputs("\nguests and all below talk to umbrad: --socket PATH says where; --json gives what "
	      "a "
	      "program\nreads (metrics is that already).\n",
	      out);
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
