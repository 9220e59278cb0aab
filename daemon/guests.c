/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "collectors/clock.h"
#include "daemon/configuration_guest.h"
#include "daemon/guests.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

enum {
	MESSAGES_AT_ONCE = 256,   /* of one worker, before others have their turn */
	MESSAGES_A_SECOND = 4096, /* of one worker; it waits with what is more */
	LINES_A_SECOND = 16,      /* of one guest's switches, in the log */
	STARTS_A_CPU = 2,         /* workers that start at once, for each CPU */
	LAST_WORDS = 256 * 64,    /* that a dead worker may have left in its socket */
};

/* The socket has nothing more to say; the process is reaped when it dies. */
static void hang_up(struct guest *guest)
{
	if (guest->fd < 0)
		return;
	loop_remove(guest->umbrad->loop, &guest->source);
	close(guest->fd);
	guest->fd = -1;
}

/* A worker cannot fill the log: what is more than a few lines a second is only counted. */
static void tell_switch(struct guest *guest)
{
	const struct umbra_switch *made = &guest->last_switch.record;

	if (!guest->lines) {
		guest->untold++;
		return;
	}
	guest->lines--;
	log_event(LOG_GUEST_SWITCHED, guest->config->name, umbra_mode_name(made->to),
		  "switched from %s to %s: %s", umbra_mode_name(made->from),
		  umbra_mode_name(made->to), guest->last_switch.reason);
}

/* What a message has changed. */
static void tell_change(struct guest *guest, enum guest_state state, uint64_t nr_switches)
{
	const char *name = guest->config->name;

	if (guest->nr_switches != nr_switches)
		tell_switch(guest);
	if (guest->state == state)
		return;
	if (guest->state == GUEST_RUNNING)
		log_event(LOG_GUEST_STARTED, name, umbra_mode_name(guest->mode), "started in %s",
			  umbra_mode_name(guest->mode));
	else if (guest->state == GUEST_ENDED)
		log_event(LOG_GUEST_ENDED, name, NULL, "ended: %s",
			  umbra_end_reason_name(guest->end.reason));
	else if (guest->state == GUEST_FAILED)
		log_event(LOG_GUEST_FAILED, name, NULL, "%s", guest->end.text);
}

static void take_message(struct guest *guest, struct message *message)
{
	enum guest_state state = guest->state;
	uint64_t nr_switches = guest->nr_switches;
	int code = message_check(message);

	if (!code && message->request)
		code = wishes_answered(guest->umbrad->wishes, guest, message);
	else if (!code)
		code = registry_take(guest, message);
	if (code)
		registry_fail(guest, "its worker sent something that is no message: %s",
			      strerror(-code));
	tell_change(guest, state, nr_switches);
	if (!code)
		return;
	guests_kill(guest);
	hang_up(guest);
}

/* Takes what the guest's worker has to say, at most so many messages. */
static void listen_to(struct guest *guest, int at_most)
{
	struct message message;

	while (guest->fd >= 0 && at_most--) {
		int r;

		if (!guest->allowance--) {
			/* A worker that floods us fills its socket and waits for guests_tick(). */
			guest->allowance = 0;
			guest->muted = true;
			loop_remove(guest->umbrad->loop, &guest->source);
			break;
		}
		r = message_receive(guest->fd, &message, NULL);
		if (r == -EAGAIN)
			break;
		if (r == -EBADMSG)
			message.header.type = MESSAGE_TYPE_COUNT; /* of which no check approves */
		if (r > 0 || r == -EBADMSG)
			take_message(guest, &message);
		else
			hang_up(guest);
	}
}

static void on_message(void *context)
{
	listen_to(context, MESSAGES_AT_ONCE);
}

/* The guest has ended or failed, and its worker is gone. */
static void plan_restart(struct guest *guest)
{
	if (!guest->config->restart)
		return;
	backoff_fall(&guest->backoff, clock_seconds());
	log_write(LOG_NOTICE, guest->config->name, "starts anew in %u s", guest->backoff.seconds);
}

