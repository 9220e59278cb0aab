/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umbra-collect: a service of its own that measures the VMs of the host's KVM with just the
 * privileges which that takes, and tells umbrad. It parses no network input.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "collectors/observer.h"
#include "collectors/processor.h"
#include "daemon/load.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"
#include "daemon/report.h"
#include "daemon/umbrad.h"

enum { SEND_SECONDS = 2 }; /* in which umbrad must read what it is told */

struct collect {
	struct config_source source;
	const char *socket; /* of the command line; NULL: the configuration's */
	struct collector_roots roots;
	struct config config;
	struct observer *observer;
	int loop, signals, timer;
	int fd;         /* to umbrad; -1: it is not there */
	bool told;      /* that it is not */
	bool connected; /* umbrad has kept the connection for a round: that is told */
	bool stopping;
	int code; /* a negative errno: it cannot go on */
	struct source signals_source, timer_source, uevents_source, umbrad_source;
};

static const char usage[] =
	"usage: umbra-collect [--config FILE] [--socket PATH] [--proc DIR] [--sys DIR]\n"
	"\n"
	"  --config FILE  umbrad's configuration, instead of " CONFIG_DEFAULT_FILE "\n"
	"                 and " CONFIG_DEFAULT_DIRECTORY "/?*.conf\n"
	"  --socket PATH  where umbrad listens for it, instead of what the configuration says\n"
	"  --proc DIR, --sys DIR\n"
	"                 look there instead of /proc and /sys\n"
	"  --help, --version\n";

static const char closed[] = "umbrad has closed the connection (if it runs, its log says why)";

static void tell_lost(struct collect *collect, const char *why)
{
	if (!collect->told)
		log_write(LOG_WARNING, NULL, "%s: %s; trying again each second", collect->socket,
			  why);
	collect->told = true;
}

static void disconnect(struct collect *collect, const char *why)
{
	loop_remove(collect->loop, &collect->umbrad_source);
	close(collect->fd);
	collect->fd = -1;
	collect->connected = false;
	tell_lost(collect, why);
}

static void check_sent(struct collect *collect, int code)
{
	if (code == -EPIPE || code == -ECONNRESET)
		disconnect(collect, closed);
	else if (code)
		disconnect(collect, code == -EAGAIN ? "umbrad does not read" : strerror(-code));
}

static void send_report(struct collect *collect, const struct report *report)
{
	if (collect->fd >= 0)
		check_sent(collect, report_send(collect->fd, report));
}

static void on_vm(void *context, const struct vm *vm)
{
	struct collect *collect = context;

	if (collect->fd >= 0)
		check_sent(collect, report_send_vm(collect->fd, vm));
}

static void on_gone(void *context, const struct vm *vm)
{
	const struct report report = {.type = REPORT_GONE, .gone.number = vm->number};

	send_report(context, &report);
}

static void on_sample(void *context, const struct vm *vm, const struct vm_sample *sample)
{
	const struct report report = {.type = REPORT_SAMPLE, .sample = {vm->number, *sample}};

	send_report(context, &report);
}

static void on_collector(void *context, const char *name, const char *state,
			 const struct collector_own *own)
{
	struct report report = {.type = REPORT_COLLECTOR, .collector.own = *own};

	snprintf(report.collector.name, sizeof(report.collector.name), "%s", name);
	snprintf(report.collector.state, sizeof(report.collector.state), "%s", state);
	send_report(context, &report);
}

static void on_round(void *context, uint64_t duration_ns)
{
	const struct report report = {.type = REPORT_ROUND, .round = {duration_ns}};

	send_report(context, &report);
}

/* umbrad says nothing: what is readable is the end. */
static void on_umbrad(void *context)
{
	disconnect(context, closed);
}

static void tell_host(struct collect *collect)
{
	struct report report = {.type = REPORT_HOST};
	struct processor processor;

	processor_detect(&collect->roots, &processor);
	snprintf(report.host.processor, sizeof(report.host.processor), "%s",
		 processor_name(processor.kind));
	report.host.frequency = processor.frequency;
	send_report(collect, &report);
}

