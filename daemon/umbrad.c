/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's one loop: workers, signals, operators' wishes and the clock that samples. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "collectors/clock.h"
#include "daemon/guests.h"
#include "daemon/log.h"
#include "daemon/observed_advice.h"
#include "daemon/privileges.h"
#include "daemon/reload.h"
#include "daemon/sampler.h"
#include "daemon/sockets.h"
#include "daemon/umbrad.h"
#include "web/server.h"

enum { KVM_SECONDS = 10 }; /* from one look at the host's KVM to the next */

/* Nanoseconds between snapshots that are made because a VM came or went. */
static const uint64_t publish_apart = 100 * 1000 * 1000;

/* Its modules may be loaded anew, with other parameters. */
static void look_at_kvm(struct umbrad *umbrad)
{
	if (umbrad->kvm_read && clock_seconds() - umbrad->kvm_read < KVM_SECONDS)
		return;
	umbrad->kvm_read = clock_seconds();
	kvm_host_read("/sys", &umbrad->kvm);
}

static void publish(struct umbrad *umbrad)
{
	const struct sampler_source source = {
		.registry = &umbrad->registry,
		.observed = &umbrad->observed,
		.kvm = &umbrad->kvm,
		.counted = {[UMBRA_ENGINE_SOFT] = umbrad->config->collectors[CONFIG_COLLECTOR_SOFT],
			    [UMBRA_ENGINE_KVM] = umbrad->config->collectors[CONFIG_COLLECTOR_KVM]},
	};
	uint64_t begun = clock_ns();
	struct snapshot *snapshot;

	look_at_kvm(umbrad);
	observed_advise(&umbrad->observed, &umbrad->kvm, umbrad->config->costs, clock_seconds());
	snapshot = sampler_take(&source);
	umbrad->sampling.seconds += (double)(clock_ns() - begun) / 1e9;
	umbrad->sampling.count++;
	/* Without memory readers keep the last one. */
	if (!snapshot)
		return;
	snapshot->sampling = umbrad->sampling;
	snapshot->collecting = umbrad->observed.rounds;
	snapshot->config_loaded = umbrad->config_loaded;
	if (umbrad->config_error)
		snapshot->config_error = snapshot_strdup(snapshot, umbrad->config_error);
	board_publish(umbrad->board, snapshot);
	umbrad->published = clock_ns();
	notify_published(&umbrad->notify, &umbrad->registry);
}

static void kill_workers(struct umbrad *umbrad)
{
	for (size_t i = 0; i < umbrad->registry.nr_guests; i++)
		guests_kill(umbrad->registry.guests[i]);
}

static void on_child(struct umbrad *umbrad)
{
	guests_reap(umbrad);
	wishes_check(umbrad->wishes, &umbrad->registry);
	publish(umbrad);
}

static void on_reload(struct umbrad *umbrad)
{
	if (umbrad->stopping)
		return;
	reload(umbrad);
	publish(umbrad);
}

static void on_signal(void *context)
{
	struct umbrad *umbrad = context;
	struct signalfd_siginfo info;

	while (read(umbrad->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD: on_child(umbrad); break;
		case SIGHUP: on_reload(umbrad); break;
		default:
			umbrad->stopping = true;
			if (++umbrad->stop_signals > 1)
				kill_workers(umbrad);
			break;
		}
	}
}

static void on_timer(void *context)
{
	struct umbrad *umbrad = context;
	uint64_t expirations;

	if (read(umbrad->timer, &expirations, sizeof(expirations)) < 0)
		return;
	if (!umbrad->stopping)
		guests_tick(umbrad);
	/* A journal that could not be read at the start may say now that all is frozen. */
	control_set_frozen(umbrad->registry.control, journal_frozen(umbrad->journal));
	wishes_check(umbrad->wishes, &umbrad->registry);
	observed_tick(&umbrad->observed, clock_seconds());
	publish(umbrad);
	web_sweep(umbrad->web);
}

static void on_wish(void *context)
{
	struct umbrad *umbrad = context;

	wishes_begin(umbrad->wishes, &umbrad->registry);
}

static void on_journal(void *context)
{
	struct umbrad *umbrad = context;

	wishes_settled(umbrad->wishes, journal_settled(umbrad->journal));
}

static int turn(struct umbrad *umbrad, int timeout_ms)
{
	int code;

	guests_launch(umbrad);
	code = loop_turn(umbrad->loop, timeout_ms);
	/* Whoever is told that something changed must see it changed. */
	if (wishes_finished(umbrad->wishes)) {
		publish(umbrad);
		wishes_finish(umbrad->wishes);
	}
	if (umbrad->observed.changed && clock_ns() - umbrad->published >= publish_apart) {
		umbrad->observed.changed = false;
		publish(umbrad);
	}
	registry_sweep(&umbrad->registry);
	return code;
}

static void stop_guests(struct umbrad *umbrad)
{
	uint64_t deadline;
	bool killed = false;

	for (size_t i = 0; i < umbrad->registry.nr_guests; i++)
		guests_stop(umbrad->registry.guests[i]);
	deadline = clock_seconds() + UMBRAD_STOP_SECONDS;
	while (guests_any_worker(umbrad)) {
		if (turn(umbrad, 200))
			break;
		if (clock_seconds() >= deadline && !killed) {
			kill_workers(umbrad);
			killed = true;
		}
	}
}

