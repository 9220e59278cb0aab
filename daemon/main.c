/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbrad: its options and its roles. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/configuration.h"
#include "daemon/log.h"
#include "daemon/privileges.h"
#include "daemon/umbrad.h"
#include "daemon/worker.h"

struct options {
	const char *config;
	const char *listen;
	const char *socket;
	const char *role;
	int fd;
};

static const char usage[] =
	"usage: umbrad [--config FILE] [--listen ADDR:PORT] [--socket PATH]\n"
	"\n"
	"  --config FILE       configuration, instead of " CONFIG_DEFAULT_FILE "\n"
	"                      and " CONFIG_DEFAULT_DIRECTORY "/?*.conf\n"
	"  --listen ADDR:PORT  serve HTTP here, read-only, instead of 127.0.0.1:8642\n"
	"  --socket PATH       serve HTTP here too, instead of " CONFIG_DEFAULT_SOCKET "\n"
	"  --help, --version\n";

/* The exit status, or -1: go on. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'}, {"listen", required_argument, NULL, 'l'},
		{"socket", required_argument, NULL, 's'}, {"role", required_argument, NULL, 'r'},
		{"fd", required_argument, NULL, 'f'},     {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0},
	};
	int option;

	*ret = (struct options){.fd = -1};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c': ret->config = optarg; break;
		case 'l': ret->listen = optarg; break;
		case 's': ret->socket = optarg; break;
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

/* 0 or an exit status, told. */
static int read_config(const struct options *options, struct config *config)
{
	struct umbra_error error = {0};
	int code;

	if (options->config)
		code = config_read(config, options->config, &error);
	else
		code = config_read_default(config, CONFIG_DEFAULT_FILE, CONFIG_DEFAULT_DIRECTORY,
					   &error);
	if (!code)
		code = config_check(config, &error);
	if (!code)
		code = config_read_costs(config, &error);
	if (!code)
		return 0;
	privileges_explain(&error);
	log_write(LOG_ERR, NULL, "%s%s%s: %s", error.subject, error.place[0] ? ": " : "",
		  error.place, error.text);
	return code == -ENOENT ? STATUS_NO_FILE : STATUS_CONFIG;
}

/* What the command line says wins over the files. 0 or an exit status, told. */
static int apply_options(const struct options *options, struct config *config)
{
	if (options->listen &&
	    config_parse_listen(options->listen, config->listen_address, &config->listen_port)) {
		fprintf(stderr,
			"umbrad: --listen %s: ADDR:PORT with a numeric address was expected\n",
			options->listen);
		return STATUS_USAGE;
	}
	if (options->socket &&
	    (!*options->socket || strlen(options->socket) >= sizeof(config->socket))) {
		fprintf(stderr, "umbrad: --socket: a path of 1 to %zu bytes was expected\n",
			sizeof(config->socket) - 1);
		return STATUS_USAGE;
	}
	if (options->socket)
		strcpy(config->socket, options->socket);
	return 0;
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
	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;
	/* A worker is to have no socket but umbrad's. */
	log_open(!options.role);
	if (privileges_drop(&error)) {
		log_write(LOG_ERR, NULL, "%s: %s: %s", error.subject, error.place, error.text);
		return STATUS_FAULT;
	}
	if (options.role)
		return run_role(&options);
	config_init(&config);
	status = read_config(&options, &config);
	if (!status)
		status = apply_options(&options, &config);
	if (!status)
		status = umbrad_run(&config);
	config_free(&config);
	return status;
}