static void connect_umbrad(struct collect *collect)
{
	const struct timeval patience = {.tv_sec = SEND_SECONDS};
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", collect->socket);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (const struct sockaddr *)&name, sizeof(name)) ||
	    loop_add(collect->loop, &collect->umbrad_source, fd, on_umbrad, collect)) {
		tell_lost(collect, strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	collect->fd = fd;
	tell_host(collect);
	observer_tell(collect->observer);
}

/* umbrad closes at once what it does not want, such as a second umbra-collect. */
static void tell_connected(struct collect *collect)
{
	if (!collect->connected)
		log_write(LOG_NOTICE, NULL, "%s: connected", collect->socket);
	collect->connected = true;
	collect->told = false;
}

static void on_timer(void *context)
{
	struct collect *collect = context;
	uint64_t expirations;

	if (read(collect->timer, &expirations, sizeof(expirations)) < 0)
		return;
	if (collect->fd < 0)
		connect_umbrad(collect);
	else
		tell_connected(collect);
	/* Counters go on; who connects later shall see them from the start. */
	observer_round(collect->observer);
}

static void on_uevents(void *context)
{
	struct collect *collect = context;

	observer_read(collect->observer);
}

/* Begins to observe as the configuration says. 0 or a negative errno. */
static int observe(struct collect *collect)
{
	const struct config *config = &collect->config;
	const struct observer_config observer = {
		.settings = {.roots = collect->roots,
			     .timing_seconds = config->timing_seconds,
			     .timing_period = config->timing_period},
		.enabled =
			{
				[OBSERVER_DISCOVERY] =
					config->collectors[CONFIG_COLLECTOR_DISCOVERY],
				[OBSERVER_KVM] = config->collectors[CONFIG_COLLECTOR_KVM],
				[OBSERVER_KVM_EXITS] =
					config->collectors[CONFIG_COLLECTOR_KVM_EXITS],
				[OBSERVER_PERF_EVENT] =
					config->collectors[CONFIG_COLLECTOR_PERF_EVENT],
			},
		.uevents = -1,
	};
	const struct observer_sink sink = {.vm = on_vm,
					   .gone = on_gone,
					   .sample = on_sample,
					   .collector = on_collector,
					   .round = on_round,
					   .context = collect};
	int fd;

	collect->observer = observer_create(&observer, &sink);
	if (!collect->observer)
		return -ENOMEM;
	fd = observer_fd(collect->observer);
	return fd < 0 ? 0
		      : loop_add(collect->loop, &collect->uevents_source, fd, on_uevents, collect);
}

static void stop_observing(struct collect *collect)
{
	if (collect->observer && observer_fd(collect->observer) >= 0)
		loop_remove(collect->loop, &collect->uevents_source);
	observer_destroy(collect->observer);
	collect->observer = NULL;
}

/*
 * VMs get new numbers: umbrad hears of them anew, over a new connection, at the socket that both
 * have from their start to their end.
 */
static void on_reload(struct collect *collect)
{
	struct config config;

	if (load_config(&collect->source, &config)) {
		log_write(LOG_ERR, NULL, "the configuration stays as it was");
		return;
	}
	stop_observing(collect);
	memcpy(config.collect_socket, collect->config.collect_socket,
	       sizeof(config.collect_socket));
	config_free(&collect->config);
	collect->config = config;
	if (collect->fd >= 0)
		disconnect(collect, "the configuration was read anew");
	collect->code = observe(collect);
}

static void on_signal(void *context)
{
	struct collect *collect = context;
	struct signalfd_siginfo info;

	while (read(collect->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			on_reload(collect);
		else
			collect->stopping = true;
	}
}

static int open_sources(struct collect *collect)
{
	const struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_nsec = 1};
	sigset_t set;
	int code;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	collect->loop = loop_create();
	collect->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	collect->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (collect->loop < 0 || collect->signals < 0 || collect->timer < 0)
		return -errno;
	timerfd_settime(collect->timer, 0, &second, NULL);
	code = loop_add(collect->loop, &collect->signals_source, collect->signals, on_signal,
			collect);
	return code ? code
		    : loop_add(collect->loop, &collect->timer_source, collect->timer, on_timer,
			       collect);
}

static int run(struct collect *collect)
{
	int code = open_sources(collect);

	if (!code)
		code = observe(collect);
	if (!code)
		notify_ready();
	while (!code && !collect->stopping) {
		code = loop_turn(collect->loop, -1);
		if (!code)
			code = collect->code;
	}
	notify_stopping();
	stop_observing(collect);
	if (code)
		log_write(LOG_ERR, NULL, "%s", strerror(-code));
	return code ? STATUS_FAULT : 0;
}

/* The exit status, or -1: go on. */
static int parse_options(int argc, char **argv, struct collect *collect)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, 's'},
		{"proc", required_argument, NULL, 'p'},
		{"sys", required_argument, NULL, 'y'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c': collect->source.file = optarg; break;
		case 's': collect->socket = optarg; break;
		case 'p': collect->roots.proc = optarg; break;
		case 'y': collect->roots.sys = optarg; break;
		case 'h': fputs(usage, stdout); return 0;
		case 'v': puts("umbra-collect " PACKAGE_VERSION); return 0;
		default: fputs(usage, stderr); return STATUS_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "umbra-collect: %s: no such argument\n%s", argv[optind], usage);
		return STATUS_USAGE;
	}
	return -1;
}

/* Each vCPU takes a dozen descriptors: as many as may be. Too few are told by who needs them. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct collect collect = {.roots = {"/proc", "/sys"}, .fd = -1};
	struct umbra_error error = {0};
	int status = parse_options(argc, argv, &collect);

	if (status >= 0)
		return status;
	log_open("umbra-collect", true);
	if (privileges_limit(&error)) {
		log_write(LOG_ERR, NULL, "%s: %s: %s", error.subject, error.place, error.text);
		return STATUS_FAULT;
	}
	raise_descriptors();
	status = load_config(&collect.source, &collect.config);
	if (status)
		return status;
	if (!collect.socket)
		collect.socket = collect.config.collect_socket;
	if (!*collect.socket || strlen(collect.socket) >= sizeof(collect.config.collect_socket)) {
		log_write(LOG_ERR, NULL,
			  "--socket or [umbrad] collect_socket: \"%s\": a path of 1 to %zu bytes "
			  "was expected",
			  collect.socket, sizeof(collect.config.collect_socket) - 1);
		config_free(&collect.config);
		return STATUS_CONFIG;
	}
	status = run(&collect);
	config_free(&collect.config);
	return status;
}