/* Signals, clock and wishes. 0 or a negative errno. */
static int open_sources(struct umbrad *umbrad)
{
	const struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
	sigset_t set;
	int code;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	umbrad->loop = loop_create();
	umbrad->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	umbrad->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	umbrad->board = board_create();
	umbrad->wishes = wishes_create(&umbrad->wishes_fd);
	if (umbrad->loop < 0)
		return umbrad->loop;
	if (umbrad->signals < 0 || umbrad->timer < 0)
		return -errno;
	if (!umbrad->board || !umbrad->wishes)
		return -ENOMEM;
	timerfd_settime(umbrad->timer, 0, &second, NULL);
	code = loop_add(umbrad->loop, &umbrad->signals_source, umbrad->signals, on_signal, umbrad);
	if (!code)
		code = loop_add(umbrad->loop, &umbrad->timer_source, umbrad->timer, on_timer,
				umbrad);
	if (!code)
		code = loop_add(umbrad->loop, &umbrad->wishes_source, umbrad->wishes_fd, on_wish,
				umbrad);
	if (!code)
		code = loop_add(umbrad->loop, &umbrad->journal_source, umbrad->journal_fd,
				on_journal, umbrad);
	return code ? code : notify_open(&umbrad->notify, umbrad->loop);
}

static int open_web(struct umbrad *umbrad, int tcp, int local)
{
	const struct web_config config = {
		.board = umbrad->board,
		.history = {journal_read_decisions, journal_read_switches, umbrad->journal},
		.started = time(NULL),
		.listen_address = umbrad->config->listen_address,
		.ask = wishes_ask,
		.context = umbrad->wishes,
	};
	int code = web_create(&config, &umbrad->web);

	if (!code)
		code = web_listen(umbrad->web, tcp, false);
	return code ? code : web_listen(umbrad->web, local, true);
}

static void close_all(struct umbrad *umbrad)
{
	wishes_close(umbrad->wishes, &umbrad->registry);
	web_destroy(umbrad->web);
	umbrad->web = NULL;
	stop_guests(umbrad);
	if (umbrad->socket_is_ours)
		unlink(umbrad->config->socket);
	wishes_destroy(umbrad->wishes);
	board_destroy(umbrad->board);
	registry_free(&umbrad->registry);
	journal_destroy(umbrad->journal);
	free(umbrad->config_error);
	notify_close(&umbrad->notify);
	observed_close(&umbrad->observed, umbrad->config->collect_socket);
	close(umbrad->timer);
	close(umbrad->signals);
	close(umbrad->loop);
}

static void tell_address(const struct config *config, uint16_t port)
{
	bool v6 = strchr(config->listen_address, ':') != NULL;

	log_write(LOG_NOTICE, NULL, "serving http://%s%s%s:%u and %s", v6 ? "[" : "",
		  config->listen_address, v6 ? "]" : "", port, config->socket);
}

/* From any thread. */
static void tell_journal(void *context, bool trouble, const char *text)
{
	if (trouble)
		log_event(LOG_JOURNAL_DEGRADED, NULL, NULL, "%s", text);
	else
		log_write(LOG_NOTICE, NULL, "%s", text);
}

static int open_journal(struct umbrad *umbrad)
{
	const struct journal_config config = {
		.directory = umbrad->config->state_directory,
		.days = umbrad->config->journal_days,
		.bytes = umbrad->config->journal_size,
		.report = tell_journal,
	};

	return journal_create(&config, &umbrad->journal, &umbrad->journal_fd);
}

/* What was frozen when umbrad ended is frozen. */
static int open_control(struct registry *registry)
{
	registry->control = control_create(&registry->control_fd);
	if (!registry->control)
		return -errno;
	control_set_frozen(registry->control, journal_frozen(registry->journal));
	return 0;
}

static int add_guests(struct umbrad *umbrad)
{
	int code = 0;

	for (size_t i = 0; i < umbrad->config->nr_guests && !code; i++)
		code = registry_add(&umbrad->registry, &umbrad->config->guests[i], NULL);
	return code;
}

int umbrad_run(struct config *config, const struct config_source *source)
{
	struct umbrad umbrad = {.config = config, .source = *source, .config_loaded = time(NULL)};
	struct umbra_error error = {0};
	uint16_t port = 0;
	int tcp, local, code;

	tcp = sockets_listen_tcp(config->listen_address, config->listen_port, &port, &error);
	local = tcp < 0 ? -1 : sockets_listen_unix(config->socket, SOCK_STREAM, &error);
	if (local < 0) {
		privileges_explain(&error);
		log_write(LOG_ERR, NULL, "%s%s%s: %s", error.subject, error.place[0] ? " " : "",
			  error.place, error.text);
		return STATUS_FAULT;
	}
	umbrad.socket_is_ours = true;
	code = open_journal(&umbrad);
	registry_init(&umbrad.registry, umbrad.journal);
	if (!code)
		code = open_control(&umbrad.registry);
	if (!code)
		code = open_sources(&umbrad);
	if (!code)
		code = add_guests(&umbrad);
	if (code) {
		log_write(LOG_ERR, NULL, "%s", strerror(-code));
		unlink(config->socket);
		return STATUS_FAULT;
	}
	code = observed_open(&umbrad.observed, umbrad.loop, config->collect_socket);
	for (size_t i = 0; i < umbrad.registry.nr_guests; i++)
		guests_start(&umbrad, umbrad.registry.guests[i]);
	publish(&umbrad);
	if (!code)
		code = open_web(&umbrad, tcp, local);
	if (!code) {
		tell_address(config, port);
		notify_ready();
	} else {
		log_write(LOG_ERR, NULL, "the HTTP server does not start: %s", strerror(-code));
	}
	while (!code && !umbrad.stopping)
		code = turn(&umbrad, umbrad.observed.changed ? 100 : -1);
	umbrad.stopping = true;
	notify_stopping();
	close_all(&umbrad);
	return code ? STATUS_FAULT : 0;
}