void guests_start(struct umbrad *umbrad, struct guest *guest)
{
	guest->umbrad = umbrad;
	guest->state = GUEST_STARTING;
	guest->waiting = true;
	umbrad->guests_wait = true;
}

static void launch(struct umbrad *umbrad, struct guest *guest)
{
	struct umbra_error error = {0};
	int code;

	guest->waiting = false;
	guest->starts++;
	guest->watch = (struct watch){0};
	guest->allowance = MESSAGES_A_SECOND;
	guest->lines = LINES_A_SECOND;
	guest->untold = 0;
	guest->muted = false;
	guest->backoff.due = 0;
	backoff_start(&guest->backoff, clock_seconds());
	registry_choose(guest);
	journal_begin(guest->journal, guest->recorded);
	guest->started = time(NULL);
	code = spawn_worker(guest, &error);
	if (!code)
		code = loop_add(umbrad->loop, &guest->source, guest->fd, on_message, guest);
	if (!code)
		return;
	registry_fail(guest, "%s: %s", error.subject, error.text);
	log_event(LOG_GUEST_FAILED, guest->config->name, NULL, "%s", guest->end.text);
	if (guest->pid > 0)
		guests_kill(guest);
	else
		plan_restart(guest);
}

static bool is_starting(const struct guest *guest)
{
	return guest->pid > 0 && guest->state == GUEST_STARTING;
}

void guests_launch(struct umbrad *umbrad)
{
	const struct registry *registry = &umbrad->registry;
	long at_once, starting = 0;

	if (!umbrad->guests_wait || umbrad->stopping)
		return;
	umbrad->guests_wait = false;
	at_once = STARTS_A_CPU * sysconf(_SC_NPROCESSORS_ONLN);
	for (size_t i = 0; i < registry->nr_guests; i++)
		starting += is_starting(registry->guests[i]);
	for (size_t i = 0; i < registry->nr_guests; i++) {
		struct guest *guest = registry->guests[i];

		if (!guest->waiting)
			continue;
		if (starting >= at_once) {
			umbrad->guests_wait = true;
			return;
		}
		launch(umbrad, guest);
		starting += is_starting(guest);
	}
}

static void fail_of(struct guest *guest, int status)
{
	char last[200];

	watch_describe(guest->shared, last, sizeof(last));
	if (!WIFSIGNALED(status))
		registry_fail(guest, "its worker exited with status %d, %s", WEXITSTATUS(status),
			      last);
	else
		registry_fail(guest, "its worker was killed by signal %d (%s%s), %s",
			      WTERMSIG(status), strsignal(WTERMSIG(status)),
			      WTERMSIG(status) == SIGSYS ? ", as its sandbox does" : "", last);
	log_event(LOG_GUEST_FAILED, guest->config->name, NULL, "%s", guest->end.text);
}

/* The guest's worker is gone: now comes what it was told to stop for. */
static void carry_out_plan(struct guest *guest)
{
	struct umbrad *umbrad = guest->umbrad;
	enum guest_plan plan = guest->plan;
	struct guest_config *next = guest->next;

	guest->plan = PLAN_NONE;
	guest->next = NULL;
	if (plan == PLAN_REMOVE) {
		wishes_drop(guest);
		registry_remove(&umbrad->registry, guest);
	} else {
		registry_renew(guest, next);
		guest->backoff = (struct backoff){0};
		/* What the worker before was asked for no other answers. */
		wishes_check(umbrad->wishes, &umbrad->registry);
		guests_start(umbrad, guest);
	}
}

static void begin_plan(struct guest *guest, enum guest_plan plan, struct guest_config *next)
{
	config_guest_free(guest->next);
	guest->next = next;
	if (guest->plan == PLAN_NONE) {
		guests_stop(guest);
		guest->stop_deadline = clock_seconds() + UMBRAD_STOP_SECONDS;
	}
	guest->plan = plan;
	if (!guest->pid)
		carry_out_plan(guest);
}

void guests_remove(struct guest *guest)
{
	begin_plan(guest, PLAN_REMOVE, NULL);
}

