/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbrad: its options and its roles. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/configuration.h"
#include "daemon/load.h"
#include "daemon/log.h"
#include "daemon/privileges.h"
#include "daemon/umbrad.h"
#include "daemon/worker.h"

struct options {
	struct config_source source;
	bool check;
	const char *role;
	int fd;
};

static const char usage[] =
	"usage: umbrad [--check-config] [--config FILE] [--listen ADDR:PORT] [--socket PATH]\n"
	"\n"
	"  --check-config      read the configuration, tell what is wrong with it, do nothing "
	"else\n"
	"  --config FILE       configuration, instead of " CONFIG_DEFAULT_FILE "\n"
	"                      and " CONFIG_DEFAULT_DIRECTORY "/?*.conf\n"
	"  --listen ADDR:PORT  serve HTTP here, read-only, instead of 127.0.0.1:8642\n"
	"  --socket PATH       serve HTTP here too, instead of " CONFIG_DEFAULT_SOCKET "\n"
	"  --help, --version\n";

/* The exit status, or -1: go on. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"listen", required_argument, NULL, 'l'},
		{"socket", required_argument, NULL, 's'},
		{"role", required_argument, NULL, 'r'},
		{"fd", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{"check-config", no_argument, NULL, 'k'},
		{NULL, 0, NULL, 0},
	};
	int option;

	*ret = (struct options){.fd = -1};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c': ret->source.file = optarg; break;
		case 'l': ret->source.listen = optarg; break;
		case 's': ret->source.socket = optarg; break;
		case 'k': ret->check = true; break;
		case 'r': ret->role = optarg; break;
		case 'f': ret->fd = atoi(optarg); break;
		case 'h': fputs(usage, stdout); return 0;
		case 'v': puts("umbrad " PACKAGE_VERSION); return 0;
		default: fputs(usage, stderr); return STATUS_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "umbrad: %s: no such argument\n%s", argv[optind], usage);
		return STATUS_USAGE;
	}
	return -1;
}

static int run_role(const struct options *options)
{
	if (strcmp(options->role, "worker") || options->fd < 0) {
		fputs("umbrad: --role worker --fd N is all that there is\n", stderr);
		return STATUS_USAGE;
	}
	return worker_run(options->fd);
}

/* Whether what the command line says can be used; else that it cannot is told. */
static bool check_source(const struct config_source *source)
{
	struct config unused;

	if (source->listen &&
	    config_parse_listen(source->listen, unused.listen_address, &unused.listen_port)) {
		fprintf(stderr,
			"umbrad: --listen %s: ADDR:PORT with a numeric address was expected\n",
			source->listen);
		return false;
	}
	if (source->socket &&
	    (!*source->socket || strlen(source->socket) >= sizeof(unused.socket))) {
		fprintf(stderr, "umbrad: --socket: a path of 1 to %zu bytes was expected\n",
			sizeof(unused.socket) - 1);
		return false;
	}
	return true;
}

static void tell_checked(const struct config_source *source, const struct config *config)
{
	struct complaints warnings = {0};

	config_check_images(config, &warnings);
	for (size_t i = 0; i < warnings.nr; i++)
		fprintf(stderr, "umbrad: warning: %s\n", warnings.text[i]);
	complaints_free(&warnings);
	printf("%s: ok: %zu guests, %zu workloads\n",
	       source->file ? source->file : CONFIG_DEFAULT_FILE, config->nr_guests,
	       config->nr_workloads);
}

int main(int argc, char **argv)
{
	struct umbra_error error = {0};
	struct options options;
	struct config config;
	int status, fd;

	/* Standard descriptors that the caller closed: no socket or memory is to take their place.
	 */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	/* Who asks for a reload before there is a loop is not to end umbrad; nor does a closed
	 * terminal end a worker, which keeps this. */
	signal(SIGHUP, SIG_IGN);
	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	/* A worker is to have no socket but umbrad's. */
	log_open("umbrad", !options.role);
	if (privileges_drop(&error)) {
		log_write(LOG_ERR, NULL, "%s: %s: %s", error.subject, error.place, error.text);
		return STATUS_FAULT;
	}
	if (options.role)
		return run_role(&options);
	if (!check_source(&options.source))
		return STATUS_USAGE;
	status = load_config(&options.source, &config);
	if (status)
		return status;
	if (options.check)
		tell_checked(&options.source, &config);
	else
		status = umbrad_run(&config, &options.source);
	config_free(&config);
	return status;
}
