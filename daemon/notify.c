/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "collectors/clock.h"
#include "daemon/notify.h"

/* One snapshot a second; a loop that has stood still may find the watchdog's timer first. */
static const uint64_t snapshot_late_ns = 3000000000;

#ifdef HAVE_SYSTEMD
static void tell(const char *state)
{
	sd_notify(0, state);
}

/* Microseconds within which the manager wants to hear of us, or 0. */
static uint64_t watchdog_us(void)
{
	uint64_t us;

	return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}
#else
static void tell(const char *state)
{
}

static uint64_t watchdog_us(void)
{
	return 0;
}
#endif

static void on_watchdog(void *context)
{
	struct notify *notify = context;
	uint64_t expirations;

	if (read(notify->timer, &expirations, sizeof(expirations)) < 0)
		return;
	/* A loop that turns and samples nothing is as dead to readers as one that does not turn. */
	if (clock_ns() - notify->published < snapshot_late_ns)
		tell("WATCHDOG=1");
}

int notify_open(struct notify *notify, int loop)
{
	const uint64_t half = watchdog_us() / 2;
	struct itimerspec when = {
		.it_value = {.tv_sec = half / 1000000, .tv_nsec = half % 1000000 * 1000},
	};
	int code;

	notify->timer = -1;
	if (!half)
		return 0;
	notify->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (notify->timer < 0)
		return -errno;
	when.it_interval = when.it_value;
	code = timerfd_settime(notify->timer, 0, &when, NULL) ? -errno : 0;
	return code ? code : loop_add(loop, &notify->source, notify->timer, on_watchdog, notify);
}

void notify_close(struct notify *notify)
{
	if (notify->timer >= 0)
		close(notify->timer);
	notify->timer = -1;
}

void notify_ready(void)
{
	tell("READY=1");
}

void notify_reloading(void)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_ns() / 1000);
	tell(state);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}

void notify_published(struct notify *notify, const struct registry *registry)
{
	size_t counts[GUEST_STATE_COUNT] = {0};
	char status[sizeof(notify->status)];
	int length;

	notify->published = clock_ns();
	for (size_t i = 0; i < registry->nr_guests; i++)
		counts[registry->guests[i]->state]++;
	length = snprintf(status, sizeof(status), "STATUS=%zu guest%s", registry->nr_guests,
			  registry->nr_guests == 1 ? "" : "s");
	for (int i = 0; i < GUEST_STATE_COUNT; i++) {
		if (counts[i])
			length += snprintf(status + length, sizeof(status) - length, "%s %zu %s",
					   strchr(status, ':') ? "," : ":", counts[i],
					   guest_state_name(i));
	}
	if (!strcmp(status, notify->status))
		return;
	memcpy(notify->status, status, sizeof(status));
	tell(status);
}