void guests_renew(struct guest *guest, struct guest_config *config)
{
	begin_plan(guest, PLAN_RENEW, config);
}

static void bury(struct guest *guest, int status)
{
	/* Its last words are still in the socket. */
	guest->allowance = LAST_WORDS;
	listen_to(guest, LAST_WORDS);
	hang_up(guest);
	guest->pid = 0;
	if (guest->umbrad->stopping)
		return;
	if (guest->plan != PLAN_NONE) {
		carry_out_plan(guest);
		return;
	}
	if (guest->state != GUEST_ENDED && guest->state != GUEST_FAILED)
		fail_of(guest, status);
	plan_restart(guest);
}

/* A worker that closed its socket but lives is of no use any more. */
static void watch(struct guest *guest, unsigned int hang_timeout)
{
	struct message ping = {0};
	struct worker_state state;
	char last[200];

	if (guest->fd < 0) {
		guests_kill(guest);
		return;
	}
	shared_read_state(guest->shared, &state);
	switch (watch_tick(&guest->watch, &state, clock_ns(), hang_timeout)) {
	case WATCH_LIVES: break;
	case WATCH_SILENT:
		/* If it cannot be sent the worker has enough to read. */
		if (guest->state == GUEST_RUNNING)
			(void)message_send(guest->fd, MESSAGE_PING, &ping);
		break;
	case WATCH_HUNG:
		watch_describe(guest->shared, last, sizeof(last));
		registry_fail(guest, "its worker hung for %u s and was killed, %s",
			      guest->watch.silent_ticks, last);
		log_event(LOG_GUEST_FAILED, guest->config->name, NULL, "%s", guest->end.text);
		guests_kill(guest);
		break;
	}
}

/* It was told to stop, and is not waited for for ever. */
static void watch_stopping(struct guest *guest)
{
	if (guest->stop_deadline > clock_seconds())
		return;
	log_write(LOG_WARNING, guest->config->name, "its worker does not stop: killed");
	guests_kill(guest);
}

static void restart(struct umbrad *umbrad, struct guest *guest)
{
	registry_renew(guest, NULL);
	guests_start(umbrad, guest);
	log_event(LOG_GUEST_RESTARTED, guest->config->name, NULL, "starts for the %u. time",
		  guest->starts + 1);
}

void guests_tick(struct umbrad *umbrad)
{
	for (size_t i = 0; i < umbrad->registry.nr_guests; i++) {
		struct guest *guest = umbrad->registry.guests[i];

		guest->allowance = MESSAGES_A_SECOND;
		guest->lines = LINES_A_SECOND;
		if (guest->untold)
			log_write(LOG_INFO, guest->config->name,
				  "switched %u times more within a second", guest->untold);
		guest->untold = 0;
		if (guest->muted && guest->fd >= 0)
			loop_add(umbrad->loop, &guest->source, guest->fd, on_message, guest);
		guest->muted = false;
		if (guest->plan != PLAN_NONE)
			watch_stopping(guest);
		else if (guest->pid > 0)
			watch(guest, umbrad->config->hang_timeout);
		else if (guest->config->restart && guest->backoff.due &&
			 guest->backoff.due <= clock_seconds())
			restart(umbrad, guest);
	}
}

void guests_reap(struct umbrad *umbrad)
{
	struct guest *guest;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		guest = registry_find_pid(&umbrad->registry, pid);
		if (guest)
			bury(guest, status);
	}
}

void guests_stop(struct guest *guest)
{
	struct message message = {0};

	if (guest->fd >= 0)
		message_send(guest->fd, MESSAGE_STOP, &message);
}

void guests_kill(struct guest *guest)
{
	if (guest->pid > 0)
		kill(guest->pid, SIGKILL);
}

bool guests_any_worker(const struct umbrad *umbrad)
{
	for (size_t i = 0; i < umbrad->registry.nr_guests; i++) {
		if (umbrad->registry.guests[i]->pid > 0)
			return true;
	}
	return false;
}
